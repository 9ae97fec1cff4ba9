#include "tests/support/postgres.h"

#include "base/clock.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define START_LIMIT_MS 60000
#define STOP_LIMIT_MS 30000
#define PORT_TRIES 5
#define ARGS_MAX 40

static int find_server(struct postgres *pg, struct error *err)
{
	const char *chosen = getenv("UNDERSTORY_TEST_POSTGRES_BIN");
	glob_t found = {0};

	if (chosen != NULL)
		(void)snprintf(pg->bin, sizeof(pg->bin), "%s", chosen);
	(void)glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found);
	for (size_t i = 0; chosen == NULL && i < found.gl_pathc; i++) {
		int major = (int)strtol(found.gl_pathv[i] + strlen("/usr/lib/postgresql/"), NULL, 10);
		if (major <= pg->major)
			continue;
		pg->major = major;
		(void)snprintf(pg->bin, sizeof(pg->bin), "/usr/lib/postgresql/%d/bin", major);
	}
	globfree(&found);
	return pg->bin[0] == '\0' ? error_set(err, ERROR_NOT_FOUND, "no PostgreSQL under /usr/lib/postgresql") : 0;
}

// Fork and run argv as the server's user, with its output in dir/log_name. Returns the pid, or -1.
static pid_t spawn(const struct postgres *pg, const char *log_name, const char *const *argv)
{
	static const char *const as_postgres[] = {
		"setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig", "QUIT", NULL};
	const char *args[ARGS_MAX];
	char log[128];
	int count = 0;

	for (int i = 0; geteuid() == 0 && as_postgres[i] != NULL; i++)
		args[count++] = as_postgres[i];
	for (int i = 0; argv[i] != NULL && count < ARGS_MAX - 1; i++)
		args[count++] = argv[i];
	args[count] = NULL;
	(void)snprintf(log, sizeof(log), "%s/%s", pg->dir, log_name);

	pid_t pid = fork();
	if (pid != 0)
		return pid;
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || null < 0 || dup2(null, 0) < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
		_exit(126);
	(void)prctl(PR_SET_PDEATHSIG, SIGQUIT);
	// execvp() changes neither the array nor the strings.
	(void)execvp(args[0], (char *const *)(uintptr_t)args);
	_exit(127);
}

static int make_directory(struct postgres *pg, char password_file[80], struct error *err)
{
	(void)snprintf(pg->dir, sizeof(pg->dir), "/tmp/understory-test-postgres-XXXXXX");
	if (mkdtemp(pg->dir) == NULL) {
		pg->dir[0] = '\0';
		return error_set_errno(err, errno, "make a directory in /tmp");
	}
	(void)snprintf(pg->data, sizeof(pg->data), "%s/data", pg->dir);
	(void)snprintf(password_file, 80, "%s/password", pg->dir);

	if (secret_make(&pg->password, err) < 0)
		return -1;
	FILE *file = fopen(password_file, "wex");
	if (file == NULL)
		return error_set_errno(err, errno, "open %s", password_file);
	(void)fprintf(file, "%s\n", secret_reveal(&pg->password));
	(void)fclose(file);

	const struct passwd *user = geteuid() == 0 ? getpwnam(POSTGRES_USER) : NULL;
	if (user != NULL &&
		(chown(pg->dir, user->pw_uid, user->pw_gid) < 0 || chown(password_file, user->pw_uid, user->pw_gid) < 0))
		return error_set_errno(err, errno, "chown %s", pg->dir);
	return 0;
}

static int run_program(const struct postgres *pg, const char *log_name, const char *const *argv, struct error *err)
{
	int status = 0;
	pid_t pid = spawn(pg, log_name, argv);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return error_set_errno(err, errno, "run %s", argv[0]);
	if (status != 0)
		return error_set(err, ERROR_INTERNAL, "%s ended with status %d", argv[0], status);
	return 0;
}

static int init_cluster(struct postgres *pg, struct error *err)
{
	char password_file[80], password_option[96], program[128];
	if (make_directory(pg, password_file, err) < 0)
		return -1;
	(void)snprintf(program, sizeof(program), "%s/initdb", pg->bin);
	(void)snprintf(password_option, sizeof(password_option), "--pwfile=%s", password_file);
	return run_program(pg, "initdb.log",
		(const char *const[]){program, "-D", pg->data, "-U", POSTGRES_USER, "-A", "scram-sha-256", password_option, "-E",
			"UTF8", "--locale=C.UTF-8", "--no-sync", NULL},
		err);
}

int postgres_set_checksums(struct postgres *pg, bool on, struct error *err)
{
	char program[128];
	(void)snprintf(program, sizeof(program), "%s/pg_checksums", pg->bin);
	return run_program(pg, "checksums.log",
		(const char *const[]){program, "-D", pg->data, "--no-sync", on ? "--enable" : "--disable", NULL}, err);
}

static int find_free_port(int *port, struct error *err)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 || getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		return error_set_errno(err, errno, "find a free port");
	*port = ntohs(address.sin_port);
	return 0;
}

static PGconn *connect_to(const struct postgres *pg, const char *database)
{
	char port[16];
	(void)snprintf(port, sizeof(port), "%d", pg->port);
	return PQconnectdbParams((const char *const[]){"host", "port", "dbname", "user", "password", "application_name",
					 "sslmode", "options", NULL},
		(const char *const[]){POSTGRES_HOST, port, database, POSTGRES_USER, secret_reveal(&pg->password), "test",
			"disable", "-c client_min_messages=warning", NULL},
		0);
}

static bool is_answering(const struct postgres *pg)
{
	PGconn *connection = connect_to(pg, "postgres");
	bool answers = PQstatus(connection) == CONNECTION_OK;
	PQfinish(connection);
	return answers;
}

// False when it ended instead, or is not there in time; *pid is then 0 and nothing runs.
static bool wait_until_it_answers(struct postgres *pg)
{
	int64_t until_mono_ms = clock_mono_ms() + START_LIMIT_MS;
	while (clock_mono_ms() < until_mono_ms) {
		if (waitpid(pg->pid, NULL, WNOHANG) == pg->pid) {
			pg->pid = 0;
			return false;
		}
		if (is_answering(pg))
			return true;
		(void)poll(NULL, 0, 50);
	}
	postgres_halt(pg);
	return false;
}

// The port was free a moment ago; should another process have taken it, the server ends and the next port is tried.
int postgres_run(struct postgres *pg, struct error *err)
{
	char program[128], port[16];
	(void)snprintf(program, sizeof(program), "%s/postgres", pg->bin);
	for (int try = 0; try < PORT_TRIES; try++) {
		if (find_free_port(&pg->port, err) < 0)
			return -1;
		(void)snprintf(port, sizeof(port), "%d", pg->port);
		pg->pid = spawn(pg, "server.log",
			(const char *const[]){program, "-D", pg->data, "-p", port, "-c", "listen_addresses=" POSTGRES_HOST, "-c",
				"unix_socket_directories=", "-c", "fsync=off", "-c", "shared_buffers=16MB", "-c",
				"max_connections=30", "-c", "lc_messages=C", "-c", "timezone=UTC", "-c", "log_timezone=UTC",
				NULL});
		if (pg->pid < 0) {
			pg->pid = 0;
			return error_set_errno(err, errno, "fork");
		}
		if (wait_until_it_answers(pg))
			return 0;
	}
	return error_set(err, ERROR_INTERNAL, "%s does not start", program);
}

void postgres_halt(struct postgres *pg)
{
	if (pg->pid == 0)
		return;
	// SIGINT is a fast shutdown: sessions are ended.
	(void)kill(pg->pid, SIGINT);
	int64_t until_mono_ms = clock_mono_ms() + STOP_LIMIT_MS;
	while (waitpid(pg->pid, NULL, WNOHANG) == 0) {
		if (clock_mono_ms() >= until_mono_ms)
			(void)kill(pg->pid, SIGKILL);
		(void)poll(NULL, 0, 20);
	}
	pg->pid = 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	(void)remove(path);
	return 0;
}

void postgres_free(struct postgres *pg)
{
	postgres_halt(pg);
	if (pg->dir[0] != '\0')
		(void)nftw(pg->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	secret_fini(&pg->password);
	*pg = (struct postgres){.pid = 0};
}

// The directory goes with a failed start, so what the programs said is shown before.
static void show_log(const struct postgres *pg, const char *log_name)
{
	char path[128], line[512];
	(void)snprintf(path, sizeof(path), "%s/%s", pg->dir, log_name);
	FILE *file = fopen(path, "re");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		(void)fprintf(stderr, "# %s: %s", log_name, line);
	if (file != NULL)
		(void)fclose(file);
}

int postgres_new(struct postgres *pg, struct error *err)
{
	char version[32];
	*pg = (struct postgres){.pid = 0};
	if (find_server(pg, err) < 0)
		return -1;
	if (init_cluster(pg, err) < 0 || postgres_run(pg, err) < 0 ||
		postgres_exec(pg, "postgres", "SHOW server_version_num", version, sizeof(version), err) < 0) {
		show_log(pg, "initdb.log");
		show_log(pg, "server.log");
		postgres_free(pg);
		return -1;
	}
	pg->major = (int)(strtol(version, NULL, 10) / 10000);
	return 0;
}

int postgres_exec(
	const struct postgres *pg, const char *database, const char *sql, char *first, size_t first_size, struct error *err)
{
	int rc = 0;
	PGconn *connection = connect_to(pg, database);
	PGresult *result = PQexec(connection, sql);
	ExecStatusType status = PQresultStatus(result);
	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		rc = error_set(err, ERROR_INVALID, "%s: %s", sql, PQerrorMessage(connection));
	else if (first != NULL)
		(void)snprintf(first, first_size, "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
	PQclear(result);
	PQfinish(connection);
	return rc;
}
