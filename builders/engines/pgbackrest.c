#include "builders/engines/engine.h"

#include "builders/pod.h"
#include "builders/scripts.h"
#include <stddef.h>
#include <string.h>

// A stanza is a directory of the repository.
static bool is_stanza(const char *text)
{
	static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
	return text != NULL && *text != '\0' && strchr(first, *text) != NULL && strspn(text, all) == strlen(text);
}

static int check(const struct build *b, struct error *err)
{
	if (is_stanza(b->entry->stanza))
		return 0;
	return error_set(
		err, ERROR_INVALID, "engine pgbackrest needs `stanza` in the entry: letters, digits, \"-\", \"_\" and \".\"");
}

static json_t *environment(const struct build *b)
{
	return json_pack("[o]", pod_env("STANZA", b->entry->stanza));
}

const struct engine engine_pgbackrest = {
	.which = ENGINE_PGBACKREST,
	.reads[STORAGE_S3] = {script_restore_pgbackrest, ENGINE_IMAGE("PGBACKREST_IMAGE", pgbackrest_image)},
	.reads[STORAGE_AZURE] = {script_restore_pgbackrest, ENGINE_IMAGE("PGBACKREST_IMAGE", pgbackrest_image)},
	.is_tls_only = true,
	.password_variable = "REPOSITORY_PASSWORD",
	.is_password_optional = true,
	.check = check,
	.environment = environment,
};
