// A struct of texts and numbers as one small block, for the many that are kept and of which few are looked at.
//
// A shape says which members are kept; it is a table beside the struct. Members that are empty, NULL or 0 take one bit; UUIDs
// take 16 bytes, numbers what they need. A pack never changes, so any thread may read it; it is freed with free(). It holds
// memory of this process, never input from outside, and is trusted.
#ifndef BASE_PACK_H
#define BASE_PACK_H

#include "base/error.h"
#include <stddef.h>
#include <stdint.h>

enum pack_kind {
	PACK_TEXT,   // char[size]
	PACK_STRING, // char *, NULL allowed
	PACK_INT,    // int or an enum
	PACK_INT64,
	PACK_BOOL,
};

struct pack_field {
	enum pack_kind kind;
	size_t offset;
	size_t size;
};
#define PACK_FIELD(kind, type, member)                                      \
	{                                                                   \
		(kind), offsetof(type, member), sizeof(((type *)0)->member) \
	}

struct pack_shape {
	const struct pack_field *fields;
	size_t count;
	size_t size; // of the struct
};
#define PACK_SHAPE(type, table)                                           \
	{                                                                 \
		(table), sizeof(table) / sizeof((table)[0]), sizeof(type) \
	}

struct pack {
	uint32_t len; // of bytes
	unsigned char bytes[];
};

// Fails only for lack of memory.
MUST_CHECK int pack_make(const struct pack_shape *shape, const void *object, struct pack **out, struct error *err);

// *object becomes what was packed, all other members zero. Its strings are borrowed from the pack.
void pack_open(const struct pack_shape *shape, const struct pack *pack, void *object);

// The whole block, for those who copy it.
size_t pack_size(const struct pack *pack);

// The same shape and the same content. NULL equals nothing.
bool pack_equal(const struct pack *a, const struct pack *b);

#endif
