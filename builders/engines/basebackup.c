#include "builders/engines/engine.h"

#include "builders/scripts.h"
#include <stddef.h>

const struct engine engine_basebackup = {
	.which = ENGINE_BASEBACKUP,
	.reads[STORAGE_S3] = {script_restore_basebackup, ENGINE_IMAGE("RCLONE_IMAGE", rclone_image)},
	.reads[STORAGE_FILE] = {script_restore_basebackup_file, ENGINE_IMAGE("RCLONE_IMAGE", rclone_image)},
};
