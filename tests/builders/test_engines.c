// Which engine an entry gets, what it is refused for, and what the restore container has of it.
#include "base/encode.h"
#include "builders/engines/engine.h"
#include "builders/scripts.h"
#include "tests/builders/expect.h"
#include "tests/builders/sample.h"
#include "tests/support/cmocka.h"
#include <string.h>

static void the_entry_chooses_then_the_settings_then_kopia(void **state)
{
	(void)state;
	char type[] = "postgresql physical";
	struct settings_engine_rule rule = {type, ENGINE_RESTIC};
	const struct {
		const char *label, *of_entry, *expected;
		bool has_rule;
	} rows[] = {
		{"nothing is said", NULL, "kopia", false},
		{"the settings say it", NULL, "restic", true},
		{"the entry says it", "restic", "restic", false},
		{"the entry comes first", "kopia", "kopia", true},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct error err = {0};
		struct sample s;
		const struct engine *engine = NULL;
		sample_init(&s, INTENT_VERIFY, rows[i].of_entry);
		s.settings.engines = &rule;
		s.settings.engine_count = rows[i].has_rule ? 1 : 0;
		assert_ok(engine_of(&s.build, &engine, &err), err);
		expect_str(rows[i].label, engine_name(engine), rows[i].expected);
	}
}

static void what_does_not_go_together_is_refused(void **state)
{
	(void)state;
	const struct {
		const char *engine, *storage, *bucket, *prefix, *text;
	} rows[] = {
		{"tar", "s3", "b", "", "engine \"tar\" is not known, allowed is kopia, restic"},
		{"kopia", "azure", "b", "", "engine kopia cannot read storage \"azure\", allowed is s3"},
		{"restic", "ftp", "b", "", "engine restic cannot read storage \"ftp\", allowed is s3"},
		{"kopia", "file", "b", "", "engine kopia cannot read storage \"file\", allowed is s3"},
		{"basebackup", "ftp", "b", "", "engine basebackup cannot read storage \"ftp\", allowed is s3, "},
		{"basebackup", "file", "a_b", "", "bucket \"a_b\" is no name of a PersistentVolumeClaim"},
		{"basebackup", "file", "", "", "bucket \"\" is no name of a PersistentVolumeClaim"},
		{"basebackup", "file", "../b", "", "bucket \"../b\" is no name of a PersistentVolumeClaim"},
		{"basebackup", "file", "a..b", "", "bucket \"a..b\" is no name of a PersistentVolumeClaim"},
		{"basebackup", "file", "-b", "", "bucket \"-b\" is no name of a PersistentVolumeClaim"},
		{"basebackup", "file", "b-", "", "bucket \"b-\" is no name of a PersistentVolumeClaim"},
		{"basebackup", "file", "b", "..", "prefix \"..\" leaves its volume"},
		{"basebackup", "file", "b", "a/../../c", "prefix \"a/../../c\" leaves its volume"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct error err = {0};
		struct sample s;
		const struct engine *engine = NULL;
		sample_init(&s, INTENT_VERIFY, rows[i].engine);
		AUTO_FREE char *storage = strdup(rows[i].storage);
		AUTO_FREE char *bucket = strdup(rows[i].bucket);
		AUTO_FREE char *prefix = strdup(rows[i].prefix);
		s.entry.storage = storage;
		s.entry.bucket = bucket;
		s.entry.prefix = prefix;
		assert_error(engine_of(&s.build, &engine, &err), err, ERROR_INVALID, rows[i].text);
		assert_null(engine);
	}
}

static void an_engine_that_is_not_known_wants_nothing(void **state)
{
	(void)state;
	struct sample s;
	sample_init(&s, INTENT_VERIFY, "tar");
	assert_false(engine_is_tls_only(&s.build));
	assert_null(engine_keys(&s.settings, &s.entry)->key);
}

static void the_message_of_a_restore_names_its_engine(void **state)
{
	(void)state;
	expect_str("with a version", engine_name(engine_said("restic 0.18.1")), "restic");
	expect_str("without", engine_name(engine_said("kopia")), "kopia");
	assert_null(engine_said("kopiax 1"));
	assert_null(engine_said(""));
	assert_null(engine_said(NULL));
}

static void an_engine_is_told_how_many_hands_it_has(void **state)
{
	(void)state;
	const struct {
		const char *limit, *hands;
	} rows[] = {{"2", "2"}, {"100m", "1"}, {"1500m", "2"}, {"2.0001", "3"}, {NULL, NULL}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct error err = {0};
		struct sample s;
		sample_init(&s, INTENT_VERIFY, "kopia");
		AUTO_FREE char *limit = rows[i].limit == NULL ? NULL : strdup(rows[i].limit);
		s.build.sizing.cpu_limit = limit;
		AUTO(json) json_t *job = NULL;
		assert_ok(build_restore_job(&s.build, &s.round, &job, &err), err);
		const json_t *container = json_array_get(json_find(job, "spec", "template", "spec", "containers"), 0);
		const json_t *said = named(json_find(container, "env"), "CPU_LIMIT");
		if (rows[i].hands == NULL)
			assert_null(said);
		else
			assert_str(rows[i].hands, said, "value");
	}
}

static void a_backup_on_a_volume_is_mounted_and_nothing_else_is_reached(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"nauru/a..b", "/backup/nauru/a..b"}, {"//nauru", "/backup/nauru"}, {"ab/.x", "/backup/ab/.x"}, {"", "/backup/"}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct error err = {0};
		struct sample s;
		sample_init(&s, INTENT_VERIFY, "basebackup");
		sample_take_way(&s, WAY_NATIVE_SIDECAR); // to no effect
		char storage[] = "file", bucket[] = "nfs.backups-1";
		AUTO_FREE char *prefix = strdup(rows[i][0]);
		s.entry.storage = storage;
		s.entry.bucket = bucket;
		s.entry.prefix = prefix;
		AUTO(json) json_t *job = NULL;
		AUTO(json) json_t *secret = NULL;
		assert_ok(build_restore_job(&s.build, &s.round, &job, &err), err);
		assert_ok(build_restore_secret(&s.build, &s.round, &s.credentials, &secret, &err), err);
		const json_t *pod = json_find(job, "spec", "template", "spec");
		const json_t *container = json_array_get(json_find(pod, "containers"), 0);
		assert_json("volume", named(json_find(pod, "volumes"), "backup"),
			"{'name':'backup','persistentVolumeClaim':{'claimName':'nfs.backups-1','readOnly':true}}");
		assert_json("mount", named(json_find(container, "volumeMounts"), "backup"),
			"{'name':'backup','mountPath':'/backup','readOnly':true}");
		assert_str(rows[i][1], named(json_find(container, "env"), "BACKUP_DIR"), "value");
		assert_str("example.org/rclone:1.69", container, "image");
		assert_null(named(json_find(container, "env"), "AWS_ACCESS_KEY_ID"));
		assert_null(json_find(pod, "initContainers"));
		assert_int_equal(json_object_size(json_find(secret, "data")), 2); // the password and the script
		assert_null(json_find(secret, "data", "accessKeyId"));
	}
}

static void a_later_attempt_is_told_what_the_first_one_found(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_VERIFY, "basebackup");
	AUTO(json) json_t *first = NULL;
	AUTO(json) json_t *later = NULL;
	assert_ok(build_restore_job(&s.build, &s.round, &first, &err), err);
	s.round.backup = "b-$(HOME)";
	assert_ok(build_restore_job(&s.build, &s.round, &later, &err), err);
	const json_t *of_first = json_array_get(json_find(first, "spec", "template", "spec", "containers"), 0);
	const json_t *of_later = json_array_get(json_find(later, "spec", "template", "spec", "containers"), 0);
	assert_null(named(json_find(of_first, "env"), "BACKUP_NAME"));
	assert_str("b-$$(HOME)", named(json_find(of_later, "env"), "BACKUP_NAME"), "value");
}

static void passwords_are_wanted_of_repositories_alone(void **state)
{
	(void)state;
	struct sample s;
	sample_init(&s, INTENT_VERIFY, "basebackup");
	assert_false(engine_needs_password(&s.settings, &s.entry));
	sample_init(&s, INTENT_VERIFY, "kopia");
	assert_true(engine_needs_password(&s.settings, &s.entry));
	sample_init(&s, INTENT_VERIFY, "tar");
	assert_false(engine_needs_password(&s.settings, &s.entry));
}

// Through the proxy and on a volume alike: it is no key of the store.
static void what_decrypts_comes_by_the_secret_of_the_round(void **state)
{
	(void)state;
	static const struct {
		const char *key, *variable, *value;
	} rows[] = {{"libsodiumKey", "WALG_LIBSODIUM_KEY", "c29kaXVt"},
		{"libsodiumKeyTransform", "WALG_LIBSODIUM_KEY_TRANSFORM", ""}, {"pgpKey", "WALG_PGP_KEY", ""},
		{"pgpKeyPassphrase", "WALG_PGP_KEY_PASSPHRASE", "cGhyYXNl"}};
	static char sodium[] = "sodium", phrase[] = "phrase", file[] = "file", s3[] = "s3";
	for (size_t way = 0; way < 2; way++) {
		struct error err = {0};
		struct sample s;
		sample_init(&s, INTENT_VERIFY, "walg");
		sample_take_way(&s, WAY_NATIVE_SIDECAR);
		s.entry.storage = way == 0 ? file : s3;
		s.credentials.engine_keys[0] = (struct secret){.bytes = sodium, .len = strlen(sodium)};
		s.credentials.engine_keys[3] = (struct secret){.bytes = phrase, .len = strlen(phrase)};
		AUTO(json) json_t *job = NULL;
		AUTO(json) json_t *secret = NULL;
		assert_ok(build_restore_job(&s.build, &s.round, &job, &err), err);
		assert_ok(build_restore_secret(&s.build, &s.round, &s.credentials, &secret, &err), err);
		const json_t *container = json_array_get(json_find(job, "spec", "template", "spec", "containers"), 0);
		for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
			assert_str(rows[i].value, secret, "data", rows[i].key);
			assert_str(rows[i].key, named(json_find(container, "env"), rows[i].variable), "valueFrom", "secretKeyRef",
				"key");
		}
	}
}

static void dumps_are_loaded_by_an_init_step_of_their_own(void **state)
{
	(void)state;
	struct error err = {0};
	struct sample s;
	sample_init(&s, INTENT_VERIFY, "dump");
	char storage[] = "file", bucket[] = "nfs", prefix[] = "nauru", databases[] = "a-b\"c\t$(x)\n";
	s.entry.storage = storage;
	s.entry.bucket = bucket;
	s.entry.prefix = prefix;
	s.entry.databases = databases;
	s.restored.engine = "dump 15.20 (volume)";
	AUTO(json) json_t *job = NULL;
	AUTO(json) json_t *secret = NULL;
	AUTO(json) json_t *deployment = NULL;
	assert_ok(build_restore_job(&s.build, &s.round, &job, &err), err);
	assert_ok(build_database_secret(&s.build, &s.round, &s.restored, &secret, &err), err);
	assert_ok(build_deployment(&s.build, &s.round, &s.restored, &deployment, &err), err);
	const json_t *restore = json_array_get(json_find(job, "spec", "template", "spec", "containers"), 0);
	assert_str("18", named(json_find(restore, "env"), "POSTGRES_NEWEST_MAJOR"), "value");
	const json_t *prepare = json_array_get(json_find(deployment, "spec", "template", "spec", "initContainers"), 0);
	const json_t *postgres = json_array_get(json_find(deployment, "spec", "template", "spec", "containers"), 0);
	assert_str("a-b\"c\t$$(x)\n", named(json_find(prepare, "env"), "DATABASES"), "value");
	assert_str("2", named(json_find(prepare, "env"), "CPU_LIMIT"), "value");
	assert_json("mount", named(json_find(prepare, "volumeMounts"), "backup"),
		"{'name':'backup','mountPath':'/backup','readOnly':true}");
	assert_null(named(json_find(postgres, "volumeMounts"), "backup"));
	AUTO_FREE char *script = NULL;
	size_t len = 0;
	assert_ok(encode_unbase64(json_find_str(secret, "data", "prepare.sh"), &script, &len, &err), err);
	expect_str("its script", script, script_prepare_dump);

	s.restored.engine = "restic 0.18.1"; // what the volume holds counts, whatever the entry says by then
	AUTO(json) json_t *other = NULL;
	assert_ok(build_deployment(&s.build, &s.round, &s.restored, &other, &err), err);
	prepare = json_array_get(json_find(other, "spec", "template", "spec", "initContainers"), 0);
	assert_null(named(json_find(prepare, "env"), "DATABASES"));
	assert_null(named(json_find(prepare, "volumeMounts"), "backup"));
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(the_entry_chooses_then_the_settings_then_kopia),
		cmocka_unit_test(what_does_not_go_together_is_refused),
		cmocka_unit_test(an_engine_that_is_not_known_wants_nothing),
		cmocka_unit_test(the_message_of_a_restore_names_its_engine),
		cmocka_unit_test(an_engine_is_told_how_many_hands_it_has),
		cmocka_unit_test(a_backup_on_a_volume_is_mounted_and_nothing_else_is_reached),
		cmocka_unit_test(a_later_attempt_is_told_what_the_first_one_found),
		cmocka_unit_test(passwords_are_wanted_of_repositories_alone),
		cmocka_unit_test(what_decrypts_comes_by_the_secret_of_the_round),
		cmocka_unit_test(dumps_are_loaded_by_an_init_step_of_their_own),
	};
	return cmocka_run_group_tests_name("builders/engines", cases, NULL, NULL);
}
