// Where pods go: the S3 server and the operator's broker, as URLs and ports.
#ifndef BUILDERS_ENDPOINT_H
#define BUILDERS_ENDPOINT_H

#include "builders/objects.h"

#define ENDPOINT_SIZE 512

// S3_ENDPOINT without slashes at its end, or https://s3.<region>.amazonaws.com. ERROR_INVALID when it does not fit.
MUST_CHECK int endpoint_s3(const struct build *b, char out[ENDPOINT_SIZE], struct error *err);

// The TCP port that a client of the endpoint connects to, from the URL or its scheme.
MUST_CHECK int endpoint_s3_port(const struct build *b, int *port, struct error *err);
MUST_CHECK int endpoint_broker_port(const struct settings *settings, int *port, struct error *err);

#endif
