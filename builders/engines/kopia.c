#include "builders/engines/engine.h"

#include "builders/scripts.h"
#include <stddef.h>

const struct engine engine_kopia = {
	.which = ENGINE_KOPIA,
	.reads[STORAGE_S3] = {script_restore_kopia, ENGINE_IMAGE("KOPIA_IMAGE", kopia_image)},
	.password_variable = "KOPIA_PASSWORD",
};
