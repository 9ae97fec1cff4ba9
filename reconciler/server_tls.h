// TLS of the restored databases: the certificate of each replica in Secret postgres-tls, and what Secret analytics-credentials
// tells people about it.
//
// Both are the replica's and outlive its rounds; two annotations of the Namespace say how they stand, so that what the cache
// knows is enough to see that nothing is due. A round that was made without TLS (POSTGRES_TLS=off, or an operator before it) goes
// on without; people are told what the round that serves speaks.
#ifndef RECONCILER_SERVER_TLS_H
#define RECONCILER_SERVER_TLS_H

#include "builders/objects.h"
#include "reconciler/manager.h"
#include "reconciler/patch.h"
#include "reconciler/round.h"

// The name that people come in by: postgres.<namespace>.svc.
void server_tls_name(const char *namespace, char out[CHECK_TLS_NAME_SIZE]);

// Whether server_tls_keep() has something to do. Pure. trust NULL: there is no CA yet, nothing is due.
bool server_tls_is_due(const struct trust *trust, const struct replica *replica, const struct scene *scene, int64_t now_ms);

// Renew the certificate when it is due, tell people what has changed for them, note both in the Namespace. b is that of the view.
MUST_CHECK int server_tls_keep(struct manager *op, struct round_view *view, const struct build *b, struct error *err);

// For a Deployment that is about to be made: a good certificate is there, which p notes. Does nothing with POSTGRES_TLS=off.
MUST_CHECK int server_tls_provide(
	struct manager *op, const struct round_view *view, const struct build *b, struct patch *p, struct error *err);

// Note in p what a Secret analytics-credentials that was just made says.
void server_tls_note_told(const struct build *b, const struct trust *trust, struct patch *p);

#endif
