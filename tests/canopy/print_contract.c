// Prints, one JSON object a line, what check_contract.py compares with the contract: our own words of it, and a body of every
// kind that we send.
#include "canopy/intents.h"
#include "canopy/report.h"
#include "tests/canopy/contract.h"
#include <stdio.h>
#include <string.h>

static const char group[] = "0d5be8b8-6a3c-4c0e-8a55-1f6b7d2c9e10";
static const char server[] = "b0a7c0de-1111-4222-8333-444455556666";

static void print(json_t *line)
{
	(void)json_dumpf(line, stdout, JSON_COMPACT | JSON_SORT_KEYS);
	(void)putchar('\n');
	json_decref(line);
}

static const char *const type_text[] = {
	[CONTRACT_STRING] = "string",
	[CONTRACT_UUID] = "uuid",
	[CONTRACT_INTEGER] = "integer",
	[CONTRACT_BOOLEAN] = "boolean",
	[CONTRACT_OBJECT] = "object",
	[CONTRACT_ARRAY] = "array",
	[CONTRACT_ANY] = "any",
};

static void print_facts(void)
{
	for (const struct contract_schema *s = contract_schemas; s->name != NULL; s++) {
		json_t *members = json_object();
		for (const struct contract_member *m = s->members; m->name != NULL; m++)
			json_object_set_new(members, m->name,
				json_pack("{s:s, s:b, s:b}", "type", type_text[m->type], "required", m->required, "nullable",
					m->nullable));
		print(json_pack("{s:s, s:s, s:o}", "line", "facts", "schema", s->name, "members", members));
	}
	for (const struct contract_namespace *n = contract_namespaces; n->name != NULL; n++)
		print(json_pack("{s:s, s:s, s:s, s:s, s:s}", "line", "namespace", "name", n->name, "replica_id", n->replica_id,
			"server_id", n->server_id, "namespace", n->namespace));
}

static int print_report(const struct report *report, struct error *err)
{
	AUTO_FREE char *body = NULL;
	json_t *parsed = NULL;
	if (report_build(report, &body, err) < 0 || json_parse(body, strlen(body), &parsed, err) < 0)
		return -1;
	print(json_pack("{s:s, s:s, s:o}", "line", "body", "schema", "VerificationArgs", "body", parsed));
	return 0;
}

static int print_bodies(struct error *err)
{
	AUTO(json) json_t *details = json_pack("{s:{s:I}, s:i}", "sizes", "app", (json_int_t)7340032, "restore_duration_sec", 4);
	AUTO(json)
	json_t *traffic = json_pack("{s:I, s:I, s:I, s:I}", "s3_sent_raw_bytes", (json_int_t)1, "s3_sent_payload_bytes",
		(json_int_t)0, "s3_received_raw_bytes", (json_int_t)1 << 40, "s3_received_payload_bytes", (json_int_t)1 << 39);
	const struct report full = {.group_id = group,
		.server_id = server,
		.replica_id = "6f1c1f6e-0c0e-4b7a-9a55-0d6a4a1f2b01",
		.has_server_id = true,
		.type = "postgres",
		.intent = "verify",
		.snapshot_id = "k1234",
		.run_id = "11111111-2222-4333-8444-555555555555",
		.stage = "catalogs",
		.postgres_version = "15.20",
		.details = details,
		.traffic = traffic};
	const struct report least = {
		.group_id = group, .server_id = server, .has_server_id = true, .type = "t", .intent = "verify"};
	for (int grade = GRADE_CLEAN; report_grade_text[grade] != NULL; grade++) {
		struct report report = full;
		report.grade = (enum report_grade)grade;
		report.cause = grade > GRADE_REPAIRED ? "relation base/1/2 is cut short" : NULL;
		if (print_report(&report, err) < 0)
			return -1;
	}
	return print_report(&least, err);
}

static const char *no_environment(const char *name)
{
	(void)name;
	return NULL;
}

static int print_capabilities(struct error *err)
{
	AUTO(settings) struct settings *settings = NULL;
	json_t *body = NULL;
	if (settings_load(no_environment, &settings, err) < 0 || intents_capabilities(settings, &body, err) < 0)
		return -1;
	print(json_pack("{s:s, s:s, s:o}", "line", "body", "schema", "RestoreCapabilitiesArgs", "body", body));
	return 0;
}

int main(void)
{
	struct error err = {0};
	print_facts();
	if (print_bodies(&err) < 0 || print_capabilities(&err) < 0) {
		(void)fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	return 0;
}
