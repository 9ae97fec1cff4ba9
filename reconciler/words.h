// Durations, points in time, sizes and rates as people say them: "3 h 12 min", "in 25 min", "4.5 GiB". Pure; any thread.
#ifndef RECONCILER_WORDS_H
#define RECONCILER_WORDS_H

#include <stdint.h>

#define WORDS_SIZE 48

// The two largest units: "45 s", "3 min", "3 h 12 min", "5 d 4 h". Less than nothing is "0 s".
void words_duration(int64_t ms, char out[WORDS_SIZE]);

// From now_ms: "3 h 12 min ago", "in 25 min", "now".
void words_when(int64_t at_ms, int64_t now_ms, char out[WORDS_SIZE]);

// In binary units with three digits at the most: "512 B", "4.5 GiB", "128 MiB".
void words_bytes(int64_t bytes, char out[WORDS_SIZE]);

#endif
