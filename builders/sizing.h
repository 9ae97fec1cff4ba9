// What a replica's containers are sized by, in short, so that a Deployment that is sized otherwise is known without being read.
// Pure; any thread.
#ifndef BUILDERS_SIZING_H
#define BUILDERS_SIZING_H

#include "base/settings.h"

#define BUILD_SIZING_SIZE 9

// 8 hex over the amounts of CPU and memory, requests and limits: "1Gi" and "1024Mi" are the same.
void build_sizing(const struct settings_for_intent *sizing, char out[BUILD_SIZING_SIZE]);

#endif
