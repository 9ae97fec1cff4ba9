#!/bin/bash
# Static analysis of every C file that is shipped or stands in for something, and of the tests: what the compilers' warnings do not see.
# Any finding fails; one that is wrong is answered on its line, with the reason (NOLINT, cppcheck-suppress).
#
# usage: lint.sh GCC_BUILD_FOLDER CLANG_BUILD_FOLDER    (configured by build.sh; gcc's with -fanalyzer and
#        --werror, so that what it finds is not compiled and is found again)
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
gcc_build=$1 clang_build=$2
jobs=$(nproc)
rooms=(base k8s canopy builders reconciler fixtures)
findings=$(mktemp) bad=0
trap 'rm -f "$findings"' EXIT

# report TOOL: the lines on stdin are findings.
report() {
	sort -u >"$findings"
	if [ -s "$findings" ]; then
		bad=1
		cat "$findings"
	fi
	echo "$1: $(grep -c '' "$findings") findings"
}

# One file at a time: with several clang-tidy 14 was seen to report a va_list that another file had ended.
find "${rooms[@]}" tests -name '*.c' -print0 | xargs -0 -P "$jobs" -n 1 clang-tidy-14 -p "$clang_build" --quiet 2>/dev/null |
	grep -E '(warning|error):' | sed 's|^.*/\.\./\.\./||' | report clang-tidy

# It does not know __attribute__((cleanup)), which it takes for leaks, nor jansson's loops, at which it gives a function up.
cppcheck -j "$jobs" --enable=warning,performance,portability --inline-suppr --std=c11 --quiet -I. -D_GNU_SOURCE --library=gnu \
	--suppress=memleak --suppress=unknownMacro --template='{file}:{line}: {severity}: {message} [{id}]' \
	"${rooms[@]}" 2>&1 | report cppcheck

ninja -C "$gcc_build" -t targets all |
	grep -oE '^(base|k8s|canopy|builders|reconciler|fixtures)/[^:]+\.o:' | tr -d : | xargs ninja -C "$gcc_build" -k 0 2>&1 |
	grep -E '(warning|error):' | report 'gcc -fanalyzer'

# They write past an end, keep state between calls or threads, or do not say what went wrong.
grep -rnE '\b(sprintf|vsprintf|strcpy|strcat|strncpy|strncat|strtok|gets|atoi|atol|atoll|gmtime|localtime|asctime|ctime|tmpnam|mktemp) *\(' \
	--include='*.c' --include='*.h' "${rooms[@]}" tests | report 'banned functions'

# What is left out of coverage says why on its line: what cannot happen, or what only a library's own failure leads to.
grep -rnE 'GCOVR?_EXCL|LCOV_EXCL' --include='*.c' --include='*.h' "${rooms[@]}" |
	grep -vE 'GCOVR_EXCL_BR_LINE: [a-z].{9,}' | report 'coverage markers without a reason'

tests/check_shell.sh . | grep -E '^(not ok|#)' | report shellcheck
/usr/bin/python3 tests/test_includes.py . | grep -E '^(not ok|#)' | report 'include rule'

exit $bad
