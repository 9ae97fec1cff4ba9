#include "k8s/call.h"

#include "base/clock.h"
#include "base/file.h"
#include <string.h>

#define TOKEN_MAX ((size_t)64 << 10)

static int read_token(const char *path, struct secret *out, struct error *err)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	if (file_read(path, TOKEN_MAX, &text, &len, err) < 0)
		return error_wrap(err, "token");
	text[strcspn(text, " \t\r\n")] = '\0';
	int rc = text[0] == '\0' ? error_set(err, ERROR_TRANSIENT, "token: %s is empty", path) : secret_set(out, text, err);
	secret_wipe(text, len);
	return rc;
}

static int renew(struct k8s_client *client, struct error *err)
{
	struct error failure = {0};
	if (read_token(client->config->token_file, &client->token, &failure) == 0) {
		client->token_read_at_ms = clock_mono_ms();
		return 0;
	}
	// A mounted token is missing for moments only, and the old one is good for a while yet.
	if (client->token.bytes != NULL)
		return 0;
	*err = failure;
	err->kind = ERROR_TRANSIENT; // never "not found": that would read as the object's absence
	return -1;
}

int k8s_token_get(struct k8s_client *client, bool fresh, struct secret *out, struct error *err)
{
	if (client->config->token_file == NULL)
		return client->config->token.bytes == NULL ? 0 : secret_set(out, secret_reveal(&client->config->token), err);

	(void)pthread_mutex_lock(&client->token_lock);
	bool old = client->token.bytes == NULL || clock_mono_ms() - client->token_read_at_ms > K8S_TOKEN_AGE_MS;
	int rc = fresh || old ? renew(client, err) : 0;
	if (rc == 0)
		rc = secret_set(out, secret_reveal(&client->token), err);
	(void)pthread_mutex_unlock(&client->token_lock);
	return rc;
}
