#include "reconciler/ca_secret.h"

static int read_secret(struct k8s_client *k8s, const char *namespace, json_t **out, struct error *err)
{
	if (k8s_get(k8s, &K8S_SECRET, namespace, CA_SECRET_NAME, out, err) == 0)
		return 0;
	return err->kind == ERROR_NOT_FOUND ? 0 : -1;
}

// The Secret as it was read (NULL: there is none) with new data. EXISTS and CONFLICT: somebody else was first.
static int write_secret(struct k8s_client *k8s, const char *namespace, const json_t *read, json_t *data, struct error *err)
{
	AUTO(json) json_t *body = NULL;
	if (read == NULL) {
		json_t *made = json_pack("{s:s,s:s,s:s,s:{s:s,s:{s:s}},s:O}", "apiVersion", "v1", "kind", "Secret", "type",
			"Opaque", "metadata", "name", CA_SECRET_NAME, "labels", "app.kubernetes.io/name", "understory", "data",
			data);
		if (json_made(made, "CA secret", &body, err) < 0)
			return -1;
		return k8s_create(k8s, &K8S_SECRET, namespace, body, NULL, err);
	}
	const char *version = json_find_str(read, "metadata", "resourceVersion");
	json_t *made = json_pack("{s:{s:s?},s:O}", "metadata", "resourceVersion", version, "data", data);
	if (json_made(made, "CA secret", &body, err) < 0)
		return -1;
	return k8s_patch(k8s, &K8S_SECRET, namespace, CA_SECRET_NAME, body, NULL, err);
}

int ca_secret_sync(struct k8s_client *k8s, const char *namespace, const char *const *names, int64_t now_ms,
	struct ca_state *state, bool *changed, struct error *err)
{
	AUTO(json) json_t *secret = NULL;
	AUTO(json) json_t *data = NULL;
	AUTO(ca_state) struct ca_state fresh = {0};
	bool is_renewed = false;

	if (read_secret(k8s, namespace, &secret, err) < 0 || ca_decode(json_object_get(secret, "data"), &fresh, err) < 0 ||
		ca_renew_if_due(&fresh, names, now_ms, &is_renewed, err) < 0)
		return error_wrap(err, "secret %s/%s", namespace, CA_SECRET_NAME);
	if (is_renewed && (ca_encode(&fresh, &data, err) < 0 || write_secret(k8s, namespace, secret, data, err) < 0)) {
		// What another operator made in between is as good: it is read in the next try.
		if (err->kind == ERROR_EXISTS || err->kind == ERROR_CONFLICT)
			err->kind = ERROR_TRANSIENT;
		return error_wrap(err, "secret %s/%s", namespace, CA_SECRET_NAME);
	}
	*changed = !ca_is_same(state, &fresh);
	if (*changed) {
		ca_state_fini(state);
		*state = fresh;
		fresh = (struct ca_state){0};
	}
	return 0;
}
