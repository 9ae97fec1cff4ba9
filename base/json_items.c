#include "base/json_items.h"

#include <string.h>

// Deeper than any Kubernetes object or worklist entry; jansson would recurse for each level.
#define DEPTH_MAX 100

enum state {
	STATE_START,    // before the document's first byte
	STATE_ENVELOPE, // in the object, outside the array
	STATE_VALUE,    // after the array's key and colon
	STATE_ARRAY,
	STATE_DONE, // only white space may follow
	STATE_FAILED,
};

void json_items_init(struct json_items *s, const char *key, size_t max_item_bytes, json_items_on_item on_item, void *arg)
{
	*s = (struct json_items){.key = key, .on_item = on_item, .arg = arg, .state = STATE_START};
	buf_init(&s->element, max_item_bytes);
	buf_init(&s->envelope, max_item_bytes);
}

void json_items_fini(struct json_items *s)
{
	buf_fini(&s->element);
	buf_fini(&s->envelope);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// Follow strings and brackets. *run is the number of bytes before the first one that matters at depth `floor`: a comma, a colon
// or a closing bracket outside strings; len when there is none.
static int follow(struct json_items *s, const char *data, size_t len, int floor, size_t *run, struct error *err)
{
	size_t i = 0;
	for (; i < len; i++) {
		char c = data[i];
		if (s->in_string) {
			if (!s->escaped && c == '"')
				s->in_string = false;
			s->escaped = !s->escaped && c == '\\';
		} else if (c == '"') {
			s->in_string = true;
		} else if (c == '[' || c == '{') {
			if (++s->depth > DEPTH_MAX)
				return error_set(err, ERROR_INVALID, "JSON is nested deeper than %d", DEPTH_MAX);
		} else if (s->depth > floor) {
			s->depth -= c == ']' || c == '}' ? 1 : 0;
		} else if (c == ',' || c == ':' || c == ']' || c == '}') {
			break;
		}
	}
	*run = i;
	return 0;
}

static int hand_over(struct json_items *s, struct error *err)
{
	AUTO(json) json_t *item = NULL;
	if (json_parse(buf_str(&s->element), s->element.len, &item, err) < 0)
		return error_wrap(err, "element %zu", s->items + 1);
	buf_reset(&s->element);
	s->items++;
	return s->on_item(s->arg, item, err);
}

static bool is_blank(const struct buf *b)
{
	for (size_t i = 0; i < b->len; i++) {
		if (!is_space(b->data[i]))
			return false;
	}
	return true;
}

static int in_array(struct json_items *s, const char *data, size_t len, size_t *used, struct error *err)
{
	size_t run = 0;
	if (follow(s, data, len, 0, &run, err) < 0)
		return -1;
	if (buf_add(&s->element, data, run, err) < 0)
		return error_wrap(err, "element %zu", s->items + 1);
	*used = run;
	if (run == len)
		return 0;

	char c = data[run];
	*used = run + 1;
	if (c == ',')
		return hand_over(s, err);
	if (c != ']')
		return error_set(err, ERROR_INVALID, "invalid JSON after element %zu: unexpected '%c'", s->items, c);
	bool empty = s->items == 0 && is_blank(&s->element);
	if (!empty && hand_over(s, err) < 0)
		return -1;
	s->state = s->key == NULL ? STATE_DONE : STATE_ENVELOPE;
	s->depth = s->key == NULL ? 0 : 1;
	return buf_add(&s->envelope, "]", 1, err);
}

// Whether the envelope ends with the array's key. A quote within a string has a backslash before it, one that opens a string
// never has: the byte before the quote tells whether what is compared is a whole key.
static bool ends_with_key(const struct json_items *s)
{
	const char *text = buf_str(&s->envelope);
	size_t end = s->envelope.len;
	size_t key_len = strlen(s->key);

	while (end > 0 && is_space(text[end - 1]))
		end--;
	if (end < key_len + 3)
		return false;
	const char *open = text + end - key_len - 2;
	return open[0] == '"' && open[key_len + 1] == '"' && memcmp(open + 1, s->key, key_len) == 0 && open[-1] != '\\';
}

static int in_envelope(struct json_items *s, const char *data, size_t len, size_t *used, struct error *err)
{
	size_t run = 0;
	if (follow(s, data, len, 1, &run, err) < 0)
		return -1;
	*used = run < len ? run + 1 : run;
	if (run < len && (data[run] == '}' || data[run] == ']')) {
		s->state = STATE_DONE;
		s->depth = 0;
	}
	if (buf_add(&s->envelope, data, run, err) < 0)
		return -1;
	if (run < len && data[run] == ':' && ends_with_key(s))
		s->state = STATE_VALUE;
	return buf_add(&s->envelope, data + run, *used - run, err);
}

// The value of the array's key: anything but an array is left to finish, which sees it in the envelope.
static int at_value(struct json_items *s, char c, size_t *used, struct error *err)
{
	*used = 0;
	if (!is_space(c) && c != '[') {
		s->state = STATE_ENVELOPE;
		return 0;
	}
	if (c == '[') {
		s->state = STATE_ARRAY;
		s->depth = 0;
	}
	*used = 1;
	return buf_add(&s->envelope, &c, 1, err);
}

static int at_start(struct json_items *s, char c, struct error *err)
{
	if (is_space(c))
		return 0;
	if (c != (s->key == NULL ? '[' : '{'))
		return error_set(err, ERROR_INVALID, "the document is no JSON %s", s->key == NULL ? "array" : "object");
	s->state = s->key == NULL ? STATE_ARRAY : STATE_ENVELOPE;
	s->depth = s->key == NULL ? 0 : 1;
	return buf_add(&s->envelope, &c, 1, err);
}

static int step(struct json_items *s, const char *data, size_t len, size_t *used, struct error *err)
{
	switch ((enum state)s->state) {
	case STATE_START:
		*used = 1;
		return at_start(s, data[0], err);
	case STATE_ENVELOPE:
		return in_envelope(s, data, len, used, err);
	case STATE_VALUE:
		return at_value(s, data[0], used, err);
	case STATE_ARRAY:
		return in_array(s, data, len, used, err);
	case STATE_DONE:
		*used = 1;
		return is_space(data[0]) ? 0 : error_set(err, ERROR_INVALID, "bytes after the end of the JSON document");
	case STATE_FAILED:
		break;
	}
	return error_set(err, ERROR_INTERNAL, "JSON decoder was fed after a failure");
}

int json_items_feed(struct json_items *s, const char *data, size_t len, struct error *err)
{
	while (len > 0) {
		size_t used = 0;
		if (step(s, data, len, &used, err) < 0) {
			s->state = STATE_FAILED;
			return -1;
		}
		data += used;
		len -= used;
	}
	return 0;
}

int json_items_finish(struct json_items *s, json_t **envelope, struct error *err)
{
	if (s->state == STATE_FAILED)
		return error_set(err, ERROR_INTERNAL, "JSON decoder was finished after a failure");
	if (s->state != STATE_DONE)
		return error_set(err, ERROR_INVALID, "JSON is cut short after element %zu", s->items);

	AUTO(json) json_t *whole = NULL;
	if (json_parse(buf_str(&s->envelope), s->envelope.len, &whole, err) < 0)
		return error_wrap(err, "around the elements");
	if (s->key != NULL) {
		const json_t *array = json_object_get(whole, s->key);
		if (array == NULL)
			return error_set(err, ERROR_INVALID, "\"%s\" is missing", s->key);
		// Go writes an empty slice as null where nobody made it an empty one.
		if (!json_is_null(array) && !json_is_array(array))
			return error_set(err, ERROR_INVALID, "\"%s\" is no array", s->key);
		// Its elements were not seen on the way, since the key is spelled with escapes.
		if (json_array_size(array) > 0)
			return error_set(err, ERROR_INVALID, "\"%s\" is spelled with escapes", s->key);
	}
	if (envelope != NULL)
		*envelope = TAKE_PTR(whole);
	return 0;
}
