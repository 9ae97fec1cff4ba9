// Stands before libc in an operator under test: what it draws for jitter (base/random.h, four bytes at a time) follows from
// JITTER_SEED, so that a life waits the same each time it is lived. The n-th draw is the same in every thread, since which thread
// draws first is chance. Ids, passwords and keys are longer and go on coming from the kernel.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { JITTER_BYTES = 4 };

// The finalizer of MurmurHash3: neighbouring numbers come out far apart.
static uint32_t mix(uint32_t n)
{
	n = (n ^ (n >> 16)) * 0x85ebca6bU;
	n = (n ^ (n >> 13)) * 0xc2b2ae35U;
	return n ^ (n >> 16);
}

__attribute__((visibility("default"))) ssize_t getrandom(void *out, size_t len, unsigned int flags)
{
	static _Thread_local uint32_t draws;
	const char *seed = getenv("JITTER_SEED"); // NOLINT(concurrency-mt-unsafe): nobody sets it
	if (len != JITTER_BYTES || seed == NULL)
		return syscall(SYS_getrandom, out, len, flags);
	const uint32_t drawn = mix((uint32_t)strtoul(seed, NULL, 10) + mix(++draws));
	memcpy(out, &drawn, sizeof(drawn));
	return (ssize_t)len;
}
