#include "tests/reconciler/scenes.h"

#include "base/buf.h"
#include "base/clock.h"
#include "tests/support/cmocka.h"
#include <string.h>

static const char *no_environment(const char *name)
{
	(void)name;
	return NULL;
}

struct settings *scene_settings(void)
{
	struct error err = {0};
	struct settings *settings = NULL;
	assert_ok(settings_load(no_environment, &settings, &err), err);
	return settings;
}

static json_t *parse(const struct buf *text)
{
	struct error err = {0};
	json_t *value = NULL;
	assert_ok(json_parse(buf_str(text), text->len, &value, &err), err);
	return value;
}

struct entry scene_entry(const char *server_id, const char *intent, const char *extra)
{
	struct error err = {0};
	struct entry entry = {0};
	AUTO(buf) struct buf text;
	buf_init(&text, 4096);
	assert_ok(buf_addf(&text, &err,
			  "{\"replica_id\":\"%s\",\"group_id\":\"%s\",\"server_id\":\"%s\",\"type\":\"tamanu-postgres\",\"intent\":\"%s\","
			  "\"name\":\"Nauru prod analytics\",%s\"storage\":\"s3\",\"bucket\":\"b\",\"prefix\":\"p\","
			  "\"region\":\"r\"%s}",
			  SCENE_REPLICA_ID, SCENE_GROUP_ID, server_id, intent,
			  strstr(extra, "\"params\"") == NULL ? "\"params\":{}," : "", extra),
		err);
	AUTO(json) json_t *object = parse(&text);
	assert_ok(entry_from_json(object, &entry, &err), err);
	return entry;
}

// "key":"v" becomes "pgro.bes.au/key":"v": each annotation key follows the start or a comma.
static void add_prefixed(struct buf *text, const char *annotations)
{
	struct error err = {0};
	AUTO(buf) struct buf whole;
	buf_init(&whole, 8192);
	assert_ok(buf_addf(&whole, &err, "{%s}", annotations), err);
	AUTO(json) json_t *object = parse(&whole);
	const char *key, *separator = "";
	json_t *value;
	json_object_foreach(object, key, value) {
		AUTO_FREE char *printed = NULL;
		assert_ok(json_print(value, &printed, &err), err);
		assert_ok(buf_addf(text, &err, "%s\"pgro.bes.au/%s\":%s", separator, key, printed), err);
		separator = ",";
	}
}

struct replica scene_replica_with(
	const char *namespace, const char *server_id, const char *intent, const char *annotations, const char *metadata)
{
	struct error err = {0};
	struct replica replica = {0};
	AUTO(buf) struct buf text;
	buf_init(&text, 16384);
	assert_ok(buf_addf(&text, &err,
			  "{\"metadata\":{\"name\":\"%s\",\"uid\":\"u-1\",\"resourceVersion\":\"7\","
			  "\"creationTimestamp\":\"2026-11-20T10:00:00Z\"%s,\"labels\":{\"pgro.bes.au/managed-by\":\"pgro-canopy\","
			  "\"pgro.bes.au/declaration-id\":\"%s\",\"pgro.bes.au/group\":\"%s\",\"pgro.bes.au/server\":\"%s\","
			  "\"pgro.bes.au/type\":\"tamanu-postgres\",\"pgro.bes.au/intent\":\"%s\"},\"annotations\":{",
			  namespace, metadata, SCENE_REPLICA_ID, SCENE_GROUP_ID, server_id, intent),
		err);
	add_prefixed(&text, annotations);
	assert_ok(buf_add_str(&text, "}}}", &err), err);
	AUTO(json) json_t *object = parse(&text);
	assert_ok(replica_from_json(object, &replica, &err), err);
	return replica;
}

struct replica scene_replica(const char *namespace, const char *server_id, const char *intent, const char *annotations)
{
	return scene_replica_with(namespace, server_id, intent, annotations, "");
}

int64_t scene_now_ms(void)
{
	struct error err = {0};
	int64_t now_ms = 0;
	assert_ok(clock_parse(SCENE_NOW, &now_ms, &err), err);
	return now_ms;
}
