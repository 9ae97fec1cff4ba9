#include "base/pack.h"

#include "base/uuid.h"
#include <stdlib.h>
#include <string.h>

#define TEXT_IS_UUID (-1) // in place of the length of a text

// With bytes NULL it only counts.
struct writer {
	unsigned char *bytes;
	size_t len;
};

static void put(struct writer *w, const void *data, size_t len)
{
	if (w->bytes != NULL)
		memcpy(w->bytes + w->len, data, len);
	w->len += len;
}

static void put_byte(struct writer *w, unsigned value)
{
	const unsigned char byte = (unsigned char)value;
	put(w, &byte, 1);
}

// Zigzag and seven bits a byte, as Protocol Buffers do: small numbers of either sign are short.
static void put_number(struct writer *w, int64_t value)
{
	uint64_t left = ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
	for (; left >= 0x80; left >>= 7)
		put_byte(w, (unsigned)(left & 0x7f) | 0x80);
	put_byte(w, (unsigned)left);
}

static int64_t get_number(const unsigned char **at)
{
	uint64_t value = 0;
	unsigned shift = 0;
	for (;; shift += 7) {
		unsigned char byte = *(*at)++;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0)
			break;
	}
	return (int64_t)((value >> 1) ^ ((value & 1) != 0 ? UINT64_MAX : 0));
}

static bool is_canonical_uuid(const char *text, size_t len)
{
	if (len != UUID_TEXT_SIZE - 1)
		return false;
	for (size_t i = 0; i < len; i++) {
		bool is_hyphen = i == 8 || i == 13 || i == 18 || i == 23;
		bool is_digit = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
		if (is_hyphen ? text[i] != '-' : !is_digit)
			return false;
	}
	return true;
}

static void put_text(struct writer *w, const char *text, size_t size)
{
	size_t len = strnlen(text, size - 1);
	if (is_canonical_uuid(text, len)) {
		unsigned char bytes[UUID_BYTES];
		uuid_to_bytes(text, bytes);
		put_number(w, TEXT_IS_UUID);
		put(w, bytes, sizeof(bytes));
		return;
	}
	put_number(w, (int64_t)len);
	put(w, text, len);
}

static void format_uuid(const unsigned char bytes[UUID_BYTES], char *out)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < UUID_BYTES; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 0xf];
	}
	*out = '\0';
}

static void get_text(const unsigned char **at, char *out)
{
	int64_t len = get_number(at);
	if (len == TEXT_IS_UUID) {
		format_uuid(*at, out);
		*at += UUID_BYTES;
		return;
	}
	memcpy(out, *at, (size_t)len);
	out[len] = '\0';
	*at += len;
}

static int64_t number_of(const struct pack_field *field, const char *member)
{
	int value = 0;
	int64_t wide = 0;
	if (field->kind == PACK_INT64) {
		memcpy(&wide, member, sizeof(wide));
		return wide;
	}
	memcpy(&value, member, sizeof(value));
	return value;
}

static bool is_empty(const struct pack_field *field, const char *member)
{
	const char *string = NULL;
	switch (field->kind) {
	case PACK_TEXT:
		return member[0] == '\0';
	case PACK_STRING:
		memcpy(&string, member, sizeof(string));
		return string == NULL;
	case PACK_BOOL:
		return !*(const bool *)member;
	case PACK_INT:
	case PACK_INT64:
		break;
	}
	return number_of(field, member) == 0;
}

static void put_member(struct writer *w, const struct pack_field *field, const char *member)
{
	const char *string = NULL;
	switch (field->kind) {
	case PACK_TEXT:
		put_text(w, member, field->size);
		break;
	case PACK_STRING:
		memcpy(&string, member, sizeof(string));
		put(w, string, strlen(string) + 1);
		break;
	case PACK_INT:
	case PACK_INT64:
		put_number(w, number_of(field, member));
		break;
	case PACK_BOOL:
		break; // its bit says it all
	}
}

static void get_member(const unsigned char **at, const struct pack_field *field, char *member)
{
	const char *string = (const char *)*at;
	int64_t wide = 0;
	int value = 0;
	switch (field->kind) {
	case PACK_TEXT:
		get_text(at, member);
		break;
	case PACK_STRING:
		memcpy(member, &string, sizeof(string));
		*at += strlen(string) + 1;
		break;
	case PACK_INT:
		value = (int)get_number(at);
		memcpy(member, &value, sizeof(value));
		break;
	case PACK_INT64:
		wide = get_number(at);
		memcpy(member, &wide, sizeof(wide));
		break;
	case PACK_BOOL:
		*(bool *)member = true;
		break;
	}
}

static size_t bitmap_size(const struct pack_shape *shape)
{
	return (shape->count + 7) / 8;
}

// One bit a field, then what is in the fields whose bit is set.
static void write_all(struct writer *w, const struct pack_shape *shape, const char *object)
{
	const size_t bitmap_at = w->len;
	w->len += bitmap_size(shape);
	for (size_t i = 0; i < shape->count; i++) {
		const struct pack_field *field = &shape->fields[i];
		if (is_empty(field, object + field->offset))
			continue;
		if (w->bytes != NULL)
			w->bytes[bitmap_at + i / 8] = (unsigned char)(w->bytes[bitmap_at + i / 8] | 1U << i % 8);
		put_member(w, field, object + field->offset);
	}
}

int pack_make(const struct pack_shape *shape, const void *object, struct pack **out, struct error *err)
{
	struct writer w = {0};
	write_all(&w, shape, object);
	struct pack *made = w.len > UINT32_MAX ? NULL : calloc(1, sizeof(*made) + w.len);
	if (made == NULL)
		return error_no_memory(err, "pack");
	made->len = (uint32_t)w.len;
	w = (struct writer){.bytes = made->bytes};
	write_all(&w, shape, object);
	*out = made;
	return 0;
}

void pack_open(const struct pack_shape *shape, const struct pack *pack, void *object)
{
	const unsigned char *at = pack->bytes + bitmap_size(shape);
	memset(object, 0, shape->size);
	for (size_t i = 0; i < shape->count; i++) {
		if ((pack->bytes[i / 8] >> i % 8 & 1) != 0)
			get_member(&at, &shape->fields[i], (char *)object + shape->fields[i].offset);
	}
}

size_t pack_size(const struct pack *pack)
{
	return sizeof(*pack) + pack->len;
}

bool pack_equal(const struct pack *a, const struct pack *b)
{
	return a != NULL && b != NULL && a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}
