#include "reconciler/secret_data.h"

#include "base/encode.h"
#include <stdlib.h>

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
