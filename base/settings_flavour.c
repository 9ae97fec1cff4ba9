#include "base/settings_flavour.h"

#include <stdlib.h>
#include <string.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define ALNUM LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static char stock_name[] = FLAVOUR_STOCK, durable_name[] = "pg_durable";
static const struct settings_flavour built_in[] = {{.name = stock_name}, {.name = durable_name}};
#define BUILT_IN_COUNT (sizeof(built_in) / sizeof(built_in[0]))

static const struct settings_flavour *find(const struct settings_flavour *list, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(list[i].name, name) == 0)
			return &list[i];
	}
	return NULL;
}

const struct settings_flavour *settings_find_flavour(const struct settings *settings, const char *name)
{
	const struct settings_flavour *set = find(settings->flavours, settings->flavour_count, name);
	return set != NULL ? set : find(built_in, BUILT_IN_COUNT, name);
}

int settings_flavour_names(const struct settings *settings, struct buf *out, struct error *err)
{
	for (size_t i = 0; i < BUILT_IN_COUNT; i++) {
		if (buf_addf(out, err, "%s%s", i == 0 ? "" : ", ", built_in[i].name) < 0)
			return -1;
	}
	for (size_t i = 0; i < settings->flavour_count; i++) {
		const char *name = settings->flavours[i].name;
		if (find(built_in, BUILT_IN_COUNT, name) == NULL && buf_addf(out, err, ", %s", name) < 0)
			return -1;
	}
	return 0;
}

bool settings_is_flavour_name(const char *text)
{
	size_t len = strlen(text);
	return len >= 1 && len < FLAVOUR_NAME_SIZE && strspn(text, ALNUM "-_.") == len && strspn(text, ALNUM) >= 1 &&
	       strchr(ALNUM, text[len - 1]) != NULL;
}

const char *settings_flavour_label(const struct settings_flavour *flavour)
{
	return flavour->label == NULL ? flavour->name : flavour->label;
}

static bool is_one_of(const char *text, const char *const *texts)
{
	for (; *texts != NULL; texts++) {
		if (strcmp(text, *texts) == 0)
			return true;
	}
	return false;
}

// The scripts of the pods have names of their own.
static bool is_free_variable(const char *name)
{
	static const char *const taken[] = {"HOME", "PATH", "POD_IP", "TLS_DIR", "INTENT", "ALLOW_RESET_WAL", "POSTGRES_PASSWORD",
		"ANALYTICS_PASSWORD", "PRELOAD", "HBA_LOCAL", "PASSWORDS", NULL};
	return *name != '\0' && strspn(name, ALNUM "_") == strlen(name) && strspn(name, "0123456789") == 0 &&
	       strncmp(name, "PG", 2) != 0 && !is_one_of(name, taken);
}

// "host DATABASE USER ADDRESS METHOD", from this pod alone, and nothing that sends PostgreSQL to another file.
static bool is_local_hba(const char *line)
{
	static const char *const types[] = {"host", "hostssl", "hostnossl", NULL};
	static const char *const addresses[] = {"127.0.0.1/32", "::1/128", "localhost", NULL};
	char words[5][64];
	size_t count = 0;
	if (strpbrk(line, "\"@#\\'\n") != NULL)
		return false;
	for (line += strspn(line, " \t"); *line != '\0'; line += strspn(line, " \t")) {
		size_t len = strcspn(line, " \t");
		if (count < 5 && len < sizeof(words[0])) {
			memcpy(words[count], line, len);
			words[count][len] = '\0';
		} else if (count < 5) {
			return false;
		}
		count++;
		line += len;
	}
	return count >= 5 && is_one_of(words[0], types) && is_one_of(words[3], addresses);
}

static int refuse(const char *member, const char *value, const char *allowed, struct error *err)
{
	return error_set(err, ERROR_INVALID, "%s: \"%.100s\": allowed is %s", member, value, allowed);
}

static int check_lists(const struct settings_flavour *f, struct error *err)
{
	for (size_t i = 0; i < f->environment_count; i++) {
		if (!is_free_variable(f->environment[i].key))
			return refuse("environment", f->environment[i].key,
				"a name of letters, digits and _ that is not one of ours (PG..., HOME, PATH, POD_IP and the "
				"like)",
				err);
	}
	for (size_t i = 0; i < f->preload_count; i++) {
		if (strspn(f->preload[i], ALNUM "_-.$/") != strlen(f->preload[i]))
			return refuse("preload", f->preload[i], "a list of names of libraries", err);
	}
	for (size_t i = 0; i < f->hba_count; i++) {
		if (!is_local_hba(f->hba[i]))
			return refuse("hba", f->hba[i],
				"a list of lines \"host DATABASE USER ADDRESS METHOD\" with 127.0.0.1/32, ::1/128 or localhost",
				err);
	}
	return 0;
}

int settings_check_flavour(const struct settings_flavour *f, struct error *err)
{
	if (!settings_is_flavour_name(f->name))
		return error_set(err, ERROR_INVALID, "allowed is a name of letters, digits and inner -_., at most 63 long");
	if (f->label != NULL && !settings_is_flavour_name(f->label))
		return refuse("label", f->label, "a value of a label: letters, digits and inner -_., at most 63 long", err);
	if (f->image != NULL && strspn(f->image, ALNUM "-._/:@[]") != strlen(f->image))
		return refuse("image", f->image, "the name of an image", err);
	if (f->image == NULL && strcmp(f->name, FLAVOUR_STOCK) != 0)
		return error_set(err, ERROR_INVALID, "image: missing, only " FLAVOUR_STOCK " has one without (POSTGRES_IMAGE)");
	if (f->pull_secret != NULL &&
		(strspn(f->pull_secret, LOWER "0123456789-.") != strlen(f->pull_secret) || strlen(f->pull_secret) > 253))
		return refuse("pullSecret", f->pull_secret, "the name of a Secret", err);
	return check_lists(f, err);
}

static void free_texts(char **texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(texts[i]);
	free(texts);
}

void settings_flavour_fini(struct settings_flavour *f)
{
	free(f->name);
	free(f->image);
	free(f->pull_secret);
	free(f->label);
	for (size_t i = 0; i < f->environment_count; i++) {
		free(f->environment[i].key);
		free(f->environment[i].value);
	}
	free(f->environment);
	free_texts(f->preload, f->preload_count);
	free_texts(f->hba, f->hba_count);
	*f = (struct settings_flavour){0};
}
