// An engine: the tool that turns "this backup, that empty volume" into what PostgreSQL starts from. docs/engines.md shows how to
// write one.
//
// An engine is its row (NAME.c, `engine_NAME`) and its script (NAME.sh, put together by builders/scripts/list). Its name stands
// in SETTINGS_ENGINES (base/settings.h) alone. In the restore Job its script runs as the one container, beside the credential
// proxy where that is used, and leaves a data directory at /pgdata/pgdata. What needs a server of the backup's major is done
// later, in the init step of the Deployment, by an engine's own `prepare`.
//
// What the init step knows of the engine comes by two ways. Which engine it was, the termination message of the restore Job says
// (member `engine`: name and version), and build_restored.engine holds: a round keeps the engine that wrote its volume, whatever
// the entry says by then. All else is read from the entry.
//
// Rows are constant; the functions are pure. Any thread.
#ifndef BUILDERS_ENGINES_ENGINE_H
#define BUILDERS_ENGINES_ENGINE_H

#include "builders/objects.h"

// Where the claim of a `file` backup is mounted, read-only, and the folder in it that the entry's prefix names.
#define ENGINE_BACKUP_MOUNT "/backup"
#define ENGINE_BACKUP_VARIABLE "BACKUP_DIR"

// How an engine reads one kind of storage. All zero: it does not.
struct engine_reader {
	const char *script;        // of the restore container
	const char *image_setting; // the variable that sets its image, for messages
	size_t image;              // offset of the image, a char *, in struct settings
};
#define ENGINE_IMAGE(variable, member) .image_setting = (variable), .image = offsetof(struct settings, member)

// What an engine has the Deployment's init step do in the place of builders/scripts/prepare.sh, whose parts its script shares.
struct engine_prepare {
	const char *script;                            // NULL: prepare.sh, and the members below are not used
	json_t *(*environment)(const struct build *b); // further variables; as in struct engine
	bool reads_backup;                             // the claim of a `file` backup is mounted there too
};

// A key of the Secret that an entry names, by the same name in Secret `restore-<key>`, and the variable that the engine has it
// in. Where the entry's Secret lacks it, the variable is empty.
struct engine_key {
	const char *key;
	const char *variable;
};

struct engine {
	enum settings_engine which;
	struct engine_reader reads[STORAGE_COUNT];
	struct engine_reader reads_by_identity; // azure without a SAS, builders/azure.h; all zero: it cannot
	bool is_tls_only;                       // it speaks to S3 by TLS alone, and so not with the proxy on loopback
	const char *password_variable;          // where it looks for the password of the repository; NULL: there is none
	bool is_password_optional;              // a repository may have none
	// Further secrets, such as keys that decrypt; behind the last one `key` is NULL.
	struct engine_key keys[CANOPY_ENGINE_KEYS + 1];
	// What else it wants of the entry: ERROR_INVALID says what. May be NULL.
	int (*check)(const struct build *b, struct error *err);
	// Further variables of the restore container, from the entry: a new array. NULL as in builders/metadata.h. May be NULL.
	json_t *(*environment)(const struct build *b);
	struct engine_prepare prepare;
};

#define X(NAME, name) extern const struct engine engine_##name;
SETTINGS_ENGINES(X)
#undef X

// The engine of an entry: its `engine`, else the settings' for its backup type, else kopia. ERROR_INVALID says what does not go
// together and what does: an engine that does not read the entry's storage, one that goes past the proxy and may not, a folder
// that leaves its volume, an image that is not set.
MUST_CHECK int engine_of(const struct build *b, const struct engine **out, struct error *err);

// What of engine_of() is the entry's fault, whatever the rest of the settings says.
MUST_CHECK int engine_check_entry(const struct build *b, struct error *err);

const char *engine_name(const struct engine *engine);

// For an engine that engine_of() gave: the image and the script that read this entry's storage.
const char *engine_image(const struct build *b, const struct engine *engine);
const char *engine_script(const struct build *b, const struct engine *engine);

// Does the engine of an entry want a password of the repository? Not where the entry has none of our engines.
bool engine_needs_password(const struct settings *settings, const struct entry *entry);

// Does the engine of an entry speak to S3 by TLS alone, past the credential proxy? engine_of() refuses it where the settings do
// not allow its backup type to.
bool engine_is_tls_only(const struct build *b);

// The further secrets of an entry's engine, up to the one whose `key` is NULL.
const struct engine_key *engine_keys(const struct settings *settings, const struct entry *entry);

// The engine that a termination message names ("kopia 0.17.0"); NULL for none of ours.
const struct engine *engine_said(const char *said);

// The claim of a `file` backup for a pod: volume and mount. NULL as in builders/metadata.h.
json_t *engine_backup_volume(const struct build *b);
json_t *engine_backup_mount(void);
// Its folder, as variable BACKUP_DIR.
json_t *engine_backup_folder(const struct build *b);

#endif
