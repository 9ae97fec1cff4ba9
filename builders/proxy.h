// The credential proxy of a restore pod (CREDENTIALS=proxy): understory-proxy beside the engine.
//
// The engine's container has dummy keys and reaches S3 on loopback only, where the proxy's port file says. The proxy alone has
// the token for the broker, the broker's CA, and that of S3. Where the API server knows native sidecars, the proxy is one: it is
// up before the engine starts, and Kubernetes ends it after the engine. Elsewhere it is a second container, which ends when the
// engine's script has left a done-file, or the whole of the engine's container is gone: no Job waits for its proxy until the
// deadline.
#ifndef BUILDERS_PROXY_H
#define BUILDERS_PROXY_H

#include "builders/objects.h"

// The key of Secret restore-<key> with the CA certificates of the broker.
#define PROXY_KEY_BROKER_CA "brokerCaCertificate"

// For a backup in S3, with CREDENTIALS=proxy, by an engine that can use it. The keys of one that cannot, and that the settings
// allow, come as with CREDENTIALS=direct.
bool proxy_is_used(const struct build *b);

// ERROR_INVALID when CANOPY_PROXY_IMAGE is not set, with a hint; ERROR_INTERNAL without the CA of the broker.
MUST_CHECK int proxy_check(const struct build *b, struct error *err);

// What the engine's container has in the place of keys: an array of variables, and its mount. NULL as in builders/metadata.h.
json_t *proxy_engine_environment(const struct build *b);
json_t *proxy_engine_mount(const struct build *b);

// Put the proxy, its volumes and its label into the pod template of a restore, whose spec has volumes and containers.
// proxy_check() has been passed.
MUST_CHECK int proxy_add(const struct build *b, const struct build_round *round, json_t *template, struct error *err);

#endif
