#include "reconciler/pulse.h"

void pulse_init(struct pulse *pulse)
{
	*pulse = (struct pulse){0};
	(void)pthread_mutex_init(&pulse->lock, NULL);
}

void pulse_set(struct pulse *pulse, const struct pulse_facts *facts)
{
	(void)pthread_mutex_lock(&pulse->lock);
	pulse->facts = *facts;
	pulse->revision++;
	(void)pthread_mutex_unlock(&pulse->lock);
}

uint64_t pulse_get(struct pulse *pulse, struct pulse_facts *out)
{
	(void)pthread_mutex_lock(&pulse->lock);
	*out = pulse->facts;
	uint64_t revision = pulse->revision;
	(void)pthread_mutex_unlock(&pulse->lock);
	return revision;
}
