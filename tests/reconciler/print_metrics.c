// Prints the page of metrics as it is when nothing has happened yet: for what docs/ and ops/ say of it.
#include "reconciler/metrics.h"
#include <stdio.h>

int main(void)
{
	struct error err = {0};
	AUTO(metrics) struct metrics *metrics = NULL;
	AUTO(buf) struct buf page;

	buf_init(&page, (size_t)4 << 20);
	if (metrics_new(&metrics, &err) < 0 || metrics_render(metrics, &page, &err) < 0) {
		(void)fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	return fputs(buf_str(&page), stdout) < 0;
}
