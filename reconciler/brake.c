#include "reconciler/brake.h"

bool brake_holds(struct brake *brake, const struct brake_question *q)
{
	bool is_many = q->teardowns > BRAKE_COUNT && q->teardowns * 100 > q->managed * BRAKE_PERCENT;
	if (q->teardowns == 0 || (!is_many && !q->worklist_is_empty)) {
		*brake = (struct brake){0};
		return false;
	}
	if (brake->passes == 0 || brake->answer != q->answer)
		*brake = (struct brake){.answer = q->answer, .since_mono_ms = q->now_mono_ms};
	if (brake->passes < BRAKE_PASSES)
		brake->passes++;
	return brake->passes < BRAKE_PASSES || q->now_mono_ms - brake->since_mono_ms < BRAKE_MS;
}

uint64_t brake_answer(uint64_t answer, const char *namespace)
{
	uint64_t hash = UINT64_C(14695981039346656037); // FNV-1a, 64 bit
	for (const char *c = namespace; *c != '\0'; c++)
		hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
	return answer + hash; // a sum does not depend on the order
}
