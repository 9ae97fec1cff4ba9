#include "base/random.h"

#include <errno.h>
#include <sys/random.h>

int random_bytes(void *out, size_t len, struct error *err)
{
	unsigned char *to = out;
	while (len > 0) {
		ssize_t n = getrandom(to, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set_errno(err, errno, "getrandom");
		to += n;
		len -= (size_t)n;
	}
	return 0;
}

int64_t random_jitter(int64_t value, int percent)
{
	uint32_t dice = 0;
	struct error ignored;
	if (random_bytes(&dice, sizeof(dice), &ignored) < 0)
		return value;
	int64_t span = value * percent / 100;
	return value - span + (span == 0 ? 0 : (int64_t)dice % (2 * span + 1));
}
