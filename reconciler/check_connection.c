#include "reconciler/check_connection.h"

#include "base/clock.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SQLSTATE_LEN 5
#define RETRY_PAUSE_MS 500

struct check_connection {
	PGconn *pg;
	const atomic_bool *cancel;
	int64_t finish_by_mono_ms;
	bool is_busy; // a statement was sent and its end not seen
	char sqlstate[SQLSTATE_LEN + 1];
	char warning[256]; // of the running statement, about damage; "" for none
};

int check_connection_sleep(const atomic_bool *cancel, int64_t until_mono_ms, struct error *err)
{
	for (;;) {
		if (atomic_load(cancel))
			return error_set(err, ERROR_CANCELLED, "cancelled");
		int64_t left_ms = until_mono_ms - clock_mono_ms();
		if (left_ms <= 0)
			return 0;
		(void)poll(NULL, 0, (int)(left_ms < CHECK_CONNECTION_SLICE_MS ? left_ms : CHECK_CONNECTION_SLICE_MS));
	}
}

// Wait until the socket is ready. ERROR_TRANSIENT at the deadline.
static int wait_ready(int fd, short events, int64_t until_mono_ms, const atomic_bool *cancel, struct error *err)
{
	struct pollfd waits = {.fd = fd, .events = events};
	for (;;) {
		if (cancel != NULL && atomic_load(cancel))
			return error_set(err, ERROR_CANCELLED, "cancelled");
		int64_t left_ms = until_mono_ms - clock_mono_ms();
		if (left_ms <= 0)
			return error_set(err, ERROR_TRANSIENT, "no answer in time");
		int rc = poll(&waits, 1, (int)(left_ms < CHECK_CONNECTION_SLICE_MS ? left_ms : CHECK_CONNECTION_SLICE_MS));
		if (rc > 0)
			return 0;
		if (rc < 0 && errno != EINTR)
			return error_set_errno(err, errno, "poll the server's socket");
	}
}

// https://www.postgresql.org/docs/15/errcodes-appendix.html: class 08 connection, 53 resources, 57 shutdown, cancel and "cannot
// connect now", 28 authentication, 3D000 no such database, 58030 a volume that does not answer (EIO). Everything else is about
// what the server found in its files.
static enum error_kind sqlstate_kind(const char *sqlstate)
{
	if (strcmp(sqlstate, "3D000") == 0)
		return ERROR_NOT_FOUND;
	if (strncmp(sqlstate, "28", 2) == 0 || strcmp(sqlstate, "42501") == 0)
		return ERROR_INTERNAL;
	if (strncmp(sqlstate, "08", 2) == 0 || strncmp(sqlstate, "53", 2) == 0 || strncmp(sqlstate, "57", 2) == 0 ||
		strcmp(sqlstate, "58030") == 0)
		return ERROR_TRANSIENT;
	return ERROR_INVALID;
}

static const char *find_sqlstate(const char *line, size_t len)
{
	for (size_t at = 0; at + SQLSTATE_LEN + 5 < len; at++) {
		if (strncmp(line + at, ":  ", 3) != 0)
			continue;
		size_t code = strspn(line + at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");
		if (code == SQLSTATE_LEN && line[at + 3 + code] == ':' && line[at + 4 + code] == ' ')
			return line + at + 3;
	}
	return NULL;
}

// libpq keeps no error fields of a failed start, only its text. With PQERRORS_VERBOSE the text of what the server said reads
//   connection to server at "10.0.0.1", port 5432 failed: FATAL:  28P01: password authentication failed for user "postgres"
//   DETAIL:  ...
// (fe-protocol3.c, pqBuildErrorMessage3). Several attempts (TLS, then plain) stand one below the other: the last one counts.
static int set_connect_error(PGconn *pg, struct error *err)
{
	const char *text = PQerrorMessage(pg);
	const char *said = NULL, *detail = NULL;

	for (const char *line = text; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
		size_t len = strcspn(line, "\n");
		const char *code = find_sqlstate(line, len);
		if (code != NULL) {
			said = code;
			detail = NULL;
		} else if (said != NULL && strncmp(line, "DETAIL:  ", 9) == 0) {
			detail = line + 9;
		}
	}
	if (said == NULL) {
		const char *failed = strstr(text, " failed: ");
		const char *first = failed == NULL ? text : failed + strlen(" failed: ");
		return error_set(err, ERROR_TRANSIENT, "%.*s", (int)strcspn(first, "\n"), first);
	}
	char sqlstate[SQLSTATE_LEN + 1];
	memcpy(sqlstate, said, SQLSTATE_LEN);
	sqlstate[SQLSTATE_LEN] = '\0';
	const char *message = said + SQLSTATE_LEN + 2;
	int detail_len = detail == NULL ? 0 : (int)strcspn(detail, "\n");
	return error_set(err, sqlstate_kind(sqlstate), "%.*s%s%.*s%s", (int)strcspn(message, "\n"), message,
		detail_len > 0 ? " (" : "", detail_len, detail == NULL ? "" : detail, detail_len > 0 ? ")" : "");
}

static int set_statement_error(struct check_connection *connection, const PGresult *result, struct error *err)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);

	// Without a code it is libpq that speaks: the connection broke.
	if (sqlstate == NULL || message == NULL) {
		const char *text = PQresultErrorMessage(result);
		return error_set(err, ERROR_TRANSIENT, "%.*s", (int)strcspn(text, "\n"), text);
	}
	(void)snprintf(connection->sqlstate, sizeof(connection->sqlstate), "%s", sqlstate);
	if (detail == NULL && connection->warning[0] != '\0')
		detail = connection->warning;
	int detail_len = detail == NULL ? 0 : (int)strcspn(detail, "\n");
	return error_set(err, sqlstate_kind(sqlstate), "%.*s%s%.*s%s", (int)strcspn(message, "\n"), message,
		detail_len > 0 ? " (" : "", detail_len, detail == NULL ? "" : detail, detail_len > 0 ? ")" : "");
}

// A backup brings settings of its databases and roles along (ALTER DATABASE SET), which would hold for our sessions too: reading
// over damage, scanning indexes instead of tables, giving up rights, loading a library. What a client asks for at the start of a
// session comes before those.
static const char session_settings[] =
	// Damage is an error, and in words that we know.
	" -c zero_damaged_pages=off -c ignore_checksum_failure=off -c client_min_messages=warning -c lc_messages=C"
	// Nothing of the backup runs: no function of the same name, no trigger (but ENABLE ALWAYS), no library.
	" -c search_path=pg_catalog -c session_replication_role=replica -c session_preload_libraries="
	" -c local_preload_libraries= -c jit=off"
	// We are who we are, and stay.
	" -c role=none -c row_security=off -c default_transaction_read_only=off -c lock_timeout=0"
	" -c idle_in_transaction_session_timeout=0"
	// A table is read from its first page to its last, by two processes more where the server has them: reading is then twice
	// as fast, and the pod's CPU limit still holds. A scan of a large table leaves the server's buffers alone.
	" -c enable_seqscan=on -c enable_indexscan=off -c enable_indexonlyscan=off -c enable_bitmapscan=off"
	" -c max_parallel_workers_per_gather=2"
	// For amcheck's filter: 16 bits a tuple up to some 60 million tuples in an index, and a pod of 512Mi bears it.
	" -c maintenance_work_mem=128MB";

// What somebody without rights may ask for.
static const char plain_settings[] = " -c search_path=pg_catalog";

// The CAs as libpq wants them, in a file; it holds no key. Read while the connection is made.
static int open_ca_file(const char *ca_pem, int *out, struct error *err)
{
	int fd = memfd_create("ca.crt", MFD_CLOEXEC);
	if (fd < 0)
		return error_set_errno(err, errno, "a file for the CAs of the server");
	size_t size = strlen(ca_pem);
	if (write(fd, ca_pem, size) != (ssize_t)size) {
		(void)error_set_errno(err, errno, "write the CAs of the server");
		(void)close(fd);
		return -1;
	}
	*out = fd;
	return 0;
}

// Nothing is there: libpq takes no file of the operator's home for its own.
#define NO_FILE "/dev/null/none"

// ca_file is read while the connection is made; -1 for a server that speaks plainly.
static PGconn *start_connecting(const struct check_connection_options *options, int ca_file)
{
	const struct check_request *request = options->request;
	char port[16], settings[1024], ca_path[32];
	int64_t left_ms = options->finish_by_mono_ms - clock_mono_ms();

	(void)snprintf(port, sizeof(port), "%d", request->port);
	(void)snprintf(ca_path, sizeof(ca_path), "/proc/self/fd/%d", ca_file);
	(void)snprintf(settings, sizeof(settings), "-c statement_timeout=%" PRId64 "%s",
		options->is_long ? INT64_C(0)
		: left_ms < 1    ? INT64_C(1)
				 : left_ms,
		request->is_plain_user ? plain_settings : session_settings);
	const char *const pairs[][2] = {
		// The pod is meant, and the certificate names the Service.
		{ca_file >= 0 ? "hostaddr" : "host", request->host},
		{"host", ca_file >= 0 ? request->tls_name : NULL},
		{"port", port},
		{"dbname", options->database},
		{"user", request->user},
		{"password", secret_reveal(request->password)},
		{"application_name", "understory"},
		{"client_encoding", "UTF8"},
		{"options", settings},
		// Without a certificate it is our own server behind a NetworkPolicy all the same, and SCRAM never shows the
		// password.
		{"sslmode", ca_file >= 0 ? "verify-full" : "prefer"},
		{"sslrootcert", ca_file >= 0 ? ca_path : NO_FILE},
		{"sslcert", NO_FILE},
		{"sslcrl", NO_FILE},
		{"gssencmode", "disable"},
		{"target_session_attrs", "any"},
		{"keepalives", "1"},
		{"keepalives_idle", "30"},
		{"keepalives_interval", "10"},
		{"keepalives_count", "3"},
		{"tcp_user_timeout", "30000"},
		// The operator's own environment and home have no say.
		{"passfile", "/dev/null"},
	};
	enum { PAIRS = sizeof(pairs) / sizeof(pairs[0]) };
	const char *keywords[PAIRS + 1], *values[PAIRS + 1];
	int count = 0;
	for (int i = 0; i < PAIRS; i++) {
		keywords[count] = pairs[i][0];
		values[count] = pairs[i][1];
		count += values[count] != NULL ? 1 : 0;
	}
	keywords[count] = values[count] = NULL;
	return PQconnectStartParams(keywords, values, 0);
}

static int finish_connecting(PGconn *pg, int64_t until_mono_ms, const atomic_bool *cancel, struct error *err)
{
	PostgresPollingStatusType status = PQstatus(pg) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
	(void)PQsetErrorVerbosity(pg, PQERRORS_VERBOSE);
	while (status != PGRES_POLLING_OK) {
		if (status == PGRES_POLLING_FAILED)
			return set_connect_error(pg, err);
		short events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT;
		if (wait_ready(PQsocket(pg), events, until_mono_ms, cancel, err) < 0)
			return -1;
		status = PQconnectPoll(pg);
	}
	(void)PQsetErrorVerbosity(pg, PQERRORS_DEFAULT);
	return 0;
}

// Warnings of the server (a collation version that differs) go nowhere: libpq would print them on stderr. But that a page has a
// wrong checksum is said in a warning alone, before the error that follows from it.
static void keep_warning(void *arg, const PGresult *result)
{
	struct check_connection *connection = arg;
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	if (sqlstate != NULL && strcmp(sqlstate, "XX001") == 0 && message != NULL)
		(void)snprintf(connection->warning, sizeof(connection->warning), "%s", message);
}

static int set_by_version(struct check_connection *connection, struct error *err)
{
	int major = check_connection_version(connection) / 10000;
	if (major >= 14 && check_connection_query(connection, "SET client_connection_check_interval = '10s'", NULL, err) < 0)
		return -1;
	return major >= 17 ? check_connection_query(connection, "SET event_triggers = off", NULL, err) : 0;
}

static int attempt(const struct check_connection_options *options, struct check_connection **out, struct error *err)
{
	AUTO(check_connection) struct check_connection *connection = malloc(sizeof(*connection));
	if (connection == NULL)
		return error_no_memory(err, "connection");
	*connection = (struct check_connection){.cancel = options->cancel, .finish_by_mono_ms = options->finish_by_mono_ms};
	AUTO_CLOSE int ca_file = -1;
	if (options->request->tls_name[0] != '\0' && open_ca_file(options->request->ca_pem, &ca_file, err) < 0)
		return -1;
	connection->pg = start_connecting(options, ca_file);
	if (connection->pg == NULL)
		return error_no_memory(err, "connection");

	int64_t until_mono_ms = clock_mono_ms() + CHECK_CONNECTION_ATTEMPT_MS;
	if (until_mono_ms > options->connect_by_mono_ms)
		until_mono_ms = options->connect_by_mono_ms;
	if (finish_connecting(connection->pg, until_mono_ms, options->cancel, err) < 0)
		return -1;
	(void)PQsetNoticeReceiver(connection->pg, keep_warning, connection);
	if (options->is_long && set_by_version(connection, err) < 0)
		return -1;
	*out = TAKE_PTR(connection);
	return 0;
}

int check_connection_open(const struct check_connection_options *options, struct check_connection **out, struct error *err)
{
	struct error last;
	for (;;) {
		if (attempt(options, out, &last) == 0)
			return 0;
		int64_t again_mono_ms = clock_mono_ms() + RETRY_PAUSE_MS;
		if (last.kind != ERROR_TRANSIENT || options->is_single || again_mono_ms >= options->connect_by_mono_ms)
			break;
		if (check_connection_sleep(options->cancel, again_mono_ms, &last) < 0)
			break;
	}
	*err = last;
	if (err->kind == ERROR_TRANSIENT)
		return error_wrap(
			err, "database \"%s\" at %s port %d", options->database, options->request->host, options->request->port);
	return error_wrap(err, "database \"%s\"", options->database);
}

// Read until the statement's end or the deadline; the first failure or the last result is kept. A libpq before 14 that has no
// memory for a result says that the statement is over while it is not: what was seen of it by then is no answer.
static int collect(
	struct check_connection *connection, int64_t until_mono_ms, const atomic_bool *cancel, PGresult **out, struct error *err)
{
	AUTO(pgresult) PGresult *kept = NULL;
	for (;;) {
		while (PQisBusy(connection->pg)) {
			if (wait_ready(PQsocket(connection->pg), POLLIN, until_mono_ms, cancel, err) < 0)
				return -1;
			if (PQconsumeInput(connection->pg) == 0)
				break;
		}
		PGresult *result = PQgetResult(connection->pg);
		if (result == NULL)
			break;
		if (kept != NULL && PQresultStatus(kept) == PGRES_FATAL_ERROR) {
			PQclear(result);
			continue;
		}
		PQclear(kept);
		kept = result;
	}
	if (PQtransactionStatus(connection->pg) == PQTRANS_ACTIVE)
		return error_set(err, ERROR_TRANSIENT, "a result of the server was lost");
	connection->is_busy = false;
	*out = TAKE_PTR(kept);
	return 0;
}

int check_connection_query(struct check_connection *connection, const char *sql, PGresult **out, struct error *err)
{
	connection->sqlstate[0] = connection->warning[0] = '\0';
	if (PQsendQuery(connection->pg, sql) == 0) {
		const char *text = PQerrorMessage(connection->pg);
		return error_set(err, ERROR_TRANSIENT, "%.*s", (int)strcspn(text, "\n"), text);
	}
	connection->is_busy = true;

	// The server's statement_timeout comes first and says more; the grace is for a server that does not answer any more.
	AUTO(pgresult) PGresult *result = NULL;
	if (collect(connection, connection->finish_by_mono_ms + CHECK_CONNECTION_CANCEL_GRACE_MS, connection->cancel, &result,
		    err) < 0)
		return -1;
	if (result == NULL)
		return error_set(err, ERROR_TRANSIENT, "the server gave no result");
	if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
		return set_statement_error(connection, result, err);
	if (out != NULL)
		*out = TAKE_PTR(result);
	return 0;
}

void check_connection_set_limit(struct check_connection *connection, int64_t finish_by_mono_ms)
{
	connection->finish_by_mono_ms = finish_by_mono_ms;
}

const char *check_connection_sqlstate(const struct check_connection *connection)
{
	return connection->sqlstate;
}

int check_connection_version(const struct check_connection *connection)
{
	return PQserverVersion(connection->pg);
}

const char *check_connection_version_text(const struct check_connection *connection)
{
	const char *text = PQparameterStatus(connection->pg, "server_version");
	return text == NULL ? "" : text;
}

static void *send_cancel(void *arg)
{
	char ignored[256];
	(void)PQcancel(arg, ignored, sizeof(ignored));
	PQfreeCancel(arg);
	return NULL;
}

// PQcancel() connects and waits without a limit, so it runs on a thread that nobody waits for: a server that hangs costs us that
// thread until TCP gives up, and never the pool.
static void request_cancel(PGconn *pg)
{
	PGcancel *cancel = PQgetCancel(pg);
	if (cancel == NULL)
		return;

	sigset_t all, before;
	pthread_t thread;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&thread, NULL, send_cancel, cancel);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc == 0)
		(void)pthread_detach(thread);
	else
		PQfreeCancel(cancel);
}

void check_connection_close(struct check_connection *connection)
{
	if (connection == NULL)
		return;
	if (connection->is_busy && PQstatus(connection->pg) == CONNECTION_OK) {
		struct error ignored;
		AUTO(pgresult) PGresult *rest = NULL;
		request_cancel(connection->pg);
		if (collect(connection, clock_mono_ms() + CHECK_CONNECTION_CANCEL_GRACE_MS, NULL, &rest, &ignored) < 0)
			connection->is_busy = true;
	}
	PQfinish(connection->pg);
	free(connection);
}
