#include "builders/azure.h"

#include "base/uuid.h"
#include "builders/endpoint.h"
#include "builders/pod.h"
#include <string.h>

bool azure_uses_identity(const struct build *b)
{
	return entry_storage(b->entry) == STORAGE_AZURE && b->entry->client_id != NULL;
}

// It becomes a part of URLs.
static bool is_container_name(const char *text)
{
	size_t len = strlen(text);
	return len >= 3 && len <= 63 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-$") == len;
}

int azure_check(const struct build *b, struct error *err)
{
	const struct entry *entry = b->entry;
	char endpoint[ENDPOINT_SIZE];
	char ignored[UUID_TEXT_SIZE];
	if (entry_storage(entry) != STORAGE_AZURE)
		return 0;
	if (endpoint_azure(b, endpoint, err) != 0)
		return -1;
	if (!is_container_name(entry->bucket))
		return error_set(err, ERROR_INVALID,
			"bucket \"%s\" is no name of a container of Azure Blob: 3 to 63 lower-case letters, digits and hyphens",
			entry->bucket);
	if (entry->client_id != NULL && uuid_parse(entry->client_id, ignored, err) != 0)
		return error_wrap(err, "client_id");
	return 0;
}

// One key a line.
// clang-format off
json_t *azure_environment(const struct build *b, const char *secret, const char *endpoint)
{
	const struct entry *entry = b->entry;
	AUTO(json)
	json_t *list = json_pack("[o, o, o, o]",
		pod_env("AZURE_ENDPOINT", endpoint),
		pod_env("AZURE_ACCOUNT", entry->account),
		pod_env("AZURE_CONTAINER", entry->bucket),
		pod_env("S3_PREFIX", entry->prefix));
	if (!azure_uses_identity(b) && json_array_append_new(list, pod_env_secret("AZURE_SAS_TOKEN", secret, AZURE_KEY_SAS)) != 0)
		return NULL;
	if (endpoint_has_own_ca(b) &&
		json_array_append_new(list, pod_env("S3_CA_FILE", ENDPOINT_CA_MOUNT "/" ENDPOINT_CA_FILE)) != 0)
		return NULL;
	return TAKE_PTR(list);
}
// clang-format on
