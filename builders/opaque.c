#include "builders/opaque.h"

#include "base/encode.h"
#include "builders/metadata.h"
#include <string.h>

json_t *opaque_new(const struct build *b, const char *name, const char *component, const char *round_key)
{
	return json_pack("{s:s, s:s, s:o, s:s, s:{}}", "apiVersion", "v1", "kind", "Secret", "metadata",
		metadata_new(b, name, component, round_key), "type", "Opaque", "data");
}

int opaque_add(json_t *object, const char *key, const void *bytes, size_t len, struct error *err)
{
	size_t room = ENCODE_BASE64_SIZE(len);
	AUTO_FREE char *text = malloc(room);
	if (text == NULL)
		return error_no_memory(err, "Secret");
	encode_base64(bytes, len, text);
	int result = json_object_set_new(json_object_get(object, "data"), key, json_string(text));
	secret_wipe(text, room);
	return result == 0 ? 0 : error_no_memory(err, "Secret");
}

int opaque_add_text(json_t *object, const char *key, const char *text, struct error *err)
{
	return opaque_add(object, key, text, strlen(text), err);
}

int opaque_add_secret(json_t *object, const char *key, const struct secret *secret, struct error *err)
{
	return opaque_add(object, key, secret_reveal(secret), secret->len, err);
}
