#include "reconciler/secret_data.h"

#include "base/encode.h"
#include "k8s/resource.h"
#include <stdlib.h>

int secret_data_named(struct k8s_client *k8s, const char *namespace, const char *name, json_t **out, struct error *err)
{
	if (k8s_get(k8s, &K8S_SECRET, namespace, name, out, err) == 0)
		return 0;
	if (err->http_status == 403)
		return error_wrap(err, "no Role lets Secret %s be read (hint: component ops/components/secrets)", name);
	return -1;
}

int secret_data_get(const json_t *data, const char *key, struct secret *out, struct error *err)
{
	const char *encoded = NULL;
	char *plain = NULL;
	size_t len = 0;
	if (json_need_str(data, key, &encoded, err) < 0 || encode_unbase64(encoded, &plain, &len, err) < 0)
		return error_wrap(err, "key %s", key);
	int rc = secret_set(out, plain, err);
	secret_wipe(plain, len);
	free(plain);
	return rc;
}
