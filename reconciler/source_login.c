#include "reconciler/source_login.h"

#include "reconciler/secret_data.h"
#include <string.h>

void source_login_fini(struct source_login *login)
{
	secret_fini(&login->user);
	secret_fini(&login->password);
	secret_fini(&login->database);
}

static int read_keys(const json_t *data, struct source_login *out, struct error *err)
{
	if (secret_data_get(data, "username", &out->user, err) < 0 ||
		secret_data_get(data, "password", &out->password, err) < 0 ||
		(json_object_get(data, "database") != NULL && secret_data_get(data, "database", &out->database, err) < 0))
		return -1;
	const char *user = secret_reveal(&out->user);
	if (strcmp(user, "postgres") == 0 || strcmp(user, "analytics") == 0)
		return error_set(err, ERROR_INVALID,
			"username is %s, whose password is the operator's in a replica: allowed is another role that may log in",
			user);
	return 0;
}

int source_login_read(struct manager *op, const struct round_view *v, struct source_login *out, struct error *err)
{
	AUTO(json) json_t *object = NULL;
	AUTO(source_login) struct source_login made = {0};
	if (v->sizing.passwords == PASSWORDS_GENERATED)
		return 0;
	const char *namespace = op->settings->operator_namespace, *name = v->entry->source_secret;
	if (secret_data_named(op->k8s, namespace, name, &object, err) < 0 ||
		read_keys(json_object_get(object, "data"), &made, err) < 0)
		return error_wrap(err, "sourceSecret %s/%s", namespace, name);
	*out = made;
	made = (struct source_login){0};
	return 0;
}

void source_login_give(const struct source_login *login, struct check_request *request)
{
	if (login->user.len == 0)
		return;
	request->source_user = secret_reveal(&login->user);
	request->source_password = &login->password;
	request->source_database = login->database.len == 0 ? NULL : secret_reveal(&login->database);
}
