#include "canopy/proxy/query.h"

#include "canopy/proxy/uri.h"
#include <stdlib.h>
#include <string.h>

// Decoded, with a NUL behind it that is not part of it.
static int add_decoded(struct query *query, const char *raw, size_t len, size_t *at, size_t *decoded_len, struct error *err)
{
	*at = query->text.len;
	if (uri_decode(raw, len, true, &query->text, err) < 0)
		return -1;
	*decoded_len = query->text.len - *at;
	return buf_add(&query->text, "", 1, err);
}

static int add_pair(struct query *query, const char *raw, size_t len, struct error *err)
{
	if (query->count == QUERY_PAIRS_MAX)
		return error_set(err, ERROR_INVALID, "the query has more than %d parameters", QUERY_PAIRS_MAX);
	struct query_pair *pair = &query->pairs[query->count];
	const char *equals = memchr(raw, '=', len);
	size_t name_len = equals == NULL ? len : (size_t)(equals - raw);
	const char *value = equals == NULL ? raw + len : equals + 1;
	if (add_decoded(query, raw, name_len, &pair->name, &pair->name_len, err) < 0 ||
		add_decoded(query, value, (size_t)(raw + len - value), &pair->value, &pair->value_len, err) < 0)
		return -1;
	query->count++;
	return 0;
}

int query_read(const char *raw, size_t len, struct query *out, struct error *err)
{
	*out = (struct query){0};
	buf_init(&out->text, QUERY_BYTES_MAX);
	while (len > 0) {
		const char *and = memchr(raw, '&', len);
		size_t part = and == NULL ? len : (size_t)(and-raw);
		if (part > 0 && add_pair(out, raw, part, err) < 0)
			return -1;
		size_t used = and == NULL ? part : part + 1;
		raw += used;
		len -= used;
	}
	return 0;
}

void query_fini(struct query *query)
{
	buf_fini(&query->text);
	*query = (struct query){0};
}

const char *query_find(const struct query *query, const char *name, size_t *len)
{
	for (size_t i = 0; i < query->count; i++) {
		const struct query_pair *pair = &query->pairs[i];
		if (pair->name_len == strlen(name) && memcmp(query->text.data + pair->name, name, pair->name_len) == 0) {
			if (len != NULL)
				*len = pair->value_len;
			return query->text.data + pair->value;
		}
	}
	return NULL;
}

bool query_is_within(const struct query *query, const char *const *names, const char **stranger)
{
	for (size_t i = 0; i < query->count; i++) {
		const char *name = query->text.data + query->pairs[i].name;
		bool known = false;
		for (size_t k = 0; names[k] != NULL && !known; k++)
			known = strcmp(names[k], name) == 0;
		// query_find() gives the first of that name: another place means that this one is a second.
		if (!known || query_find(query, name, NULL) != query->text.data + query->pairs[i].value) {
			*stranger = name;
			return false;
		}
	}
	return true;
}

// An encoded pair. Sorted as text, "name=value" gives another order than the name alone where one name begins another ("a-b" and
// "a"): names are compared first.
struct coded {
	char *name;
	char *value;
};

static int compare(const void *a, const void *b)
{
	const struct coded *left = a;
	const struct coded *right = b;
	int order = strcmp(left->name, right->name);
	return order != 0 ? order : strcmp(left->value, right->value);
}

static int encoded(const char *text, size_t len, char **out, struct error *err)
{
	struct buf made;
	buf_init(&made, 3 * QUERY_BYTES_MAX);
	if (buf_add(&made, "", 0, err) < 0 || uri_encode(text, len, false, &made, err) < 0) {
		buf_fini(&made);
		return -1;
	}
	*out = made.data;
	return 0;
}

static int print_sorted(const struct query *query, struct coded *coded, struct buf *out, struct error *err)
{
	for (size_t i = 0; i < query->count; i++) {
		const struct query_pair *pair = &query->pairs[i];
		if (encoded(query->text.data + pair->name, pair->name_len, &coded[i].name, err) < 0 ||
			encoded(query->text.data + pair->value, pair->value_len, &coded[i].value, err) < 0)
			return -1;
	}
	qsort(coded, query->count, sizeof(coded[0]), compare);
	for (size_t i = 0; i < query->count; i++) {
		if (buf_addf(out, err, "%s%s=%s", i == 0 ? "" : "&", coded[i].name, coded[i].value) < 0)
			return -1;
	}
	return 0;
}

int query_canonical(const struct query *query, struct buf *out, struct error *err)
{
	struct coded coded[QUERY_PAIRS_MAX] = {{0}};
	int rc = print_sorted(query, coded, out, err);
	for (size_t i = 0; i < query->count; i++) {
		free(coded[i].name);
		free(coded[i].value);
	}
	return rc;
}
