#include "builders/endpoint.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#define BROKER_DEFAULT_PORT 9091 // design.md, PGRO_BROKER_URL

DEFINE_AUTO(CURLU, curlu, curl_url_cleanup)
DEFINE_AUTO(char, curl_text, curl_free)

// len is what snprintf() said when it wrote the URL.
static int finish_url(char url[ENDPOINT_SIZE], int len, const char *what, struct error *err)
{
	if (len < 0 || len >= ENDPOINT_SIZE)
		return error_set(err, ERROR_INVALID, "%s is longer than %d bytes", what, ENDPOINT_SIZE - 1);
	while (len > 0 && url[len - 1] == '/')
		url[--len] = '\0';
	return 0;
}

int endpoint_s3(const struct build *b, char out[ENDPOINT_SIZE], struct error *err)
{
	const char *set = b->settings->s3_endpoint;
	int len = set != NULL ? snprintf(out, ENDPOINT_SIZE, "%s", set)
			      : snprintf(out, ENDPOINT_SIZE, "https://s3.%s.amazonaws.com", b->entry->region);
	return finish_url(out, len, "S3 endpoint", err);
}

static int url_port(const char *url, int *port, struct error *err)
{
	AUTO(curlu) CURLU *parsed = curl_url();
	if (parsed == NULL)
		return error_no_memory(err, "URL");
	AUTO(curl_text) char *text = NULL;
	CURLUcode code = curl_url_set(parsed, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME);
	if (code == CURLUE_OK)
		code = curl_url_get(parsed, CURLUPART_PORT, &text, CURLU_DEFAULT_PORT);
	if (code == CURLUE_OUT_OF_MEMORY)
		return error_no_memory(err, "URL");
	if (code != CURLUE_OK)
		return error_set(err, ERROR_INVALID, "\"%s\" is no http or https URL", url);
	*port = (int)strtol(text, NULL, 10); // libcurl has checked that it is a port
	return 0;
}

// learn.microsoft.com/azure/storage/common/storage-account-overview, "Storage account name".
static bool is_account_name(const char *text)
{
	size_t len = strlen(text);
	return len >= 3 && len <= 24 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789") == len;
}

static bool names_account(const char *url, const char *account)
{
	static const char scheme[] = "https://";
	size_t len = strlen(account);
	const char *host = url + strlen(scheme);
	if (strncmp(url, scheme, strlen(scheme)) != 0 || strpbrk(url, "?#@") != NULL)
		return false;
	const char *path = strchr(host, '/');
	if (path == NULL)
		return strncmp(host, account, len) == 0 && host[len] == '.';
	return strcmp(path + 1, account) == 0;
}

int endpoint_azure(const struct build *b, char out[ENDPOINT_SIZE], struct error *err)
{
	const struct entry *entry = b->entry;
	if (entry->account == NULL || !is_account_name(entry->account))
		return error_set(err, ERROR_INVALID,
			"storage \"azure\" needs `account`, the storage account: 3 to 24 lower-case letters and digits");
	int len = entry->endpoint != NULL ? snprintf(out, ENDPOINT_SIZE, "%s", entry->endpoint)
					  : snprintf(out, ENDPOINT_SIZE, "https://%s.blob.core.windows.net", entry->account);
	if (finish_url(out, len, "endpoint", err) != 0)
		return -1;
	if (!names_account(out, entry->account))
		return error_set(err, ERROR_INVALID,
			"endpoint \"%s\" is neither https://%s.<host> nor https://<host>/%s, as the blob service of the account "
			"is",
			out, entry->account, entry->account);
	return 0;
}

int endpoint_store(const struct build *b, char out[ENDPOINT_SIZE], struct error *err)
{
	return entry_storage(b->entry) == STORAGE_AZURE ? endpoint_azure(b, out, err) : endpoint_s3(b, out, err);
}

int endpoint_store_port(const struct build *b, int *port, struct error *err)
{
	char url[ENDPOINT_SIZE];
	if (endpoint_store(b, url, err) != 0)
		return -1;
	if (url_port(url, port, err) != 0)
		return error_wrap(err, entry_storage(b->entry) == STORAGE_AZURE ? "endpoint" : "S3_ENDPOINT");
	return 0;
}

bool endpoint_has_own_ca(const struct build *b)
{
	return b->s3_ca_pem != NULL && (entry_storage(b->entry) != STORAGE_AZURE || b->entry->endpoint != NULL);
}

int endpoint_broker(const struct settings *settings, char out[ENDPOINT_SIZE], struct error *err)
{
	int len = settings->broker_url != NULL
			  ? snprintf(out, ENDPOINT_SIZE, "%s", settings->broker_url)
			  : snprintf(out, ENDPOINT_SIZE, "https://%s.%s.svc:%d", settings->operator_service_name,
				    settings->operator_namespace, BROKER_DEFAULT_PORT);
	return finish_url(out, len, "broker URL", err);
}

int endpoint_broker_port(const struct settings *settings, int *port, struct error *err)
{
	if (settings->broker_url == NULL) {
		*port = BROKER_DEFAULT_PORT;
		return 0;
	}
	if (url_port(settings->broker_url, port, err) != 0)
		return error_wrap(err, "PGRO_BROKER_URL");
	return 0;
}
