#include "canopy/problem.h"

#include "base/json.h"
#include <stdarg.h>
#include <stdio.h>

#define PROBLEM_TYPE "application/problem+json"

static const char *title_of(int status)
{
	switch (status) {
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 409:
		return "Conflict";
	case 410:
		return "Gone";
	case 411:
		return "Length Required";
	case 413:
		return "Content Too Large";
	case 422:
		return "Unprocessable Content";
	case 429:
		return "Too Many Requests";
	case 503:
		return "Service Unavailable";
	default:
		return status >= 500 ? "Internal Server Error" : "Refused";
	}
}

int problem_set(struct error *err, int status, const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)error_set(err, ERROR_INVALID, "%s", text);
	err->http_status = status;
	return -1;
}

int problem_of_failure(struct error *err)
{
	bool can_come_again = err->kind == ERROR_TRANSIENT || err->kind == ERROR_CANCELLED;
	err->http_status = err->kind == ERROR_CONFLICT ? 409 : can_come_again ? 503 : 500;
	return -1;
}

int problem_of_canopy(struct error *err)
{
	bool is_refusal = err->http_status >= 400 && err->http_status < 500 && err->kind != ERROR_TRANSIENT;
	if (is_refusal && err->http_status == 401)
		err->http_status = 503;
	else if (!is_refusal)
		return problem_of_failure(err);
	return -1;
}

static int64_t retry_after_s(const struct error *err)
{
	int64_t wanted_s = (err->retry_after_ms + 999) / 1000;
	if (err->http_status != 429 && err->http_status != 503)
		return 0;
	if (wanted_s <= 0)
		return PROBLEM_RETRY_AFTER_S;
	return wanted_s < PROBLEM_RETRY_AFTER_MAX_S ? wanted_s : PROBLEM_RETRY_AFTER_MAX_S;
}

// An answer without its body is still an answer.
void problem_answer(const struct error *err, struct https_listener_answer *answer)
{
	struct error ignored;
	AUTO(json) json_t *problem = NULL;
	AUTO_FREE char *text = NULL;
	int status = err->http_status == 0 ? 500 : err->http_status;
	answer->status = status;
	answer->retry_after_s = retry_after_s(err);
	if (json_made(json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title", title_of(status), "status", status,
			      "detail", err->text),
		    "problem", &problem, &ignored) == 0 &&
		json_print(problem, &text, &ignored) == 0 && buf_add_str(&answer->body, text, &ignored) == 0)
		answer->content_type = PROBLEM_TYPE;
}
