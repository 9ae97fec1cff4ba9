#!/bin/sh
# Make C of the files of the status page: embed.sh OUTPUT FILE...; page.css becomes page_css[], with a NUL at its end.
set -eu
out=$1
shift
printf '#include "reconciler/page_files.h"\n' >"$out"
for file in "$@"; do
	name=$(basename "$file" | tr . _)
	# Numbers and not a string literal: those may be 4095 characters long in C17.
	printf '\nconst char %s[] = {\n' "$name" >>"$out"
	od -An -v -td1 "$file" | sed -e 's/  */,/g' -e 's/^,/\t/' -e 's/$/,/' >>"$out"
	printf '\t0,\n};\n' >>"$out"
done
