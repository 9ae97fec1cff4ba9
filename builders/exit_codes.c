#include "builders/exit_codes.h"

const struct exit_code_row exit_code_rows[] = {
#define X(name, code, fails_job) {name, fails_job},
	EXIT_CODES(X)
#undef X
};

const size_t exit_code_row_count = sizeof exit_code_rows / sizeof *exit_code_rows;
