// One request of an engine, from its head to the last byte of the answer.
//
// Checked (policy), held until there are credentials, signed and sent, answered by S3, looked at, and passed on. What S3 says
// about the credentials, the clock or the region is dealt with here and not shown: fresh credentials, another time, another
// region, each at most so often, and the request goes out once more. A body that ends early ends the engine's connection early.
#ifndef CANOPY_PROXY_TRANSFER_H
#define CANOPY_PROXY_TRANSFER_H

#include "canopy/proxy/core.h"

struct transfer;

// NULL: no memory. The transfer belongs to the client and is used for all of its requests.
struct transfer *transfer_new(struct core *core, struct client *client);
void transfer_free(struct transfer *transfer);

// The client's head is whole.
void transfer_begin(struct transfer *transfer);

// The engine's connection takes more, or a turn has come.
void transfer_go(struct transfer *transfer);

void transfer_on_deadline(struct transfer *transfer);

// Let go of the connection to S3 and of everything else of this request. Harmless when there is none.
void transfer_stop(struct transfer *transfer);

// Credentials have come, or have been refused: those that wait for them go on.
void transfer_wake_all(struct core *core);

#endif
