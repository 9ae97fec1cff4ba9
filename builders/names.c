#include "builders/names.h"

#include "base/buf.h"
#include "base/encode.h"
#include <stdio.h>
#include <string.h>

int round_key(const char *snapshot_id, int attempt, char out[ROUND_KEY_SIZE], struct error *err)
{
	AUTO(buf) struct buf text;
	buf_init(&text, 64 + strlen(snapshot_id));
	if (buf_addf(&text, err, "%s\n%d", snapshot_id, attempt) != 0)
		return error_wrap(err, "round key of snapshot %s", snapshot_id);

	unsigned char digest[ENCODE_SHA256_BYTES];
	if (encode_sha256(text.data, text.len, digest, err) != 0)
		return error_wrap(err, "round key of snapshot %s", snapshot_id);
	encode_hex(digest, (ROUND_KEY_SIZE - 1) / 2, out);
	return 0;
}

// A key is 8 characters, so nothing is ever cut.
static void with_suffix(const char *stem, const char *key, char out[OBJECT_NAME_SIZE])
{
	(void)snprintf(out, OBJECT_NAME_SIZE, "%s-%.*s", stem, ROUND_KEY_SIZE - 1, key);
}

void name_restore(const char *key, char out[OBJECT_NAME_SIZE])
{
	with_suffix("restore", key, out);
}

void name_pvc(const char *key, char out[OBJECT_NAME_SIZE])
{
	with_suffix("pgdata", key, out);
}

void name_deployment(const char *key, char out[OBJECT_NAME_SIZE])
{
	with_suffix("postgres", key, out);
}

// ASCII alone: isalnum() would ask the locale.
static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool label_value(const char *text, char out[LABEL_VALUE_SIZE])
{
	const char *from = text;
	while (*from != '\0' && !is_alnum(*from))
		from++;
	size_t len = 0;
	for (; len < LABEL_VALUE_SIZE - 1 && from[len] != '\0'; len++) {
		out[len] = '-';
		if (is_alnum(from[len]) || strchr("-_.", from[len]) != NULL)
			out[len] = from[len];
	}
	while (len > 0 && !is_alnum(out[len - 1]))
		len--;
	out[len] = '\0';
	return strcmp(out, text) == 0;
}
