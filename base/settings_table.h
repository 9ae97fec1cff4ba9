// The table behind base/settings.h: one row per setting, and reading and printing by row. Private to base/settings*.c.
//
// A row is filled from text (environment, a YAML scalar, its default) or, where it holds several values, from a YAML node.
#ifndef BASE_SETTINGS_TABLE_H
#define BASE_SETTINGS_TABLE_H

#include "base/buf.h"
#include "base/settings.h"
#include "base/yamltree.h"

enum setting_type {
	SETTING_TEXT,
	SETTING_PATH,
	SETTING_URL,     // choices: its schemes
	SETTING_ADDRESS, // HOST:PORT, [HOST]:PORT or :PORT
	SETTING_NAME,    // a DNS-1123 label: the name of a Kubernetes object
	SETTING_IMAGE,
	SETTING_REPOSITORY, // an image without tag and digest
	SETTING_COUNT,      // int from minimum to maximum
	SETTING_DURATION,   // int64_t ms
	SETTING_BYTES,      // int64_t
	SETTING_CPU,        // kept as text
	SETTING_MEMORY,     // kept as text
	SETTING_SWITCH,     // bool: on, off
	SETTING_CHOICE,     // an enum whose values are the indexes of choices
	SETTING_PAIRS,      // what follows comes from YAML nodes; offset is the array's, offset2 its count's
	SETTING_TOLERATIONS,
	SETTING_ENGINES,
	SETTING_FLAVOURS,
	SETTING_TEXTS,
	SETTING_BACKOFF, // int64_t[3] ms
};

struct setting {
	const char *env; // NULL: only in the file
	const char *key; // in the file; "retry.limit" is limit within retry
	enum setting_type type;
	size_t offset; // in struct settings, or in struct settings_for_intent
	size_t offset2;
	const char *otherwise; // the default as text, NULL for none; see setting_default() for those of intents
	const char *const *choices;
	int64_t minimum, maximum; // of counts, bytes and durations (ms)
	bool may_hold_password;   // of a URL: what stands before its @ is never shown
	const char *help;         // one sentence
};

enum setting_origin { ORIGIN_DEFAULT, ORIGIN_FILE, ORIGIN_ENVIRONMENT };

// A row within its struct: intent is -1 for the rows of struct settings.
struct setting_place {
	const struct setting *row;
	int intent;
	size_t index; // in settings.origins
};

// All places in the order of the dump. Returns false past the last.
bool setting_at(size_t index, struct setting_place *out);
size_t setting_count(void);

// The place of a key: intent -1 and "retry.limit", or INTENT_VERIFY and "cpuLimit". False when there is none.
bool setting_find(int intent, const char *key, struct setting_place *out);

// The default as text; NULL for none.
const char *setting_default(const struct setting_place *place);

// "intents.verify.cpuLimit", or the row's key.
MUST_CHECK int setting_name(const struct setting_place *place, struct buf *out, struct error *err);

// ERROR_INVALID: the value and what is allowed, without the name: the caller knows where it stands.
MUST_CHECK int setting_set(struct settings *settings, const struct setting_place *place, const char *text, struct error *err);

// The list of a row of SETTING_PAIRS, to be filled.
struct setting_pairs {
	struct settings_pair **list;
	size_t *count;
};
struct setting_pairs setting_pairs(struct settings *settings, const struct setting_place *place);

// Likewise of SETTING_TEXTS.
struct setting_texts {
	char ***list;
	size_t *count;
};
struct setting_texts setting_texts(struct settings *settings, const struct setting_place *place);

// What is allowed, in words.
MUST_CHECK int setting_allowed(const struct setting *row, struct buf *out, struct error *err);

// The value as it may be shown; "" when unset. Lists are one line.
MUST_CHECK int setting_print(
	const struct settings *settings, const struct setting_place *place, struct buf *out, struct error *err);

void setting_release(struct settings *settings, const struct setting_place *place);

// settings_yaml.c: lay the file over the settings. ERROR_INVALID "file:line:column: key ...".
MUST_CHECK int settings_read_file(struct settings *settings, const char *path, struct error *err);

#endif
