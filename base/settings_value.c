#include "base/clock.h"
#include "base/quantity.h"
#include "base/settings_flavour.h"
#include "base/settings_table.h"
#include <inttypes.h>
#include <string.h>

#define SECOND INT64_C(1000)
#define DAY (86400 * SECOND)

// Where the value lives. The struct is written through its own types only.
static void *slot(struct settings *settings, const struct setting_place *place)
{
	char *base = place->intent < 0 ? (char *)settings : (char *)&settings->intents[place->intent];
	return (void *)(base + place->row->offset);
}

static const void *slot_const(const struct settings *settings, const struct setting_place *place)
{
	const char *base = place->intent < 0 ? (const char *)settings : (const char *)&settings->intents[place->intent];
	return (const void *)(base + place->row->offset);
}

static size_t list_count(const struct settings *settings, const struct setting_place *place)
{
	const char *base = place->intent < 0 ? (const char *)settings : (const char *)&settings->intents[place->intent];
	size_t count;
	memcpy(&count, base + place->row->offset2, sizeof(count));
	return count;
}

static size_t *list_count_slot(struct settings *settings, const struct setting_place *place)
{
	char *base = place->intent < 0 ? (char *)settings : (char *)&settings->intents[place->intent];
	return (void *)(base + place->row->offset2);
}

struct setting_pairs setting_pairs(struct settings *settings, const struct setting_place *place)
{
	return (struct setting_pairs){.list = slot(settings, place), .count = list_count_slot(settings, place)};
}

struct setting_texts setting_texts(struct settings *settings, const struct setting_place *place)
{
	return (struct setting_texts){.list = slot(settings, place), .count = list_count_slot(settings, place)};
}

static bool has_control_character(const char *text)
{
	for (const unsigned char *s = (const unsigned char *)text; *s != '\0'; s++) {
		if (*s < 0x20 || *s == 0x7f)
			return true;
	}
	return false;
}

static bool is_url(const struct setting *row, const char *text)
{
	const char *colon = strstr(text, "://");
	for (const char *const *scheme = row->choices; colon != NULL && *scheme != NULL; scheme++) {
		if (strlen(*scheme) != (size_t)(colon - text) || strncmp(*scheme, text, strlen(*scheme)) != 0)
			continue;
		const char *host = colon + 3;
		bool has_host = *host != '\0' && *host != '/' && *host != ':';
		return has_host && strpbrk(text, " \"<>\\^`{|}?#") == NULL &&
		       (row->may_hold_password || strchr(host, '@') == NULL);
	}
	return false;
}

static bool is_port(const char *text)
{
	size_t len = strspn(text, "0123456789");
	return len >= 1 && len <= 5 && text[len] == '\0' && strtol(text, NULL, 10) <= 65535;
}

static bool is_address(const char *text)
{
	const char *colon = strrchr(text, ':');
	if (colon == NULL || !is_port(colon + 1))
		return false;
	size_t host = (size_t)(colon - text);
	if (*text == '[')
		return host > 2 && text[host - 1] == ']' && strspn(text + 1, "0123456789abcdefABCDEF:.%") == host - 2;
	return memchr(text, ':', host) == NULL && strcspn(text, " /[]@") >= host;
}

// RFC 1123 as Kubernetes takes it for the names of namespaces and Services.
static bool is_name(const char *text)
{
	size_t len = strlen(text);
	return len >= 1 && len <= 63 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == len && *text != '-' &&
	       text[len - 1] != '-';
}

static bool is_image(const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/:@[]";
	return *text != '\0' && strspn(text, allowed) == strlen(text);
}

static bool is_repository(const char *text)
{
	const char *slash = strrchr(text, '/');
	return is_image(text) && strpbrk(slash == NULL ? text : slash, ":@") == NULL;
}

static bool is_good_text(const struct setting *row, const char *text)
{
	struct error ignored;
	int64_t number = 0;
	switch ((int)row->type) {
	case SETTING_URL:
		return is_url(row, text);
	case SETTING_ADDRESS:
		return is_address(text);
	case SETTING_NAME:
		return is_name(text);
	case SETTING_IMAGE:
		return is_image(text);
	case SETTING_REPOSITORY:
		return is_repository(text);
	case SETTING_CPU:
		return quantity_milli(text, &number, &ignored) == 0 && number > 0;
	case SETTING_MEMORY:
		return quantity_bytes(text, &number, &ignored) == 0 && number > 0;
	default:
		return *text != '\0';
	}
}

static bool read_count(const struct setting *row, const char *text, int64_t *out)
{
	size_t len = strlen(text);
	if (len == 0 || len > 9 || strspn(text, "0123456789") != len)
		return false;
	*out = strtol(text, NULL, 10);
	return *out >= row->minimum && *out <= row->maximum;
}

static bool read_duration(const struct setting *row, const char *text, int64_t *out)
{
	struct error ignored;
	return clock_parse_duration(text, out, &ignored) == 0 && *out >= row->minimum && *out <= row->maximum &&
	       *out % SECOND == 0;
}

static bool read_bytes(const struct setting *row, const char *text, int64_t *out)
{
	struct error ignored;
	return quantity_bytes(text, out, &ignored) == 0 && *out >= row->minimum && *out <= row->maximum;
}

static bool read_choice(const char *const *choices, const char *text, int64_t *out)
{
	for (*out = 0; choices[*out] != NULL; (*out)++) {
		if (strcmp(choices[*out], text) == 0)
			return true;
	}
	return false;
}

static bool read_backoff(const struct setting *row, const char *text, int64_t out[3])
{
	char part[32];
	for (int i = 0; i < 3; i++) {
		size_t len = strcspn(text, ",");
		if (len >= sizeof(part) || (text[len] == ',') != (i < 2))
			return false;
		memcpy(part, text, len);
		part[len] = '\0';
		if (!read_duration(row, part, &out[i]))
			return false;
		text += len + (i < 2);
		text += strspn(text, " ");
	}
	return true;
}

// What may be shown of a text that may hold a password.
static int print_text(const struct setting *row, const char *text, struct buf *out, struct error *err)
{
	const char *at = row->may_hold_password ? strrchr(text, '@') : NULL;
	const char *scheme = strstr(text, "://");
	if (at == NULL)
		return buf_add_str(out, text, err);
	int scheme_len = scheme == NULL || scheme > at ? 0 : (int)(scheme - text) + 3;
	return buf_addf(out, err, "%.*s***%s", scheme_len, text, at);
}

static int refuse(const struct setting *row, const char *text, struct error *err)
{
	AUTO(buf) struct buf allowed;
	AUTO(buf) struct buf shown;
	buf_init(&allowed, ERROR_TEXT_MAX);
	buf_init(&shown, 1 << 20);
	if (print_text(row, text, &shown, err) < 0 || setting_allowed(row, &allowed, err) < 0)
		return -1;
	return error_set(err, ERROR_INVALID, "\"%.100s\": allowed is %s", buf_str(&shown), buf_str(&allowed));
}

static int set_text(struct settings *settings, const struct setting_place *place, const char *text, struct error *err)
{
	char *copy = strdup(text);
	if (copy == NULL)
		return error_no_memory(err, place->row->key);
	char **at = slot(settings, place);
	free(*at);
	*at = copy;
	return 0;
}

int setting_set(struct settings *settings, const struct setting_place *place, const char *text, struct error *err)
{
	static const char *const switches[] = {"off", "on", NULL};
	const struct setting *row = place->row;
	void *at = slot(settings, place);
	int64_t number = 0;
	int64_t three[3];
	bool good = !has_control_character(text);
	switch (row->type) {
	case SETTING_COUNT:
		good = good && read_count(row, text, &number);
		break;
	case SETTING_DURATION:
		good = good && read_duration(row, text, &number);
		break;
	case SETTING_BYTES:
		good = good && read_bytes(row, text, &number);
		break;
	case SETTING_SWITCH:
		good = good && read_choice(switches, text, &number);
		break;
	case SETTING_CHOICE:
		good = good && read_choice(row->choices, text, &number);
		break;
	case SETTING_BACKOFF:
		good = good && read_backoff(row, text, three);
		if (good)
			memcpy(at, three, sizeof(three));
		return good ? 0 : refuse(row, text, err);
	case SETTING_PAIRS:
	case SETTING_TOLERATIONS:
	case SETTING_ENGINES:
	case SETTING_FLAVOURS:
	case SETTING_TEXTS:
		return refuse(row, text, err);
	case SETTING_TEXT:
	case SETTING_PATH:
	case SETTING_URL:
	case SETTING_ADDRESS:
	case SETTING_NAME:
	case SETTING_IMAGE:
	case SETTING_REPOSITORY:
	case SETTING_CPU:
	case SETTING_MEMORY:
		return good && is_good_text(row, text) ? set_text(settings, place, text, err) : refuse(row, text, err);
	}
	if (!good)
		return refuse(row, text, err);
	if (row->type == SETTING_SWITCH)
		*(bool *)at = number != 0;
	else if (row->type == SETTING_COUNT || row->type == SETTING_CHOICE)
		memcpy(at, &(int){(int)number}, sizeof(int)); // an enum without negative values has the size of an int
	else
		*(int64_t *)at = number;
	return 0;
}

static int print_duration(int64_t ms, struct buf *out, struct error *err)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {{"d", DAY}, {"h", 3600 * SECOND}, {"m", 60 * SECOND}, {"s", SECOND}};
	size_t i = 0;
	while (ms % units[i].ms != 0 || (ms == 0 && units[i].ms != SECOND))
		i++;
	return buf_addf(out, err, "%" PRId64 "%s", ms / units[i].ms, units[i].unit);
}

static int print_bytes(int64_t bytes, struct buf *out, struct error *err)
{
	char text[QUANTITY_TEXT_SIZE];
	quantity_format_bytes(bytes, text);
	return buf_add_str(out, text, err);
}

static int print_choices(const char *const *choices, const char *before_last, struct buf *out, struct error *err)
{
	for (size_t i = 0; choices[i] != NULL; i++) {
		const char *joint = i == 0 ? "" : choices[i + 1] == NULL ? before_last : ", ";
		if (buf_addf(out, err, "%s%s", joint, choices[i]) < 0)
			return -1;
	}
	return 0;
}

static int allowed_range(const struct setting *row, const char *what, struct buf *out, struct error *err)
{
	int (*print)(int64_t, struct buf *, struct error *) = row->type == SETTING_BYTES ? print_bytes : print_duration;
	if (buf_addf(out, err, "%s from ", what) < 0 || print(row->minimum, out, err) < 0 || buf_add_str(out, " to ", err) < 0)
		return -1;
	return print(row->maximum, out, err);
}

int setting_allowed(const struct setting *row, struct buf *out, struct error *err)
{
	switch (row->type) {
	case SETTING_TEXT:
		return buf_add_str(out, "a text without control characters", err);
	case SETTING_PATH:
		return buf_add_str(out, "the path of a file", err);
	case SETTING_URL:
		if (buf_add_str(out, "a URL that begins with ", err) < 0 || print_choices(row->choices, ":// or ", out, err) < 0)
			return -1;
		return buf_addf(out, err, "://%s and has no query", row->may_hold_password ? "" : ", names no user");
	case SETTING_ADDRESS:
		return buf_add_str(out, "HOST:PORT, [IPV6]:PORT or :PORT", err);
	case SETTING_NAME:
		return buf_add_str(out, "a name of lower-case letters, digits and inner hyphens, at most 63 long", err);
	case SETTING_IMAGE:
		return buf_add_str(out, "the name of an image", err);
	case SETTING_REPOSITORY:
		return buf_add_str(out, "the name of an image without tag and digest", err);
	case SETTING_COUNT:
		return buf_addf(out, err, "a whole number from %" PRId64 " to %" PRId64, row->minimum, row->maximum);
	case SETTING_DURATION:
		return allowed_range(row, "a duration of whole seconds (90, 90s, 5m, 2h30m)", out, err);
	case SETTING_BYTES:
		return allowed_range(row, "a size (20Gi, 500M)", out, err);
	case SETTING_CPU:
		return buf_add_str(out, "a number of CPUs (2, 0.5, 500m)", err);
	case SETTING_MEMORY:
		return buf_add_str(out, "a size (512Mi, 2G)", err);
	case SETTING_SWITCH:
		return buf_add_str(out, "on or off", err);
	case SETTING_CHOICE:
		return print_choices(row->choices, " or ", out, err);
	case SETTING_PAIRS:
		return buf_add_str(out, "a mapping of names to texts", err);
	case SETTING_TOLERATIONS:
		return buf_add_str(out, "a list of mappings with key, operator, value and effect", err);
	case SETTING_ENGINES:
		if (buf_add_str(out, "a mapping of backup types to ", err) < 0)
			return -1;
		return print_choices(settings_engine_text, " or ", out, err);
	case SETTING_FLAVOURS:
		return buf_add_str(
			out, "a mapping of names to mappings of image, pullSecret, label, environment, preload and hba", err);
	case SETTING_TEXTS:
		return buf_add_str(out, "a list of texts", err);
	case SETTING_BACKOFF:
		return buf_add_str(out, "three durations of whole seconds, each at most 30d", err);
	}
	return error_set(err, ERROR_INTERNAL, "setting %s has no known type", row->key);
}

static int print_list(const struct settings *settings, const struct setting_place *place, struct buf *out, struct error *err)
{
	size_t count = list_count(settings, place);
	for (size_t i = 0; i < count; i++) {
		if (buf_add_str(out, i == 0 ? "" : ", ", err) < 0)
			return -1;
		int rc = 0;
		if (place->row->type == SETTING_ENGINES) {
			const struct settings_engine_rule *rule = &settings->engines[i];
			rc = buf_addf(out, err, "%s=%s", rule->type, settings_engine_text[rule->engine]);
		} else if (place->row->type == SETTING_FLAVOURS) {
			const struct settings_flavour *flavour = &settings->flavours[i];
			rc = buf_addf(out, err, "%s=%s", flavour->name, flavour->image == NULL ? "-" : flavour->image);
		} else if (place->row->type == SETTING_PAIRS) {
			const struct settings_pair *const *pairs = slot_const(settings, place);
			rc = buf_addf(out, err, "%s=%s", (*pairs)[i].key, (*pairs)[i].value);
		} else if (place->row->type == SETTING_TEXTS) {
			char *const *const *texts = slot_const(settings, place);
			rc = buf_add_str(out, (*texts)[i], err);
		} else {
			const struct settings_toleration *t = &settings->tolerations[i];
			rc = buf_addf(out, err, "%s %s%s%s:%s", t->key == NULL ? "*" : t->key,
				t->operator_ == NULL ? "Equal" : t->operator_, t->value == NULL ? "" : " ",
				t->value == NULL ? "" : t->value, t->effect == NULL ? "*" : t->effect);
		}
		if (rc < 0)
			return -1;
	}
	return 0;
}

static int print_backoff(const int64_t ms[3], struct buf *out, struct error *err)
{
	for (int i = 0; i < 3; i++) {
		if (buf_add_str(out, i == 0 ? "" : ", ", err) < 0 || print_duration(ms[i], out, err) < 0)
			return -1;
	}
	return 0;
}

int setting_print(const struct settings *settings, const struct setting_place *place, struct buf *out, struct error *err)
{
	const void *at = slot_const(settings, place);
	int number = 0;
	switch (place->row->type) {
	case SETTING_COUNT:
		memcpy(&number, at, sizeof(number));
		return buf_addf(out, err, "%d", number);
	case SETTING_CHOICE:
		memcpy(&number, at, sizeof(number));
		return buf_add_str(out, place->row->choices[number], err);
	case SETTING_DURATION:
		return print_duration(*(const int64_t *)at, out, err);
	case SETTING_BYTES:
		return print_bytes(*(const int64_t *)at, out, err);
	case SETTING_SWITCH:
		return buf_add_str(out, *(const bool *)at ? "on" : "off", err);
	case SETTING_BACKOFF:
		return print_backoff(at, out, err);
	case SETTING_PAIRS:
	case SETTING_TOLERATIONS:
	case SETTING_ENGINES:
	case SETTING_FLAVOURS:
	case SETTING_TEXTS:
		return print_list(settings, place, out, err);
	case SETTING_TEXT:
	case SETTING_PATH:
	case SETTING_URL:
	case SETTING_ADDRESS:
	case SETTING_NAME:
	case SETTING_IMAGE:
	case SETTING_REPOSITORY:
	case SETTING_CPU:
	case SETTING_MEMORY:
		break;
	}
	const char *const *text = at;
	return *text == NULL ? buf_add_str(out, "", err) : print_text(place->row, *text, out, err);
}

static void release_list(struct settings *settings, const struct setting_place *place)
{
	size_t count = list_count(settings, place);
	struct settings_pair *pairs = place->row->type == SETTING_PAIRS ? *(struct settings_pair **)slot(settings, place) : NULL;
	char **texts = place->row->type == SETTING_TEXTS ? *(char ***)slot(settings, place) : NULL;
	for (size_t i = 0; i < count; i++) {
		if (place->row->type == SETTING_PAIRS) {
			free(pairs[i].key);
			free(pairs[i].value);
		} else if (place->row->type == SETTING_TEXTS) {
			free(texts[i]);
		} else if (place->row->type == SETTING_ENGINES) {
			free(settings->engines[i].type);
		} else if (place->row->type == SETTING_FLAVOURS) {
			settings_flavour_fini(&settings->flavours[i]);
		} else {
			struct settings_toleration *t = &settings->tolerations[i];
			free(t->key);
			free(t->operator_);
			free(t->value);
			free(t->effect);
		}
	}
	void **list = slot(settings, place);
	free(*list);
	*list = NULL;
	*list_count_slot(settings, place) = 0;
}

void setting_release(struct settings *settings, const struct setting_place *place)
{
	char **text = NULL;
	switch (place->row->type) {
	case SETTING_COUNT:
	case SETTING_DURATION:
	case SETTING_BYTES:
	case SETTING_SWITCH:
	case SETTING_CHOICE:
	case SETTING_BACKOFF:
		break;
	case SETTING_PAIRS:
	case SETTING_TOLERATIONS:
	case SETTING_ENGINES:
	case SETTING_FLAVOURS:
	case SETTING_TEXTS:
		release_list(settings, place);
		break;
	case SETTING_TEXT:
	case SETTING_PATH:
	case SETTING_URL:
	case SETTING_ADDRESS:
	case SETTING_NAME:
	case SETTING_IMAGE:
	case SETTING_REPOSITORY:
	case SETTING_CPU:
	case SETTING_MEMORY:
		text = slot(settings, place);
		free(*text);
		*text = NULL;
		break;
	}
}
