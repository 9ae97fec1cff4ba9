#include "base/secret.h"

#include "base/encode.h"
#include "base/random.h"
#include <stdlib.h>
#include <string.h>

#define MADE_BYTES 32

int secret_set(struct secret *s, const char *text, struct error *err)
{
	char *copy = NULL;
	if (text != NULL) {
		copy = strdup(text);
		if (copy == NULL)
			return error_no_memory(err, "secret");
	}
	secret_fini(s);
	s->bytes = copy;
	s->len = copy == NULL ? 0 : strlen(copy);
	return 0;
}

int secret_make(struct secret *s, struct error *err)
{
	unsigned char raw[MADE_BYTES];
	char text[ENCODE_BASE64_SIZE(MADE_BYTES)];

	if (random_bytes(raw, sizeof(raw), err) < 0)
		return -1;
	encode_base64url(raw, sizeof(raw), text);
	int rc = secret_set(s, text, err);
	secret_wipe(raw, sizeof(raw));
	secret_wipe(text, sizeof(text));
	return rc;
}

const char *secret_reveal(const struct secret *s)
{
	return s->bytes == NULL ? "" : s->bytes;
}

const char *secret_shown(const struct secret *s)
{
	return s->bytes == NULL ? "" : "***";
}

void secret_fini(struct secret *s)
{
	if (s->bytes != NULL)
		secret_wipe(s->bytes, s->len);
	free(s->bytes);
	*s = (struct secret){0};
}

void secret_wipe(void *bytes, size_t len)
{
	explicit_bzero(bytes, len);
}
