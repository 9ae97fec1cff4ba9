#include "reconciler/brake.h"

#include "base/hash.h"

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
	return answer + hash_text(namespace); // a sum does not depend on the order
}
