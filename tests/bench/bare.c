// A bare client: sends what is in a file as fast as libcurl can and drops the answers. What the operator is compared with.
//
// usage: bare BASE_URL FILE THREADS
// FILE holds groups of lines, an empty line after each group: "PATH<TAB>BODY" is a POST of JSON, which must be answered 201,
// "PATH" a GET, which must be answered 200; any other status ends the program. A thread takes a group and sends its lines in
// order, on one kept connection. Prints "<requests> <seconds> <CPU seconds>".
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FILE_MAX ((size_t)256 << 20)
#define THREADS_MAX 64

struct job {
	const char *base_url;
	char *at; // the next group, under the lock
	pthread_mutex_t lock;
	atomic_long requests;
};

static size_t discard(char *data, size_t size, size_t count, void *arg)
{
	(void)data;
	(void)arg;
	return size * count;
}

// The next group, cut out of the text; NULL at the end.
static char *take_group(struct job *job)
{
	(void)pthread_mutex_lock(&job->lock);
	char *group = *job->at == '\0' ? NULL : job->at;
	char *end = group == NULL ? NULL : strstr(group, "\n\n");
	if (end != NULL) {
		*end = '\0';
		job->at = end + 2;
	} else if (group != NULL) {
		job->at = group + strlen(group);
	}
	(void)pthread_mutex_unlock(&job->lock);
	return group;
}

static void send_line(CURL *curl, const struct job *job, char *line)
{
	char url[512];
	char *body = strchr(line, '\t');
	long status = 0;
	if (body != NULL)
		*body++ = '\0';
	(void)snprintf(url, sizeof(url), "%s%s", job->base_url, line);
	(void)curl_easy_setopt(curl, CURLOPT_URL, url);
	if (body != NULL)
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	else
		(void)curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
	CURLcode rc = curl_easy_perform(curl);
	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (rc != CURLE_OK || status != (body != NULL ? 201 : 200)) {
		fprintf(stderr, "bare: %s: status %ld, %s\n", url, status, curl_easy_strerror(rc));
		exit(2);
	}
}

static void *work(void *arg)
{
	struct job *job = arg;
	CURL *curl = curl_easy_init();
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	if (curl == NULL || headers == NULL)
		exit(2);
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, discard);
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	for (char *group = take_group(job); group != NULL; group = take_group(job)) {
		char *rest = NULL;
		for (char *line = strtok_r(group, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
			send_line(curl, job, line);
			atomic_fetch_add(&job->requests, 1);
		}
	}
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	return NULL;
}

static double cpu_seconds(void)
{
	struct timespec used = {0};
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct error err = {0};
	size_t len = 0;
	AUTO_FREE char *text = NULL;
	pthread_t threads[THREADS_MAX];
	long count = argc == 4 ? strtol(argv[3], NULL, 10) : 0;

	if (count < 1 || count > THREADS_MAX) {
		fprintf(stderr, "usage: bare BASE_URL FILE THREADS (1 to %d)\n", THREADS_MAX);
		return 2;
	}
	if (file_read(argv[2], FILE_MAX, &text, &len, &err) < 0) {
		fprintf(stderr, "bare: %s\n", err.text);
		return 2;
	}
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
	struct job job = {.base_url = argv[1], .at = text, .lock = PTHREAD_MUTEX_INITIALIZER};
	int64_t begin_ms = clock_mono_ms();
	for (long i = 0; i < count; i++) {
		if (pthread_create(&threads[i], NULL, work, &job) != 0)
			return 2;
	}
	for (long i = 0; i < count; i++)
		(void)pthread_join(threads[i], NULL);
	int64_t took_ms = clock_mono_ms() - begin_ms;
	printf("%ld %.3f %.4f\n", atomic_load(&job.requests), (double)took_ms / 1000.0, cpu_seconds());
	curl_global_cleanup();
	return 0;
}
