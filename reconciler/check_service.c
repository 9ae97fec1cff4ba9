// The stage that comes in as people will: by the address of a Service, under the name that the certificate is for.
#include "reconciler/check_run.h"

#include "base/clock.h"
#include <string.h>

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

// Whoever answers, it has to be the server that the other stages looked at.
static int ask_version(const struct check_run *run, struct check_connection *connection, struct error *err)
{
	AUTO(pgresult) PGresult *result = NULL;
	if (check_connection_query(connection, "SELECT pg_catalog.version()", &result, err) < 0)
		return -1;
	const char *version = PQntuples(result) == 1 ? PQgetvalue(result, 0, 0) : "";
	if (strstr(version, run->result->server_version) == NULL)
		return error_set(err, ERROR_TRANSIENT, "another server answers: %.100s", version);
	return 0;
}

static int connect_by(const struct check_run *run, const struct check_service *service, struct error *err)
{
	AUTO(check_connection) struct check_connection *connection = NULL;
	struct check_request request = *run->request;
	bool is_source = request.source_user != NULL;
	int64_t ends_mono_ms = earlier(clock_mono_ms() + CHECK_CONNECTION_ATTEMPT_MS, run->stage_ends_mono_ms);
	const struct check_connection_options options = {.request = &request,
		.database = is_source && request.source_database != NULL ? request.source_database : run->main_database,
		.connect_by_mono_ms = ends_mono_ms,
		.finish_by_mono_ms = ends_mono_ms,
		.is_single = true,
		.cancel = run->cancel};
	memcpy(request.host, service->address, sizeof(request.host));
	request.port = service->port;
	if (is_source) {
		request.user = request.source_user;
		request.password = request.source_password;
		request.is_plain_user = true;
	}
	return check_connection_open(&options, &connection, err) < 0 ? -1 : ask_version(run, connection, err);
}

static int pass(struct check_run *run, const struct check_service *service)
{
	if (service->url[0] != '\0')
		check_run_detail(run->result->details, "url", json_string(service->url));
	if (service->node_port > 0)
		check_run_detail(run->result->details, "node_port", json_integer(service->node_port));
	return 0;
}

// What has no address yet is not tried, and the wait for it is no try.
int check_stage_service(struct check_run *run, struct error *err)
{
	const struct check_request *request = run->request;
	int64_t pause_ms = run->limits->service_pause_ms;
	int tries = 0;
	for (;;) {
		struct check_service service = {.port = 0};
		bool is_there = request->find_service(request->find_service_arg, request, &service, err) == 0;
		if (is_there && connect_by(run, &service, err) == 0)
			return pass(run, &service);
		tries += is_there ? 1 : 0;
		// Another try with the same password ends in the same way, and some servers count.
		if (is_there && err->kind == ERROR_INTERNAL && request->source_user != NULL)
			return error_wrap(err, CHECK_SOURCE_REFUSED);
		int64_t again_mono_ms = clock_mono_ms() + pause_ms;
		if (err->kind == ERROR_CANCELLED)
			return -1;
		if (tries >= run->limits->service_tries || again_mono_ms >= run->stage_ends_mono_ms)
			break;
		if (check_connection_sleep(run->cancel, again_mono_ms, err) < 0)
			return -1;
		pause_ms = earlier(2 * pause_ms, run->limits->service_pause_max_ms);
	}
	if (tries == 0)
		return -1;
	return error_wrap(err, "no way in through the Service in %d tries", tries);
}
