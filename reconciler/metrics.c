#include "reconciler/metrics_table.h"
#include "reconciler/process_stats.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define ALTERNATIVE_SIZE 64

// A family is bounded, so that a label value nobody thought of cannot grow the page without end.
#define SERIES_MAX 1000

static const char *const type_text[] = {[COUNTER] = "counter", [GAUGE] = "gauge", [HISTOGRAM] = "histogram"};

struct histogram {
	uint64_t counts[METRIC_BUCKETS_MAX + 1]; // by bucket, not cumulative; the last is +Inf
	double sum;
};

struct series {
	char *labels; // {a="b",c="d"} as it is printed, "" without labels; owned
	double value;
};

struct table {
	struct series *series; // in the order they came up
	size_t count, room;
	struct histogram histogram;
};

struct metrics {
	pthread_mutex_t lock;
	struct table tables[METRIC_COUNT];
	void (*collect)(void *arg);
	void *collect_arg;
};

// exposition formats, "Line format": backslash, double quote and line feed are escaped in label values.
// https://prometheus.io/docs/instrumenting/exposition_formats/
static int add_label_value(struct buf *out, const char *value, struct error *err)
{
	while (*value != '\0') {
		size_t plain = strcspn(value, "\\\"\n");
		if (buf_add(out, value, plain, err) < 0)
			return -1;
		value += plain;
		if (*value == '\0')
			break;
		const char escaped[2] = {'\\', *value == '\n' ? 'n' : *value};
		if (buf_add(out, escaped, sizeof(escaped), err) < 0)
			return -1;
		value++;
	}
	return 0;
}

static int format_labels(
	const struct metric_family *family, const char *const values[METRIC_LABELS_MAX], struct buf *out, struct error *err)
{
	if (family->labels[0] == NULL && family->fixed == NULL)
		return buf_add_str(out, "", err);
	if (buf_addf(out, err, "{%s", family->fixed == NULL ? "" : family->fixed) < 0)
		return -1;
	for (int i = 0; i < METRIC_LABELS_MAX && family->labels[i] != NULL; i++) {
		if (buf_addf(out, err, "%s%s=\"", i == 0 && family->fixed == NULL ? "" : ",", family->labels[i]) < 0 ||
			add_label_value(out, values[i] == NULL ? "" : values[i], err) < 0 || buf_add_str(out, "\"", err) < 0)
			return -1;
	}
	return buf_add_str(out, "}", err);
}

static struct series *find_series(struct table *table, const char *labels)
{
	for (size_t i = 0; i < table->count; i++)
		if (strcmp(table->series[i].labels, labels) == 0)
			return &table->series[i];
	return NULL;
}

static struct series *append_series(struct table *table, const char *labels)
{
	if (table->count == SERIES_MAX)
		return NULL;
	if (table->count == table->room) {
		size_t room = table->room == 0 ? 1 : table->room * 2;
		struct series *more = realloc(table->series, room * sizeof(*more));
		if (more == NULL)
			return NULL;
		table->series = more;
		table->room = room;
	}
	char *copy = strdup(labels);
	if (copy == NULL)
		return NULL;
	table->series[table->count] = (struct series){.labels = copy};
	return &table->series[table->count++];
}

// The series with these label values, made at zero when it is new; NULL for want of memory or room. The caller holds the lock.
static struct series *get_series(struct metrics *metrics, enum metric id, const char *const values[METRIC_LABELS_MAX])
{
	struct error ignored;
	AUTO(buf) struct buf labels;
	buf_init(&labels, 4096);
	if (format_labels(&metric_families[id], values, &labels, &ignored) < 0)
		return NULL;
	struct series *found = find_series(&metrics->tables[id], buf_str(&labels));
	return found != NULL ? found : append_series(&metrics->tables[id], buf_str(&labels));
}

static size_t count_alternatives(const char *list)
{
	size_t n = 1;
	for (const char *bar = strchr(list, '|'); bar != NULL; bar = strchr(bar + 1, '|'))
		n++;
	return n;
}

static void pick_alternative(const char *list, size_t n, char out[ALTERNATIVE_SIZE])
{
	for (; n > 0; n--)
		list += strcspn(list, "|") + 1;
	(void)snprintf(out, ALTERNATIVE_SIZE, "%.*s", (int)strcspn(list, "|"), list);
}

// Make every combination of a row's "a|b|c" alternatives; the last label changes fastest.
static int preset_row(struct metrics *metrics, enum metric id, const char *const row[METRIC_LABELS_MAX], struct error *err)
{
	size_t combinations = 1;
	for (int label = 0; label < METRIC_LABELS_MAX && row[label] != NULL; label++)
		combinations *= count_alternatives(row[label]);

	for (size_t combination = 0; combination < combinations; combination++) {
		char texts[METRIC_LABELS_MAX][ALTERNATIVE_SIZE];
		const char *values[METRIC_LABELS_MAX] = {NULL};
		size_t rest = combination;
		for (int label = METRIC_LABELS_MAX - 1; label >= 0; label--) {
			if (row[label] == NULL)
				continue;
			size_t alternatives = count_alternatives(row[label]);
			pick_alternative(row[label], rest % alternatives, texts[label]);
			values[label] = texts[label];
			rest /= alternatives;
		}
		if (get_series(metrics, id, values) == NULL)
			return error_no_memory(err, metric_families[id].name);
	}
	return 0;
}

static int preset_family(struct metrics *metrics, enum metric id, struct error *err)
{
	const struct metric_family *family = &metric_families[id];
	static const char *const no_labels[METRIC_LABELS_MAX] = {NULL};

	if (family->type == HISTOGRAM)
		return 0;
	if (family->labels[0] == NULL)
		return preset_row(metrics, id, no_labels, err);
	for (int i = 0; i < METRIC_PRESETS_MAX && family->presets[i][0] != NULL; i++)
		if (preset_row(metrics, id, family->presets[i], err) < 0)
			return -1;
	return 0;
}

int metrics_new(struct metrics **out, struct error *err)
{
	AUTO(metrics) struct metrics *metrics = calloc(1, sizeof(*metrics));
	if (metrics == NULL)
		return error_no_memory(err, "metrics");
	(void)pthread_mutex_init(&metrics->lock, NULL);
	for (int id = 0; id < METRIC_COUNT; id++)
		if (preset_family(metrics, (enum metric)id, err) < 0)
			return -1;
	metrics_set(metrics, METRIC_BUILD_INFO, UNDERSTORY_VERSION, NULL, NULL, 1);
	*out = TAKE_PTR(metrics);
	return 0;
}

void metrics_free(struct metrics *metrics)
{
	if (metrics == NULL)
		return;
	for (int id = 0; id < METRIC_COUNT; id++) {
		struct table *table = &metrics->tables[id];
		for (size_t i = 0; i < table->count; i++)
			free(table->series[i].labels);
		free(table->series);
	}
	(void)pthread_mutex_destroy(&metrics->lock);
	free(metrics);
}

void metrics_add(struct metrics *metrics, enum metric id, const char *l1, const char *l2, const char *l3, double value)
{
	if (metric_families[id].type == HISTOGRAM || (metric_families[id].type == COUNTER && !(value >= 0)))
		return;
	(void)pthread_mutex_lock(&metrics->lock);
	struct series *series = get_series(metrics, id, (const char *const[]){l1, l2, l3});
	if (series != NULL)
		series->value += value;
	(void)pthread_mutex_unlock(&metrics->lock);
}

void metrics_raise(struct metrics *metrics, enum metric id, const char *l1, const char *l2, const char *l3, double value)
{
	if (metric_families[id].type == HISTOGRAM)
		return;
	(void)pthread_mutex_lock(&metrics->lock);
	struct series *series = get_series(metrics, id, (const char *const[]){l1, l2, l3});
	if (series != NULL && value > series->value)
		series->value = value;
	(void)pthread_mutex_unlock(&metrics->lock);
}

void metrics_on_render(struct metrics *metrics, void (*collect)(void *arg), void *arg)
{
	metrics->collect = collect;
	metrics->collect_arg = arg;
}

void metrics_set(struct metrics *metrics, enum metric id, const char *l1, const char *l2, const char *l3, double value)
{
	if (metric_families[id].type != GAUGE)
		return;
	(void)pthread_mutex_lock(&metrics->lock);
	struct series *series = get_series(metrics, id, (const char *const[]){l1, l2, l3});
	if (series != NULL)
		series->value = value;
	(void)pthread_mutex_unlock(&metrics->lock);
}

static int bucket_count(const struct metric_family *family)
{
	int n = 0;
	while (n < METRIC_BUCKETS_MAX && family->buckets[n] > 0)
		n++;
	return n;
}

void metrics_observe(struct metrics *metrics, enum metric id, double value)
{
	if (metric_families[id].type != HISTOGRAM)
		return;
	int bucket = 0;
	int buckets = bucket_count(&metric_families[id]);
	while (bucket < buckets && !(value <= metric_families[id].buckets[bucket]))
		bucket++;

	(void)pthread_mutex_lock(&metrics->lock);
	struct histogram *histogram = &metrics->tables[id].histogram;
	histogram->counts[bucket]++;
	histogram->sum += value;
	(void)pthread_mutex_unlock(&metrics->lock);
}

void metrics_zero(struct metrics *metrics, enum metric id)
{
	if (metric_families[id].type != GAUGE)
		return;
	(void)pthread_mutex_lock(&metrics->lock);
	struct table *table = &metrics->tables[id];
	for (size_t i = 0; i < table->count; i++)
		table->series[i].value = 0;
	(void)pthread_mutex_unlock(&metrics->lock);
}

// The shortest of three precisions that reads back as the same number: 0.1 and not 0.10000000000000001.
static void format_value(double value, char out[32])
{
	for (int digits = 15; digits <= 17; digits++) {
		(void)snprintf(out, 32, "%.*g", digits, value);
		double back = strtod(out, NULL);
		// NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): the same bits are meant, NaN and -0 too
		if (memcmp(&back, &value, sizeof(back)) == 0)
			return;
	}
}

static int render_value(struct buf *out, const char *name, const char *labels, double value, struct error *err)
{
	char text[32];
	format_value(value, text);
	return buf_addf(out, err, "%s%s %s\n", name, labels, text);
}

static int render_head(struct buf *out, const char *name, enum metric_type type, const char *help, struct error *err)
{
	return buf_addf(out, err, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type_text[type]);
}

static int render_histogram(
	struct buf *out, const struct metric_family *family, const struct histogram *histogram, struct error *err)
{
	const char *fixed = family->fixed == NULL ? "" : family->fixed;
	const char *comma = family->fixed == NULL ? "" : ",";
	const char *open = family->fixed == NULL ? "" : "{", *close = family->fixed == NULL ? "" : "}";
	uint64_t cumulative = 0;
	int buckets = bucket_count(family);
	for (int i = 0; i <= buckets; i++) {
		char bound[32] = "+Inf";
		if (i < buckets)
			format_value(family->buckets[i], bound);
		cumulative += histogram->counts[i];
		if (buf_addf(out, err, "%s_bucket{%s%sle=\"%s\"} %ju\n", family->name, fixed, comma, bound,
			    (uintmax_t)cumulative) < 0)
			return -1;
	}
	char sum[32];
	format_value(histogram->sum, sum);
	return buf_addf(out, err, "%s_sum%s%s%s %s\n%s_count%s%s%s %ju\n", family->name, open, fixed, close, sum, family->name,
		open, fixed, close, (uintmax_t)cumulative);
}

static int render_family(struct buf *out, const struct metric_family *family, const struct table *table, struct error *err)
{
	if (render_head(out, family->name, family->type, family->help, err) < 0)
		return -1;
	if (family->type == HISTOGRAM)
		return render_histogram(out, family, &table->histogram, err);
	for (size_t i = 0; i < table->count; i++)
		if (render_value(out, family->name, table->series[i].labels, table->series[i].value, err) < 0)
			return -1;
	return 0;
}

// The names and texts that every Prometheus client library uses, so that stock dashboards work. Without /proc they are left out.
static int render_process(struct buf *out, struct error *err)
{
	struct process_stats stats;
	struct error ignored;
	if (process_stats_read(&stats, &ignored) < 0)
		return 0;

	const struct {
		const char *name;
		enum metric_type type;
		const char *help;
		double value;
	} rows[] = {
		{"process_cpu_seconds_total", COUNTER, "Total user and system CPU time spent in seconds.", stats.cpu_seconds},
		{"process_resident_memory_bytes", GAUGE, "Resident memory size in bytes.", (double)stats.resident_bytes},
		{"process_virtual_memory_bytes", GAUGE, "Virtual memory size in bytes.", (double)stats.virtual_bytes},
		{"process_open_fds", GAUGE, "Number of open file descriptors.", (double)stats.open_fds},
		{"process_max_fds", GAUGE, "Maximum number of open file descriptors.", (double)stats.max_fds},
		{"process_start_time_seconds", GAUGE, "Start time of the process since unix epoch in seconds.",
			stats.start_time_seconds},
		{"process_threads", GAUGE, "Number of threads of the process.", (double)stats.threads},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (render_head(out, rows[i].name, rows[i].type, rows[i].help, err) < 0 ||
			render_value(out, rows[i].name, "", rows[i].value, err) < 0)
			return -1;
	return 0;
}

static int render_all(struct metrics *metrics, struct buf *out, struct error *err)
{
	for (int id = 0; id < METRIC_COUNT; id++)
		if (render_family(out, &metric_families[id], &metrics->tables[id], err) < 0)
			return -1;
	return 0;
}

int metrics_render(struct metrics *metrics, struct buf *out, struct error *err)
{
	if (metrics->collect != NULL)
		metrics->collect(metrics->collect_arg);
	(void)pthread_mutex_lock(&metrics->lock);
	int rc = render_all(metrics, out, err);
	(void)pthread_mutex_unlock(&metrics->lock);
	return rc < 0 ? -1 : render_process(out, err);
}
