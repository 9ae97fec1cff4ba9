#include "builders/engines/engine.h"

#include "builders/scripts.h"
#include <stddef.h>

const struct engine engine_basebackup = {
	.which = ENGINE_BASEBACKUP,
	.reads[STORAGE_S3] = {script_restore_basebackup, ENGINE_IMAGE("RCLONE_IMAGE", rclone_image)},
	.reads[STORAGE_AZURE] = {script_restore_basebackup_azure, ENGINE_IMAGE("RCLONE_IMAGE", rclone_image)},
	.reads_by_identity = {script_restore_basebackup_azure_identity, ENGINE_IMAGE("AZCOPY_IMAGE", azcopy_image)},
	.reads[STORAGE_FILE] = {script_restore_basebackup_file, ENGINE_IMAGE("RCLONE_IMAGE", rclone_image)},
};
