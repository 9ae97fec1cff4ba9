#include "canopy/proxy/s3error.h"

#include <stdio.h>
#include <string.h>

static void read_element(const char *body, size_t len, const char *name, char *out, size_t size)
{
	char tag[32];
	out[0] = '\0';
	size_t tag_len = (size_t)snprintf(tag, sizeof(tag), "<%s>", name);
	const char *begin = memmem(body, len, tag, tag_len);
	if (begin == NULL)
		return;
	begin += tag_len;
	size_t rest = len - (size_t)(begin - body);
	const char *end = memchr(begin, '<', rest);
	size_t value_len = end == NULL ? size : (size_t)(end - begin);
	if (value_len >= size || memchr(begin, '\0', value_len) != NULL)
		return;
	memcpy(out, begin, value_len);
	out[value_len] = '\0';
}

void s3error_read(const char *body, size_t len, struct s3error *out)
{
	read_element(body, len, "Code", out->code, sizeof(out->code));
	read_element(body, len, "Region", out->region, sizeof(out->region));
	read_element(body, len, "ServerTime", out->server_time, sizeof(out->server_time));
	read_element(body, len, "Endpoint", out->endpoint, sizeof(out->endpoint));
}

bool s3error_is_credentials(const char *code)
{
	static const char *const codes[] = {
		"ExpiredToken", "InvalidAccessKeyId", "RequestExpired", "InvalidToken", "TokenRefreshRequired", NULL};
	for (size_t i = 0; codes[i] != NULL; i++) {
		if (strcmp(code, codes[i]) == 0)
			return true;
	}
	return false;
}

static const char *reason(int status)
{
	switch (status) {
	case 400:
		return "Bad Request";
	case 403:
		return "Forbidden";
	case 408:
		return "Request Timeout";
	case 431:
		return "Request Header Fields Too Large";
	case 500:
		return "Internal Server Error";
	case 502:
		return "Bad Gateway";
	case 503:
		return "Service Unavailable";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Error";
	}
}

// Text within an element: the markup escaped, control characters (which XML 1.0 does not know) as "?".
static int add_escaped(struct buf *out, const char *text, struct error *err)
{
	for (; *text != '\0'; text++) {
		const char *as = NULL;
		char c = (unsigned char)*text < ' ' ? '?' : *text;
		if (c == '<')
			as = "&lt;";
		else if (c == '>')
			as = "&gt;";
		else if (c == '&')
			as = "&amp;";
		if (as != NULL ? buf_add_str(out, as, err) < 0 : buf_add(out, &c, 1, err) < 0)
			return -1;
	}
	return 0;
}

int s3error_write(const struct s3error_answer *answer, struct buf *out, struct error *err)
{
	AUTO(buf) struct buf body;
	buf_init(&body, S3ERROR_BODY_MAX);
	if (buf_addf(&body, err, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>", answer->code) <
			0 ||
		add_escaped(&body, answer->message, err) < 0 || buf_add_str(&body, "</Message></Error>", err) < 0)
		return -1;
	if (buf_addf(out, err,
		    "HTTP/1.1 %d %s\r\nContent-Type: application/xml\r\nContent-Length: %zu\r\nServer: "
		    "understory-proxy\r\n%s\r\n",
		    answer->status, reason(answer->status), body.len, answer->closes ? "Connection: close\r\n" : "") < 0)
		return -1;
	return answer->is_head ? 0 : buf_add(out, body.data, body.len, err);
}
