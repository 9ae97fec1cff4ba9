// Dumps of pg_dump in its custom format. The restore Job brings them onto the volume and says which major can take them; the init
// step of the Deployment makes a cluster and loads them.
#include "builders/engines/engine.h"

#include "builders/pod.h"
#include "builders/scripts.h"
#include <stddef.h>

static json_t *environment_of_job(const struct build *b)
{
	return json_pack(
		"[{s:s, s:o}]", "name", "POSTGRES_NEWEST_MAJOR", "value", json_sprintf("%d", b->settings->postgres_newest_major));
}

static json_t *environment_of_load(const struct build *b)
{
	AUTO(json) json_t *list = json_array();
	if (pod_add_cpu_limit(b, list) != 0)
		return NULL;
	if (b->entry->databases != NULL && json_array_append_new(list, pod_env("DATABASES", b->entry->databases)) != 0)
		return NULL;
	return TAKE_PTR(list);
}

const struct engine engine_dump = {
	.which = ENGINE_DUMP,
	.reads[STORAGE_S3] = {script_restore_dump, ENGINE_IMAGE("RCLONE_IMAGE", rclone_image)},
	.reads[STORAGE_AZURE] = {script_restore_dump_azure, ENGINE_IMAGE("RCLONE_IMAGE", rclone_image)},
	.reads_by_identity = {script_restore_dump_azure_identity, ENGINE_IMAGE("AZCOPY_IMAGE", azcopy_image)},
	.reads[STORAGE_FILE] = {script_restore_dump_file, ENGINE_IMAGE("RCLONE_IMAGE", rclone_image)},
	.environment = environment_of_job,
	.prepare = {.script = script_prepare_dump, .environment = environment_of_load, .reads_backup = true},
};
