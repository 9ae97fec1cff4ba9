#!/bin/sh
# Put the scripts of the pods together, as ./list says, and make C of them: embed.sh OUTPUT_DIR.
# Each is a few parts, the exit codes that it names (the table in ../exit_codes.h), no comments and no indentation: the text is in a
# Secret of every round, and tens of thousands of those fit into a cluster only when they are small. Writes NAME.sh (for tests, and
# to read what runs) and scripts.c. No here-document in a part may have a line that begins with #.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$1

exit_codes() { # SCRIPT
	sed -n 's/^[[:space:]]*X(\(EXIT_[A-Z_]*\), \([0-9]*\),.*/\1=\2/p' "$here/../exit_codes.h" |
		while IFS= read -r assignment; do
			if grep -q "\$${assignment%%=*}\\>" "$1"; then
				printf '%s\n' "$assignment"
			fi
		done
}

ship() { # NAME PART...
	name=$1
	shift
	for part in "$@"; do
		part=$here/$part.sh
		[ -f "$part" ] || part=$here/../engines/${part##*/}
		sed -e 's/^[[:space:]]*//' -e '/^#/d' -e '/^$/d' "$part"
	done >"$out/$name.body"
	{ exit_codes "$out/$name.body" && cat "$out/$name.body"; } >"$out/$name.sh"
	rm "$out/$name.body"

	# Numbers and not a string literal: those may be 4095 characters long in C17.
	printf '\nconst char script_%s[] = {\n' "$(printf '%s' "$name" | tr - _)" >>"$out/scripts.c"
	od -An -v -tu1 "$out/$name.sh" | sed -e 's/  */,/g' -e 's/^,/\t/' -e 's/$/,/' >>"$out/scripts.c"
	printf '\t0,\n};\n' >>"$out/scripts.c"
}

printf '#include "builders/scripts.h"\n' >"$out/scripts.c"
grep -v '^#' "$here/list" | while read -r name parts; do
	# shellcheck disable=SC2086 # a word is a part
	ship "$name" $parts
done
