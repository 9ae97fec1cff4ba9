// Paths and queries of the Kubernetes API. Whatever comes from outside is percent-encoded (RFC 3986 section 2.1).
#ifndef K8S_URL_H
#define K8S_URL_H

#include "base/buf.h"
#include "k8s/resource.h"

#define K8S_URL_MAX ((size_t)32 << 10)

// Append the path of a resource: of one object, or of the collection when name is NULL. A name that would lead to another path
// ("",
// "..", one with a slash) is ERROR_INVALID.
MUST_CHECK int k8s_url_path(
	struct buf *url, const struct k8s_resource *resource, const char *namespace, const char *name, struct error *err);

// Append key=value with the right one of ? and &. key is taken as it is.
MUST_CHECK int k8s_url_query(struct buf *url, const char *key, const char *value, struct error *err);

#endif
