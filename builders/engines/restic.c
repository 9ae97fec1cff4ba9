#include "builders/engines/engine.h"

#include "builders/scripts.h"
#include <stddef.h>

const struct engine engine_restic = {
	.which = ENGINE_RESTIC,
	.reads[STORAGE_S3] = {script_restore_restic, ENGINE_IMAGE("RESTIC_IMAGE", restic_image)},
	.password_variable = "RESTIC_PASSWORD",
};
