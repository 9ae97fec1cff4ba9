// Kubernetes quantities: "20Gi", "500m", "1.5", "1e3".
// https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
//
// Read into integers so that they can be compared and computed with; what is between two integers is rounded up, as Kubernetes
// does. Negative quantities are refused: nothing here can be less than nothing. Pure; any thread.
#ifndef BASE_QUANTITY_H
#define BASE_QUANTITY_H

#include "base/error.h"
#include <stdint.h>

#define QUANTITY_TEXT_SIZE 24

// Whole units: bytes of memory or storage.
MUST_CHECK int quantity_bytes(const char *text, int64_t *bytes, struct error *err);

// Thousandths: CPUs.
MUST_CHECK int quantity_milli(const char *text, int64_t *milli, struct error *err);

// With the largest binary suffix that leaves no remainder: 21474836480 is "20Gi".
void quantity_format_bytes(int64_t bytes, char out[QUANTITY_TEXT_SIZE]);

#endif
