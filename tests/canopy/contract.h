// What we hold the central service's contract to be, in our own words, so that the tests stand alone. Where the contract itself
// lies beside the checkout, check_contract.py compares the two.
#ifndef TESTS_CANOPY_CONTRACT_H
#define TESTS_CANOPY_CONTRACT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum contract_type {
	CONTRACT_STRING,
	CONTRACT_UUID,
	CONTRACT_INTEGER,
	CONTRACT_BOOLEAN,
	CONTRACT_OBJECT,
	CONTRACT_ARRAY,
	CONTRACT_ANY
};

struct contract_member {
	const char *name; // NULL ends the table
	enum contract_type type;
	bool required;
	bool nullable;
};

struct contract_schema {
	const char *name; // in components.schemas
	const struct contract_member *members;
};

extern const struct contract_schema contract_schemas[]; // name NULL ends it

// Every member known, of its type, and all that are required there. On failure why says which is not.
bool contract_holds(const char *schema, const json_t *body, char *why, size_t why_size);

// The name vectors.
struct contract_namespace {
	const char *name, *replica_id, *server_id, *namespace;
};
extern const struct contract_namespace contract_namespaces[]; // name NULL ends it

#endif
