# shellcheck shell=sh
# Which directory of the snapshot is the database, and what of it lies elsewhere. The images of the engines have no PostgreSQL.
tablespaces=/pgdata/tablespaces

version_of() { # DIRECTORY
	tr -cd '\040-\176' <"$1/PG_VERSION" 2>/dev/null | cut -c 1-40
}

# DIRECTORY as it truly is, where that lies in the snapshot and something in it matches PATTERN.
inside() { # DIRECTORY PATTERN
	real=$(cd -P -- "$1" 2>/dev/null && pwd -P) || return 1
	case $real/ in
	"$target"/*) ;;
	*) return 1 ;;
	esac
	for content in "$real"/$2; do
		[ ! -e "$content" ] || { printf '%s\n' "$real" && return; }
	done
	return 1
}

# Where the snapshot holds what a link of the source leads to. Its root stands for the source's root (restic) or for a directory of
# the source (kopia): take away directory after directory from the left until it is there. Windows' D:\x is /D/x.
held() { # PATH DIRECTORY_OF_LINK PATTERN
	path=$(printf '%s' "$1" | tr '\134' / | sed -e 's|^/*??/||' -e 's|^\([A-Za-z]\):|/\1|' -e 's|/*$||')
	case $path in
	/*) ;;
	*) inside "$2/$path" "$3"; return ;;
	esac
	while [ -n "$path" ]; do
		! inside "$target$path" "$3" || return 0
		path=${path#/}
		case $path in
		*/*) path=/${path#*/} ;;
		*) path= ;;
		esac
	done
	return 1
}

# What is no database at all is left out: a directory of one database (it has a PG_VERSION too), and a cluster that pg_upgrade
# has put out of service.
list_clusters() {
	find "$target" -type f \( -name PG_VERSION -o -path '*/global/pg_control' \) |
		sed -e 's|/PG_VERSION$||' -e 's|/global/pg_control$||' | sort -u |
		while IFS= read -r directory; do
			[ -d "$directory/global" ] || [ -d "$directory/base" ] || continue
			[ ! -e "$directory/global/pg_control.old" ] || [ -e "$directory/global/pg_control" ] || continue
			printf '%s\n' "$directory"
		done >/tmp/clusters
}

# Why a directory is no whole cluster; nothing when it is one. pg_wal has sentences of its own.
is_lacking() { # DIRECTORY
	shown=${1#"$target"}
	[ -f "$1/PG_VERSION" ] || { echo "${shown:-/} has global/pg_control but no PG_VERSION" && return; }
	case $(version_of "$1") in
	[1-9][0-9] | 9.[0-9]) ;;
	*) echo "PG_VERSION of ${shown:-/} is no version of PostgreSQL: \"$(version_of "$1")\"" && return ;;
	esac
	[ -f "$1/global/pg_control" ] || { echo "global/pg_control is missing in ${shown:-/}" && return; }
	size=$(wc -c <"$1/global/pg_control" | tr -d ' ')
	[ "$size" -ge 8192 ] || { echo "global/pg_control of ${shown:-/} is cut short: $size of 8192 bytes" && return; }
	absent=
	for part in base global/pg_filenode.map pg_xact pg_multixact/members pg_multixact/offsets; do
		[ -e "$1/$part" ] || absent="$absent $part"
	done
	[ -z "$absent" ] || echo "${shown:-/} is half a cluster, it lacks:$absent"
}

# Those that a link by the name of "current" leads to, or into.
current_clusters() {
	find "$target" -type l -name current | while IFS= read -r link; do
		led=$(held "$(readlink "$link")" "${link%/*}" '*') || continue
		while IFS= read -r directory; do
			case $directory/ in
			"$led"/*) printf '%s\n' "$directory" ;;
			esac
		done </tmp/clusters
	done | sort -u
}

whole_clusters() {
	while IFS= read -r directory; do
		[ -n "$(is_lacking "$directory")" ] || printf '%s\n' "$directory"
	done </tmp/clusters
}

# Several: the one that is current, else the one that is whole. No guess.
find_cluster() {
	list_clusters
	current_clusters >/tmp/singled
	[ "$(grep -c '' /tmp/singled)" != 1 ] || layout=current
	[ -n "${layout:-}" ] || [ "$(grep -c '' /tmp/clusters)" = 1 ] || whole_clusters >/tmp/singled
	[ -s /tmp/singled ] || cp /tmp/clusters /tmp/singled
	case $(grep -c '' /tmp/singled) in
	0) fail "$EXIT_NO_CLUSTER" capture "the snapshot holds no directory with PG_VERSION and global/pg_control" ;;
	1) found=$(cat /tmp/singled) ;;
	*) fail "$EXIT_NO_CLUSTER" capture "the snapshot holds several PostgreSQL clusters, and nothing says which is meant: $(
		sed "s|^$target||" /tmp/singled | paste -s -d ' ' -)" ;;
	esac
	lacking=$(is_lacking "$found")
	[ -z "$lacking" ] || fail "$EXIT_INCOMPLETE" capture "$lacking"
	major=$(version_of "$found")
	case $major in
	9.*) fail "$EXIT_WRONG_MAJOR" capture "the database is of PostgreSQL $major, the oldest that can be restored is 10" ;;
	esac
}

is_windows() {
	case ${found#"$target"} in
	/[A-Z]/*) return 0 ;;
	esac
	cat "$found/postgresql.conf" "$found/postmaster.opts" 2>/dev/null |
		grep -qE '^ *dynamic_shared_memory_type *= *.?windows|postgres\.exe' ||
		cat "$found/PG_VERSION" "$found/backup_label" "$found/tablespace_map" 2>/dev/null | grep -q "$(printf '\r')"
}

find_layout() {
	! is_windows || layout=windows
	[ -z "${layout:-}" ] || return 0
	layout=plain
	case $found in
	*/"$major"/main) layout=debian ;;
	*/"$major"/*) [ -e "$found/postgresql.conf" ] || layout=debian ;;
	esac
}

# PostgreSQL reads these three itself, and two of them not with CR LF.
mend_line_ends() {
	for name in PG_VERSION backup_label tablespace_map; do
		if [ -f "$found/$name" ] && grep -q "$(printf '\r')" "$found/$name"; then
			tr -d '\r' <"$found/$name" >"$found/$name.new"
			mv -f "$found/$name.new" "$found/$name"
		fi
	done
}

settle_wal() {
	if [ -L "$found/pg_wal" ]; then
		link=$(readlink "$found/pg_wal")
		place=$(held "$link" "$found" '0*') || fail "$EXIT_INCOMPLETE" capture \
			"pg_wal is a link to $link, which the snapshot does not hold"
		rm "$found/pg_wal"
		mv "$place" "$found/pg_wal"
	fi
	[ -d "$found/pg_wal" ] || fail "$EXIT_INCOMPLETE" capture "pg_wal is missing"
}

# "OID PATH", one a line, each once: tablespace_map says more than a link, PostgreSQL makes the links from it.
list_tablespaces() {
	{
		[ ! -f "$found/tablespace_map" ] || cat "$found/tablespace_map"
		for entry in "$found"/pg_tblspc/*; do
			if [ -L "$entry" ]; then
				printf '%s %s\n' "${entry##*/}" "$(readlink "$entry")"
			elif [ -d "$entry" ] && ! inside "$entry" "PG_${major}_*" >/dev/null; then
				printf '%s %s\n' "${entry##*/}" "an empty directory"
			fi
		done
	} | awk '!seen[$1]++' >/tmp/tablespaces
}

# All of a tablespace onto the volume, beside the cluster; or it is in place already, as a directory.
settle_tablespace() { # OID PATH
	place=$(inside "$found/pg_tblspc/$1" "PG_${major}_*") || place=$(held "$2" "$found/pg_tblspc" "PG_${major}_*") || return 1
	mkdir -p "$tablespaces" "$found/pg_tblspc"
	mv "$place" "$tablespaces/$1"
	rm -rf "$found/pg_tblspc/$1"
	ln -s "$tablespaces/$1" "$found/pg_tblspc/$1"
}

settle_tablespaces() {
	list_tablespaces
	lost=
	while read -r oid path; do
		settle_tablespace "$oid" "$path" || lost="$lost $oid ($path)"
	done </tmp/tablespaces
	[ -z "$lost" ] || fail "$EXIT_INCOMPLETE" capture "tablespaces that the snapshot does not hold:$lost"
	[ ! -f "$found/tablespace_map" ] ||
		awk -v at="$tablespaces" '{ print $1 " " at "/" $1 }' /tmp/tablespaces >"$found/tablespace_map"
}
