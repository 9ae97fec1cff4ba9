#include "tests/canopy/contract.h"

#include "base/uuid.h"
#include <stdio.h>
#include <string.h>

static const struct contract_member worklist_entry[] = {
	{"replica_id", CONTRACT_UUID, true, false},
	{"group_id", CONTRACT_UUID, true, false},
	{"server_id", CONTRACT_UUID, true, false},
	{"type", CONTRACT_STRING, true, false},
	{"intent", CONTRACT_STRING, true, false},
	{"name", CONTRACT_STRING, true, false},
	{"params", CONTRACT_OBJECT, true, false},
	{"storage", CONTRACT_STRING, true, false},
	{"bucket", CONTRACT_STRING, true, false},
	{"prefix", CONTRACT_STRING, true, false},
	{"region", CONTRACT_STRING, true, false},
	{"snapshot_id", CONTRACT_STRING, false, true},
	{"snapshot_at", CONTRACT_STRING, false, true},
	{"overdue_after_seconds", CONTRACT_INTEGER, false, true},
	{NULL, CONTRACT_ANY, false, false},
};

static const struct contract_member capabilities[] = {
	{"intents", CONTRACT_ARRAY, true, false},
	{NULL, CONTRACT_ANY, false, false},
};

static const struct contract_member intent_descriptor[] = {
	{"intent", CONTRACT_STRING, true, false},
	{"description", CONTRACT_STRING, false, true},
	{"params", CONTRACT_OBJECT, false, false},
	{"semantics", CONTRACT_ARRAY, false, false},
	{NULL, CONTRACT_ANY, false, false},
};

static const struct contract_member credentials_args[] = {
	{"group", CONTRACT_UUID, true, false},
	{"type", CONTRACT_STRING, true, false},
	{"run_id", CONTRACT_UUID, false, true},
	{NULL, CONTRACT_ANY, false, false},
};

static const struct contract_member credentials[] = {
	{"credentials", CONTRACT_OBJECT, true, false},
	{"repo_password", CONTRACT_STRING, true, false},
	{NULL, CONTRACT_ANY, false, false},
};

static const struct contract_member process_output[] = {
	{"Version", CONTRACT_INTEGER, true, false},
	{"AccessKeyId", CONTRACT_STRING, true, false},
	{"SecretAccessKey", CONTRACT_STRING, true, false},
	{"SessionToken", CONTRACT_STRING, true, false},
	{"Expiration", CONTRACT_STRING, true, false},
	{NULL, CONTRACT_ANY, false, false},
};

static const struct contract_member verification[] = {
	{"group", CONTRACT_UUID, true, false},
	{"server_id", CONTRACT_UUID, true, false},
	{"replica_id", CONTRACT_UUID, false, true},
	{"type", CONTRACT_STRING, true, false},
	{"intent", CONTRACT_STRING, true, false},
	{"outcome", CONTRACT_STRING, true, false},
	{"replica_healthy", CONTRACT_BOOLEAN, true, false},
	{"observed_at", CONTRACT_STRING, true, false},
	{"run_id", CONTRACT_UUID, false, true},
	{"snapshot_id", CONTRACT_STRING, false, true},
	{"postgres_version", CONTRACT_STRING, false, true},
	{"error", CONTRACT_STRING, false, true},
	{"health_details", CONTRACT_ANY, false, false},
	{"s3_sent_raw_bytes", CONTRACT_INTEGER, false, true},
	{"s3_sent_payload_bytes", CONTRACT_INTEGER, false, true},
	{"s3_received_raw_bytes", CONTRACT_INTEGER, false, true},
	{"s3_received_payload_bytes", CONTRACT_INTEGER, false, true},
	{NULL, CONTRACT_ANY, false, false},
};

const struct contract_schema contract_schemas[] = {
	{"WorklistEntry", worklist_entry},
	{"RestoreCapabilitiesArgs", capabilities},
	{"IntentDescriptor", intent_descriptor},
	{"RestoreCredentialsArgs", credentials_args},
	{"RestoreCredentials", credentials},
	{"CredentialProcessOutput", process_output},
	{"VerificationArgs", verification},
	{NULL, NULL},
};

const struct contract_namespace contract_namespaces[] = {
	{"Nauru prod analytics", "6f1c1f6e-0c0e-4b7a-9a55-0d6a4a1f2b01", "b0a7c0de-1111-4222-8333-444455556666",
		"nauru-prod-analytics-21779af8"},
	{"Nauru prod analytics", "6f1c1f6e-0c0e-4b7a-9a55-0d6a4a1f2b01", "b0a7c0de-1111-4222-8333-444455556667",
		"nauru-prod-analytics-382a1ce3"},
	{"  --Ünïcode & spaces!! ", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
		"n-code-spaces-a386a11d"},
	{"", "12345678-1234-5678-1234-567812345678", "87654321-4321-8765-4321-876543218765", "replica-3e9766bd"},
	{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-b-very-long-name-that-goes-past-fifty",
		"12345678-1234-5678-1234-567812345678", "87654321-4321-8765-4321-876543218765",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-3e9766bd"},
	{"日本", "12345678-1234-5678-1234-567812345678", "87654321-4321-8765-4321-876543218765", "replica-3e9766bd"},
	{NULL, NULL, NULL, NULL},
};

static bool is_type(enum contract_type type, const json_t *value)
{
	char canonical[UUID_TEXT_SIZE];
	struct error err;
	switch (type) {
	case CONTRACT_STRING:
		return json_is_string(value);
	case CONTRACT_UUID:
		return json_is_string(value) && uuid_parse(json_string_value(value), canonical, &err) == 0;
	case CONTRACT_INTEGER:
		return json_is_integer(value);
	case CONTRACT_BOOLEAN:
		return json_is_boolean(value);
	case CONTRACT_OBJECT:
		return json_is_object(value);
	case CONTRACT_ARRAY:
		return json_is_array(value);
	case CONTRACT_ANY:
		return true;
	}
	return false;
}

static const struct contract_member *find_member(const struct contract_member *members, const char *name)
{
	for (; members->name != NULL; members++) {
		if (strcmp(members->name, name) == 0)
			return members;
	}
	return NULL;
}

static bool members_hold(const struct contract_member *members, const json_t *body, char *why, size_t why_size)
{
	// jansson iterates over an object that is not const, though it changes nothing.
	for (void *at = json_object_iter((json_t *)(uintptr_t)body); at != NULL;
		at = json_object_iter_next((json_t *)(uintptr_t)body, at)) {
		const char *name = json_object_iter_key(at);
		const struct contract_member *member = find_member(members, name);
		const json_t *value = json_object_iter_value(at);
		bool good = member != NULL && ((member->nullable && json_is_null(value)) || is_type(member->type, value));
		if (!good) {
			(void)snprintf(why, why_size, "member %s is %s", name, member == NULL ? "unknown" : "of a wrong type");
			return false;
		}
	}
	for (const struct contract_member *m = members; m->name != NULL; m++) {
		if (m->required && json_object_get(body, m->name) == NULL) {
			(void)snprintf(why, why_size, "member %s is missing", m->name);
			return false;
		}
	}
	return true;
}

bool contract_holds(const char *schema, const json_t *body, char *why, size_t why_size)
{
	for (const struct contract_schema *s = contract_schemas; s->name != NULL; s++) {
		if (strcmp(s->name, schema) == 0 && json_is_object(body))
			return members_hold(s->members, body, why, why_size);
	}
	(void)snprintf(why, why_size, "no object, or no schema %s", schema);
	return false;
}
