// Exit codes of the scripts that run in the pods: the one table.
//
// The scripts get it as shell variables (EXIT_SNAPSHOT_GONE=10), written by scripts/embed.sh from the lines below, which must
// stay one entry a line; the restore Job's podFailurePolicy lists the codes that `fails_job` marks. Any other code (1, or a
// signal) is worth another pod: backoffLimit counts those. 3 to 63 are free of meanings given by shells, sysexits.h and signals.
#ifndef BUILDERS_EXIT_CODES_H
#define BUILDERS_EXIT_CODES_H

#include <stdbool.h>
#include <stddef.h>

// X(name, code, fails_job): fails_job is true where the next pod of the same Job cannot end in another way.
#define EXIT_CODES(X)                                                                                                           \
	X(EXIT_SNAPSHOT_GONE, 10, true)                                                                                         \
	X(EXIT_REPOSITORY_GONE, 11, true)                                                                                       \
	X(EXIT_WRONG_PASSWORD, 12, true)                                                                                        \
	X(EXIT_ACCESS_REFUSED, 13, true)                                                                                        \
	X(EXIT_NO_CLUSTER, 14, true)          /* no PostgreSQL in the snapshot, or several */                                   \
	X(EXIT_INCOMPLETE, 15, true)          /* the capture lacks what recovery needs */                                       \
	X(EXIT_VOLUME_FULL, 16, true)         /* the next round gets a larger volume; the next pod would fill this one again */ \
	X(EXIT_CREDENTIALS_EXPIRED, 17, true) /* the Secret's keys do not change within a round */                              \
	X(EXIT_VOLUME_IN_USE, 18, true)       /* a database was started from it: a restore never writes over it */              \
	X(EXIT_WRONG_MAJOR, 20, true)                                                                                           \
	X(EXIT_RECOVERY_FAILED, 21, false)                                                                                      \
	X(EXIT_ROLES_FAILED, 22, false)                                                                                         \
	X(EXIT_RECOVERY_STALLED, 23, false)  /* no movement: the volume or the node is to blame, not the backup */              \
	X(EXIT_NODE_FAILED, 24, false)       /* killed, or out of memory or the like: not the backup's fault */                 \
	X(EXIT_LOCALE_MISSING, 25, false)    /* the image lacks a locale: not the backup's fault */                             \
	X(EXIT_COLLATION_FAILED, 26, false)  /* an index cannot be rebuilt from its table: the backup's fault */                \
	X(EXIT_MISCONFIGURED, 27, true)      /* what the entry or the settings say does not go with the backup */               \
	X(EXIT_EXTENSION_MISSING, 28, false) /* the image lacks it: not the backup's fault */                                   \
	X(EXIT_LOAD_FAILED, 29, false)       /* a dump that no server takes: the backup's fault */

enum exit_code {
#define X(name, code, fails_job) name = (code),
	EXIT_CODES(X)
#undef X
};

struct exit_code_row {
	enum exit_code code;
	bool fails_job;
};

// In ascending order, as the API server wants the values of a podFailurePolicy.
extern const struct exit_code_row exit_code_rows[];
extern const size_t exit_code_row_count;

#endif
