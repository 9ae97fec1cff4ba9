// The deep stages on a real PostgreSQL: what they read of a sound one, and what they say of a damaged one.
#include "base/clock.h"
#include "tests/reconciler/checked_server.h"
#include "tests/reconciler/manual.h"
#include "tests/support/cmocka.h"
#include <dirent.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#define PAGE_SIZE 8192
#define WAIT_LIMIT_MS 60000

static struct check_request deep_request(void)
{
	struct check_request request = checked_server_request();
	request.depth = DEPTH_DEEP;
	return request;
}

static void check_deep(struct check_result *result)
{
	const struct check_request request = deep_request();
	const struct check_limits limits = checked_server_limits(CHECK_STAGE_CONNECT, CHECKED_SERVER_ENOUGH_MS);
	checked_server_check(&request, &limits, result);
}

static void assert_deep(enum report_grade grade, const char *stage, const char *cause_part)
{
	struct check_result result;
	check_deep(&result);
	json_decref(result.details);
	checked_server_assert(&result, grade, stage, cause_part);
}

static void restart(bool with_checksums)
{
	struct error err = {0};
	char now[8];
	checked_server_fetch("postgres", "SHOW data_checksums", now, sizeof(now));
	postgres_halt(&checked_server);
	if (with_checksums != (strcmp(now, "on") == 0))
		assert_ok(postgres_set_checksums(&checked_server, with_checksums, &err), err);
	assert_ok(postgres_run(&checked_server, &err), err);
}

static bool has_note(const json_t *details, const char *part)
{
	size_t i;
	json_t *note;
	json_array_foreach (json_object_get(details, "notes"), i, note) {
		if (strstr(json_string_value(note), part) != NULL)
			return true;
	}
	return false;
}

static int64_t skipped(const json_t *details, const char *part)
{
	size_t i;
	json_t *reason;
	json_array_foreach (json_object_get(details, "indexes_skipped"), i, reason) {
		if (strstr(json_find_str(reason, "why"), part) != NULL)
			return json_find_int(0, reason, "count");
	}
	return 0;
}

// Every kind of relation, and values stored beside their rows.
static const char everything[] =
	"CREATE SCHEMA \"Odd \"\"name\";"
	"CREATE TABLE \"Odd \"\"name\".\"a.b t\" (\"t\" int, \"c d\" text, gone text, e jsonb, PRIMARY KEY (\"t\"));"
	"ALTER TABLE \"Odd \"\"name\".\"a.b t\" ALTER \"c d\" SET STORAGE external;"
	"INSERT INTO \"Odd \"\"name\".\"a.b t\" SELECT g, repeat('x', 5000), NULL, NULL FROM generate_series(1, 70) g;"
	"ALTER TABLE \"Odd \"\"name\".\"a.b t\" DROP COLUMN gone;"
	"CREATE TABLE parent (id int); CREATE TABLE child () INHERITS (parent); INSERT INTO parent VALUES (1), (2);"
	"INSERT INTO child VALUES (3); CREATE TABLE columnless (); INSERT INTO columnless DEFAULT VALUES;"
	"CREATE TABLE parts (id int) PARTITION BY RANGE (id); CREATE TABLE part PARTITION OF parts DEFAULT;"
	"INSERT INTO parts VALUES (1), (2); CREATE MATERIALIZED VIEW seen AS SELECT * FROM parent;"
	"CREATE MATERIALIZED VIEW unseen AS SELECT * FROM parent WITH NO DATA;"
	"CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY); CREATE SEQUENCE counter;"
	"CREATE TABLE found (words tsvector, n int); CREATE INDEX ON found USING gin (words);"
	"CREATE INDEX ON found USING hash (n); CREATE INDEX broken_off ON found (n);"
	"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken_off'::regclass;"
	"SELECT lo_from_bytea(0, 'large'); CREATE VIEW looking AS SELECT 1/0";

static void a_sound_server_passes_and_says_what_was_read(void **state)
{
	(void)state;
	char relations[16], bytes[32], left[16], checksums[8];
	checked_server_begin();
	checked_server_exec("app", everything);
	struct check_result result;
	check_deep(&result);
	AUTO(json) json_t *details = result.details;
	checked_server_assert(&result, GRADE_CLEAN, "checksums", "");

	AUTO(json) json_t *carried = manual_keys_of(details);
	AUTO(json) json_t *manual = manual_keys();
	manual_assert_within(carried, manual, "is told by a check and not in docs/health-details.md");
	assert_string_equal(json_find_str(details, "depth"), "deep");
	// 70 in the table, 2 + 1 by inheritance, 1 without columns, 2 in the part, 3 in the view, 1 page of the large object.
	assert_int_equal(json_find_int(0, details, "rows_read"), 80);
	checked_server_fetch("app",
		"SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'm', 't', 'S') AND"
		" (relnamespace <> 'pg_catalog'::regnamespace OR relkind <> 'r' OR relname = 'pg_largeobject')",
		relations, sizeof(relations));
	checked_server_fetch("app", "SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relkind IN ('r', 'm', 't', 'S')",
		bytes, sizeof(bytes));
	assert_true(json_find_int(0, details, "relations_read") > strtol(relations, NULL, 10));
	assert_true(json_find_int(0, details, "bytes_read") > 70 * 5000);
	assert_true(json_find_int(0, details, "bytes_read") < 3 * strtol(bytes, NULL, 10));
	if (checked_server.major >= 14)
		assert_true(json_find_int(0, details, "tables_checked") > 3 * 60);
	else
		assert_true(has_note(details, "this amcheck has no verify_heapam"));
	assert_true(json_find_int(0, details, "indexes_checked") > 3 * 100);
	assert_int_equal(skipped(details, "access method gin"), 1);
	assert_int_equal(skipped(details, "access method hash"), 1);
	assert_int_equal(skipped(details, "not valid"), 1);
	assert_int_equal(json_array_size(json_object_get(details, "indexes_skipped")), 3);
	checked_server_fetch("postgres", "SHOW data_checksums", checksums, sizeof(checksums));
	assert_string_equal(json_find_str(details, "checksums"), checksums);
	assert_true(has_note(details, "data checksums are off") == (strcmp(checksums, "off") == 0));
	assert_int_equal(json_array_size(json_object_get(details, "stages")), CHECK_STAGE_SERVICE); // which is not asked for
	checked_server_fetch("app",
		"SELECT count(*) FROM pg_namespace WHERE nspname ~ 'check' OR EXISTS (SELECT FROM pg_extension WHERE extname ="
		" 'amcheck')",
		left, sizeof(left));
	assert_string_equal(left, "0");
}

static void nothing_to_read_is_said(void **state)
{
	(void)state;
	checked_server_begin();
	struct check_result result;
	check_deep(&result);
	AUTO(json) json_t *details = result.details;
	checked_server_assert(&result, GRADE_CLEAN, "checksums", "");
	assert_int_equal(json_find_int(-1, details, "rows_read"), 0);
	assert_true(has_note(details, "database \"app\" holds no application table: there was nothing to read"));
	assert_false(has_note(details, "database \"postgres\" holds"));
}

static void a_database_that_takes_no_connections_is_named(void **state)
{
	(void)state;
	checked_server_begin();
	checked_server_exec("postgres", "ALTER DATABASE app ALLOW_CONNECTIONS false");
	struct check_result result;
	check_deep(&result);
	AUTO(json) json_t *details = result.details;
	checked_server_assert(&result, GRADE_CLEAN, "checksums", "");
	assert_true(has_note(details, "database \"app\" takes no connections"));
}

static void an_amcheck_of_the_database_is_used_and_kept(void **state)
{
	(void)state;
	char kept[64];
	checked_server_begin();
	checked_server_exec("app", "CREATE SCHEMA \"Its Own\"; CREATE EXTENSION amcheck SCHEMA \"Its Own\"");
	struct check_result result;
	check_deep(&result);
	AUTO(json) json_t *details = result.details;
	checked_server_assert(&result, GRADE_CLEAN, "checksums", "");
	assert_true(json_find_int(0, details, "indexes_checked") > 3 * 100);
	checked_server_fetch(
		"app", "SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'amcheck'", kept, sizeof(kept));
	assert_string_equal(kept, "\"Its Own\"");
}

static void link_all_but(const char *from, const char *to, const char *left_out)
{
	char source[512], target[512];
	assert_int_equal(mkdir(to, 0755), 0);
	DIR *dir = opendir(from);
	assert_non_null(dir);
	for (const struct dirent *file = readdir(dir); file != NULL; file = readdir(dir)) {
		if (file->d_name[0] == '.' || strcmp(file->d_name, left_out) == 0)
			continue;
		(void)snprintf(source, sizeof(source), "%s/%s", from, file->d_name);
		(void)snprintf(target, sizeof(target), "%s/%s", to, file->d_name);
		assert_int_equal(symlink(source, target), 0);
	}
	(void)closedir(dir);
}

static void copy_program(const char *from, const char *to)
{
	struct stat st;
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	assert_true(in >= 0 && out >= 0 && fstat(in, &st) == 0);
	for (off_t left = st.st_size; left > 0;) {
		ssize_t n = sendfile(out, in, NULL, (size_t)left);
		assert_true(n > 0);
		left -= n;
	}
	(void)close(in);
	(void)close(out);
}

// A server finds its extensions relative to its own place. As Debian packages it: lib/postgresql/15/bin/postgres and
// share/postgresql/15/extension below one directory.
static void install_without_amcheck(char bin[96])
{
	char from[256], to[256];
	const char *const made[] = {"", "/lib", "/lib/postgresql", "/share", "/share/postgresql"};
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		(void)snprintf(to, sizeof(to), "%s/other%s", checked_server.dir, made[i]);
		assert_int_equal(mkdir(to, 0755), 0);
	}
	(void)snprintf(to, sizeof(to), "%s/other/lib/postgresql/%d", checked_server.dir, checked_server.major);
	assert_int_equal(mkdir(to, 0755), 0);
	(void)snprintf(bin, 96, "%s/other/lib/postgresql/%d/bin", checked_server.dir, checked_server.major);
	assert_int_equal(mkdir(bin, 0755), 0);
	(void)snprintf(from, sizeof(from), "%s/postgres", checked_server.bin);
	(void)snprintf(to, sizeof(to), "%s/postgres", bin);
	copy_program(from, to);
	(void)snprintf(from, sizeof(from), "%s/../lib", checked_server.bin);
	(void)snprintf(to, sizeof(to), "%s/../lib", bin);
	assert_int_equal(symlink(from, to), 0);
	(void)snprintf(from, sizeof(from), "%s/../../../../share/postgresql/%d", checked_server.bin, checked_server.major);
	(void)snprintf(to, sizeof(to), "%s/other/share/postgresql/%d", checked_server.dir, checked_server.major);
	link_all_but(from, to, "extension");
	(void)snprintf(from + strlen(from), sizeof(from) - strlen(from), "/extension");
	(void)snprintf(to + strlen(to), sizeof(to) - strlen(to), "/extension");
	link_all_but(from, to, "amcheck.control");
}

static void an_absent_amcheck_is_said(void **state)
{
	(void)state;
	struct error err = {0};
	char bin[96], own[96];
	checked_server_begin();
	checked_server_exec("app", "CREATE TABLE accounts (id int PRIMARY KEY); INSERT INTO accounts VALUES (1), (2)");
	install_without_amcheck(bin);
	memcpy(own, checked_server.bin, sizeof(own));
	postgres_halt(&checked_server);
	memcpy(checked_server.bin, bin, sizeof(bin));
	assert_ok(postgres_run(&checked_server, &err), err);
	struct check_result result;
	check_deep(&result);
	AUTO(json) json_t *details = result.details;
	memcpy(checked_server.bin, own, sizeof(own));
	restart(false);

	checked_server_assert(&result, GRADE_CLEAN, "checksums", "");
	assert_true(has_note(details, "amcheck is not installed beside the server"));
	assert_int_equal(json_find_int(0, details, "rows_read"), 2);
	assert_int_equal(json_find_int(-1, details, "tables_checked"), 0);
	assert_int_equal(json_find_int(-1, details, "indexes_checked"), 0);
	assert_true(skipped(details, "no amcheck") > 3 * 100);
}

// Damage to accounts, 400 rows of which each has a value beside it: in which file, where in its first page, and what is said of
// it. Offsets follow https://www.postgresql.org/docs/15/storage-page-layout.html; the second line pointer tells where a tuple is.
static const struct damage {
	const char *label, *relation;
	bool with_checksums;
	int block, offset_in_tuple; // -1: not in a tuple, but in the middle of the page
	const char *stage, *cause;
} damages[] = {
	{"heap, checksums", "accounts", true, 1, -1, "tables",
		"database \"app\": public.accounts: invalid page in block 1 of relation "},
	{"heap, checksums, their words", "accounts", true, 1, -1, "tables", "page verification failed, calculated checksum "},
	{"heap, no checksums", "accounts", false, 0, 22, "tables", "database \"app\": public.accounts: block 0, offset 2: "},
	{"value beside, checksums", "toast", true, 0, -1, "tables", ": pg_toast.pg_toast_"},
	{"value beside, no checksums", "toast", false, 0, 28, "rows",
		"database \"app\": public.accounts: unexpected chunk number "},
	{"index, checksums", "accounts_pkey", true, 1, -1, "indexes",
		"database \"app\": index public.accounts_pkey: invalid page in block 1 of relation "},
	{"index, no checksums", "accounts_pkey", false, 1, 8, "indexes",
		"database \"app\": index public.accounts_pkey: item order invariant violated for index \"accounts_pkey\""},
	{"catalog's index, no checksums", "pg_description_o_c_o_index", false, 1, 8, "indexes",
		"index pg_catalog.pg_description_o_c_o_index: "},
};

static void make_accounts(const struct damage *damage, char path[256])
{
	checked_server_begin();
	checked_server_exec("app",
		"CREATE TABLE accounts (id int PRIMARY KEY, note text, filler char(100));"
		"ALTER TABLE accounts ALTER note SET STORAGE external;"
		"INSERT INTO accounts SELECT g, repeat('x', 3000), 'y' FROM generate_series(1, 400) g; CHECKPOINT");
	if (strcmp(damage->relation, "toast") == 0) {
		char toast[64];
		checked_server_fetch(
			"app", "SELECT reltoastrelid::regclass FROM pg_class WHERE relname = 'accounts'", toast, sizeof(toast));
		checked_server_path(toast, path);
	} else {
		checked_server_path(damage->relation, path);
	}
}

static void flip_byte(const char *path, const struct damage *damage)
{
	unsigned char page[PAGE_SIZE];
	off_t block_at = (off_t)damage->block * PAGE_SIZE;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, page, sizeof(page), block_at), sizeof(page));
	uint32_t line_pointer;
	memcpy(&line_pointer, page + 28, sizeof(line_pointer));
	size_t at = damage->offset_in_tuple < 0 ? PAGE_SIZE - 600 : (line_pointer & 0x7fff) + (size_t)damage->offset_in_tuple;
	page[at] ^= 0x40;
	assert_int_equal(pwrite(fd, page + at, 1, block_at + (off_t)at), 1);
	(void)close(fd);
}

static void a_flipped_byte_turns_the_verdict_and_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		struct error err = {0};
		char path[256];
		make_accounts(&damages[i], path);
		restart(damages[i].with_checksums);
		print_message("# %s\n", damages[i].label);
		assert_deep(GRADE_CLEAN, "checksums", "");
		postgres_halt(&checked_server);
		flip_byte(path, &damages[i]);
		assert_ok(postgres_run(&checked_server, &err), err);
		assert_deep(GRADE_FAILED, damages[i].stage, damages[i].cause);
	}
	checked_server_begin();
	restart(false);
}

static void settings_that_came_with_the_backup_have_no_say(void **state)
{
	(void)state;
	static const char hostile[] =
		"ALTER DATABASE app SET zero_damaged_pages = on; ALTER DATABASE app SET ignore_checksum_failure = on;"
		"ALTER DATABASE app SET statement_timeout = '1ms'; ALTER DATABASE app SET default_transaction_read_only = on;"
		"ALTER DATABASE app SET search_path = public; ALTER DATABASE app SET enable_seqscan = off;"
		"CREATE ROLE weak; ALTER DATABASE app SET role = weak; ALTER DATABASE app SET client_min_messages = error;"
		"ALTER DATABASE app SET session_preload_libraries = 'no_such_library'";
	static const struct damage damage = {.relation = "accounts", .with_checksums = true, .block = 1, .offset_in_tuple = -1};
	struct error err = {0};
	char path[256];
	make_accounts(&damage, path);
	checked_server_exec("app",
		"CREATE FUNCTION public.count(int) RETURNS int LANGUAGE sql AS 'SELECT 1/0'; CREATE FUNCTION stop() RETURNS"
		" event_trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no'; END$$; CREATE EVENT TRIGGER stop ON ddl_command_start"
		" EXECUTE FUNCTION stop()");
	restart(true);
	checked_server_exec("postgres", hostile);
	assert_deep(GRADE_CLEAN, "checksums", "");
	postgres_halt(&checked_server);
	flip_byte(path, &damage);
	assert_ok(postgres_run(&checked_server, &err), err);
	assert_deep(GRADE_FAILED, "tables", "public.accounts: invalid page in block 1 of relation ");
	checked_server_begin();
	checked_server_exec("postgres", "DROP ROLE weak");
	restart(false);
}

// An expression may look at tables, though it was declared not to.
static void an_index_whose_own_function_fails_is_no_fault_of_the_backup(void **state)
{
	(void)state;
	checked_server_begin();
	checked_server_exec("app",
		"CREATE TABLE rates (rate int); CREATE TABLE prices (id int PRIMARY KEY, price int); INSERT INTO rates VALUES "
		"(2);"
		"CREATE FUNCTION converted(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS"
		" $$BEGIN RETURN $1 * (SELECT rate FROM public.rates); END$$;"
		"INSERT INTO prices VALUES (1, 2), (3, 4); CREATE INDEX aa_converted ON prices (converted(price));"
		"CREATE INDEX zz_last ON prices (price); DROP TABLE rates");
	struct check_result result;
	check_deep(&result);
	AUTO(json) json_t *details = result.details;
	checked_server_assert(&result, GRADE_CLEAN, "checksums", "");
	assert_int_equal(skipped(details, "index public.aa_converted: relation \"public.rates\" does not exist"), 1);
	assert_int_equal(json_array_size(json_object_get(details, "indexes_skipped")), 1);

	// Those after it are still looked at.
	checked_server_exec("app", "UPDATE pg_index SET indkey = '1' WHERE indexrelid = 'zz_last'::regclass");
	assert_deep(GRADE_FAILED, "indexes", "index public.zz_last: heap tuple");
}

struct running {
	struct check_request request;
	struct check_limits limits;
	struct check_result result;
	pthread_t thread;
};

static void *run_check(void *arg)
{
	struct running *running = arg;
	checked_server_check(&running->request, &running->limits, &running->result);
	return NULL;
}

static void wait_for_sessions(const char *which, const char *count)
{
	char sql[256], got[16] = "";
	int64_t until_mono_ms = clock_mono_ms() + WAIT_LIMIT_MS;
	(void)snprintf(
		sql, sizeof(sql), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'understory' AND %s", which);
	while (strcmp(got, count) != 0 && clock_mono_ms() < until_mono_ms) {
		checked_server_fetch("postgres", sql, got, sizeof(got));
		(void)poll(NULL, 0, 10);
	}
	assert_string_equal(got, count);
}

// Begin a deep check and wait until it waits for the lock that this session holds on accounts.
static PGconn *hold_accounts(struct running *running)
{
	char port[16];
	(void)snprintf(port, sizeof(port), "%d", checked_server.port);
	PGconn *holder = PQconnectdbParams((const char *const[]){"host", "port", "dbname", "user", "password", NULL},
		(const char *const[]){POSTGRES_HOST, port, "app", POSTGRES_USER, secret_reveal(&checked_server.password), NULL},
		0);
	PQclear(PQexec(holder, "BEGIN; LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE"));
	running->request = deep_request();
	assert_int_equal(pthread_create(&running->thread, NULL, run_check, running), 0);
	wait_for_sessions("wait_event_type = 'Lock'", "1");
	return holder;
}

static void finish(struct running *running, PGconn *holder)
{
	PQfinish(holder);
	assert_int_equal(pthread_join(running->thread, NULL), 0);
}

static void a_page_with_a_wrong_checksum_that_was_met_by_the_way_counts(void **state)
{
	(void)state;
	static const struct damage damage = {.relation = "other", .with_checksums = true, .block = 0, .offset_in_tuple = -1};
	struct error err = {0};
	struct running running = {.limits = checked_server_limits(CHECK_STAGE_CONNECT, CHECKED_SERVER_ENOUGH_MS)};
	char path[256];
	checked_server_begin();
	checked_server_exec("app",
		"CREATE TABLE accounts (id int); CREATE TABLE other AS SELECT g, repeat('z', 100) FROM generate_series(1, 60) g");
	restart(true);
	checked_server_path("other", path);

	PGconn *holder = hold_accounts(&running);
	flip_byte(path, &damage);
	assert_int_equal(postgres_exec(&checked_server, "app", "SELECT count(*) FROM other", NULL, 0, &err), -1);
	flip_byte(path, &damage);
	finish(&running, holder);
	AUTO(json) json_t *details = running.result.details;
	checked_server_assert(
		&running.result, GRADE_FAILED, "checksums", "database \"app\": 1 pages had a wrong checksum when they were read");
	assert_string_equal(json_find_str(details, "checksums"), "on");
	assert_int_equal(json_find_int(0, details, "checksum_failures"), 1);
	// What was counted before is not held against it.
	assert_deep(GRADE_CLEAN, "checksums", "");
	checked_server_begin();
	restart(false);
}

static void an_object_over_its_limit_is_named_and_no_verdict_on_the_backup(void **state)
{
	(void)state;
	checked_server_begin();
	checked_server_exec("app",
		"CREATE TABLE accounts (id int); CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS"
		" $$BEGIN PERFORM pg_sleep(600); RETURN $1; END$$; CREATE INDEX slow_index ON accounts (slow(id));"
		"ALTER TABLE accounts SET (autovacuum_enabled = false);"
		"UPDATE pg_index SET indisready = false WHERE indexrelid = 'slow_index'::regclass;"
		"INSERT INTO accounts VALUES (1);"
		"UPDATE pg_index SET indisready = true WHERE indexrelid = 'slow_index'::regclass");
	const struct check_request request = deep_request();
	struct check_limits limits = checked_server_limits(CHECK_STAGE_INDEXES, 3600 * INT64_C(1000));
	struct check_result result;
	limits.object_ms = 2000;
	checked_server_check(&request, &limits, &result);
	json_decref(result.details);
	checked_server_assert(
		&result, GRADE_INCONCLUSIVE, "indexes", "database \"app\": index public.slow_index: not done within 2 s");
	wait_for_sessions("true", "0");
}

static void a_lost_session_is_no_verdict_on_the_backup(void **state)
{
	(void)state;
	struct running lost = {.limits = checked_server_limits(CHECK_STAGE_CONNECT, CHECKED_SERVER_ENOUGH_MS)};
	checked_server_begin();
	checked_server_exec("app", "CREATE TABLE accounts (id int)");
	PGconn *holder = hold_accounts(&lost);
	checked_server_exec(
		"postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'understory'");
	finish(&lost, holder);
	json_decref(lost.result.details);
	checked_server_assert(&lost.result, GRADE_INCONCLUSIVE, "tables", "terminating connection");
}

int main(void)
{
	const struct CMUnitTest cases[] = {
		cmocka_unit_test(a_sound_server_passes_and_says_what_was_read),
		cmocka_unit_test(nothing_to_read_is_said),
		cmocka_unit_test(a_database_that_takes_no_connections_is_named),
		cmocka_unit_test(an_amcheck_of_the_database_is_used_and_kept),
		cmocka_unit_test(an_absent_amcheck_is_said),
		cmocka_unit_test(a_flipped_byte_turns_the_verdict_and_is_named),
		cmocka_unit_test(settings_that_came_with_the_backup_have_no_say),
		cmocka_unit_test(an_index_whose_own_function_fails_is_no_fault_of_the_backup),
		cmocka_unit_test(a_page_with_a_wrong_checksum_that_was_met_by_the_way_counts),
		cmocka_unit_test(an_object_over_its_limit_is_named_and_no_verdict_on_the_backup),
		cmocka_unit_test(a_lost_session_is_no_verdict_on_the_backup),
	};
	return cmocka_run_group_tests_name("reconciler/check_deep", cases, checked_server_setup, checked_server_teardown);
}
