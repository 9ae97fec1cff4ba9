#include "builders/engines/engine.h"

#include "builders/scripts.h"
#include <stddef.h>

#define IMAGE ENGINE_IMAGE("WALG_IMAGE", walg_image)

const struct engine engine_walg = {
	.which = ENGINE_WALG,
	.reads[STORAGE_S3] = {script_restore_walg, IMAGE},
	.reads[STORAGE_FILE] = {script_restore_walg, IMAGE},
	.keys = {{"libsodiumKey", "WALG_LIBSODIUM_KEY"}, {"libsodiumKeyTransform", "WALG_LIBSODIUM_KEY_TRANSFORM"},
		{"pgpKey", "WALG_PGP_KEY"}, {"pgpKeyPassphrase", "WALG_PGP_KEY_PASSPHRASE"}},
};
