#!/bin/bash
# One package of npm, of this very content; what it depends on is not fetched, and none of its scripts is run.
#
# usage: npm_package.sh NAME@VERSION INTEGRITY FOLDER
# FOLDER becomes what the package holds, unless it is there already. INTEGRITY is the registry's: sha512-<base64 of the archive's hash>.
set -euo pipefail

die()
{
	echo "npm package $package: $*" >&2
	exit 1
}

[ $# = 3 ] || { echo "usage: npm_package.sh NAME@VERSION INTEGRITY FOLDER" >&2; exit 2; }
package=$1 integrity=$2 folder=$3
[ ! -d "$folder" ] || exit 0
new=$folder.new
rm -rf "$new"
mkdir -p "$new"
(cd "$new" && npm pack --loglevel=error "$package" >log 2>&1) || die "cannot be fetched: $(grep -i -m 3 '^npm err' "$new/log" | paste -s -d ' ')"
found=sha512-$(cat "$new"/*.tgz | openssl dgst -sha512 -binary | base64 -w 0)
[ "$found" = "$integrity" ] || die "is $found, expected $integrity"
tar xzf "$new"/*.tgz -C "$new"
mv "$new/package" "$folder"
rm -r "$new"
