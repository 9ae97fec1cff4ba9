// The settings' YAML file (base/settings.h): refused with its place, or taken, and then each value is taken again as it is
// printed.
#include "base/settings_table.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

#define TEXT_MAX ((size_t)4 << 20)

static char path[FUZZ_PATH_SIZE];

static const char *env(const char *name)
{
	return strcmp(name, "UNDERSTORY_CONFIG") == 0 ? path : NULL;
}

static bool is_list(const struct setting *row)
{
	return row->type == SETTING_PAIRS || row->type == SETTING_TOLERATIONS || row->type == SETTING_ENGINES ||
	       row->type == SETTING_FLAVOURS || row->type == SETTING_TEXTS;
}

static void print(const struct settings *settings, const struct setting_place *place, struct buf *out)
{
	struct error err = {0};
	buf_init(out, TEXT_MAX);
	FUZZ_CHECK(setting_print(settings, place, out, &err) == 0, "%s is not printed: %s", place->row->key, err.text);
}

// Lists have no text form, and a password is not shown.
static void check_value(struct settings *settings, const struct setting_place *place)
{
	struct error err = {0};
	AUTO(buf) struct buf first;
	AUTO(buf) struct buf second;
	print(settings, place, &first);
	buf_init(&second, TEXT_MAX);
	if (is_list(place->row) || first.len == 0 || place->row->may_hold_password)
		return;
	FUZZ_CHECK(setting_set(settings, place, buf_str(&first), &err) == 0, "%s: %s is printed and not taken: %s",
		place->row->key, buf_str(&first), err.text);
	print(settings, place, &second);
	FUZZ_CHECK(strcmp(buf_str(&first), buf_str(&second)) == 0, "%s: %s becomes %s", place->row->key, buf_str(&first),
		buf_str(&second));
}

static void check_settings(struct settings *settings)
{
	struct error err = {0};
	struct setting_place place;
	for (size_t i = 0; setting_at(i, &place); i++)
		check_value(settings, &place);
	for (int i = 0; i < INTENT_COUNT; i++)
		FUZZ_CHECK(
			settings_check_sizing(&settings->intents[i], &err) == 0, "sizes that Kubernetes refuses: %s", err.text);
	FUZZ_CHECK(settings->canopy_base_url == NULL || settings->worklist_file == NULL, "two worklists");
	for (size_t i = 0; i < settings->engine_count; i++)
		FUZZ_CHECK(settings_engine_for(settings, settings->engines[i].type) == settings->engines[i].engine,
			"another engine");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	AUTO(settings) struct settings *settings = NULL;
	int fd = fuzz_file_open(data, size, path);
	if (settings_load(env, &settings, &err) == 0) {
		check_settings(settings);
	} else {
		fuzz_check_error(&err);
		FUZZ_CHECK(err.kind == ERROR_INVALID && settings == NULL, "%s: %s", error_kind_text(err.kind), err.text);
	}
	fuzz_file_close(fd);
	return 0;
}
