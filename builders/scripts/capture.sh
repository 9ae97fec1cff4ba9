# shellcheck shell=sh
# What was captured, and can it come up here? Decided by evidence and before any start: a server that fails on its way leaves
# something else behind than what was restored.
check_server() {
	image_major=$(postgres --version 2>/dev/null | sed -n 's/^[^0-9]*\([0-9]*\).*/\1/p') || :
	[ -n "$image_major" ] || fail "$EXIT_WRONG_MAJOR" capture "the image has no PostgreSQL $major"
	[ "$image_major" = "$major" ] || fail "$EXIT_WRONG_MAJOR" capture \
		"the database is of PostgreSQL $major, the image has PostgreSQL $image_major"
}

# The volume still holds what the restore left on it, as long as no database was started from it.
check_files() {
	[ ! -e /pgdata/prepared ] && [ -n "${RESTORED_FILES:-}" ] || return 0
	held=$(find "$pgdata" /pgdata/tablespaces -type f 2>/dev/null | wc -l | tr -d ' ')
	[ "$held" = "$RESTORED_FILES" ] || fail "$EXIT_NODE_FAILED" capture \
		"the restore left $RESTORED_FILES files on the volume, $held are there now: the volume is to blame and not the backup"
}

# Leaves pg_controldata's answer in /tmp/control. A wrong checksum is a warning to it, on stdout or (later majors) on stderr.
check_control_file() {
	TZ=UTC0 pg_controldata "$pgdata" >/tmp/control 2>&1 || fail "$EXIT_INCOMPLETE" capture "$(head -n 1 /tmp/control)"
	! grep -qi warning /tmp/control || fail "$EXIT_INCOMPLETE" capture \
		"global/pg_control is damaged: $(grep -i warning /tmp/control)"
}

control() { # FIELD
	sed -n "s/^$1: *//p" /tmp/control
}

# As the message wants it. The C locale's %c: Fri Nov 20 16:19:46 2026.
checkpoint_at() {
	control "Time of latest checkpoint" |
		awk '{ printf "%s-%02d-%02dT%sZ", $5, (index("JanFebMarAprMayJunJulAugSepOctNovDec", $2) + 2) / 3, $3, $4 }'
}

captured() {
	sed -n 's/^"capture":"\(.*\)"/\1/p' /pgdata/facts
}

# The first look counts: recovery changes what is seen. A cluster that dumps were loaded into has a checkpoint of ours.
classify() {
	capture=crash_consistent
	case $(control "Database cluster state") in
	"shut down"*) capture=shut_down ;;
	esac
	[ ! -f "$pgdata/backup_label" ] || capture=base_backup
	fact capture "\"$capture\""
	[ "$(captured)" = dump ] || fact checkpoint_at "\"$(checkpoint_at)\""
	capture=$(captured)
}

# --- WAL: all files from where recovery begins to where it must come to ---

segment_of_file() { # FILE
	echo $((0x$(printf '%s' "$1" | cut -c 9-16) * per_id + 0x$(printf '%s' "$1" | cut -c 17-24)))
}

file_of_segment() { # SEGMENT
	printf '%s%08X%08X' "$timeline" $(($1 / per_id)) $(($1 % per_id))
}

# Up to that LSN, the end of a record: its last byte is the one before.
reach() { # LSN SAID_BY
	[ -n "$1" ] && [ "$1" != 0/0 ] || return 0
	segment=$(((0x${1%/*} * 0x100000000 + 0x${1#*/} - 1) / segment_bytes))
	[ "$segment" -le "$last" ] || { last=$segment && said_by=$2; }
}

# The end of a base backup, where the backup says it: the manifest of this very backup (a standby keeps that of its own making for
# good), or the history file that goes to the archive.
reach_end_of_backup() {
	start=$(sed -n 's/^START WAL LOCATION: \([0-9A-F/]*\) .*/\1/p' "$pgdata/backup_label")
	if grep -qs "\"Start-LSN\": \"$start\"" "$pgdata/backup_manifest"; then
		sed -n 's/.*"Start-LSN":.*"End-LSN": "\([0-9A-F/]*\)".*/\1/p' "$pgdata/backup_manifest" >/tmp/ends
		while read -r lsn; do
			reach "$lsn" backup_manifest
		done </tmp/ends
	fi
	for history in "$pgdata/pg_wal/$wal".*.backup; do
		[ ! -f "$history" ] || reach "$(sed -n 's/^STOP WAL LOCATION: \([0-9A-F/]*\) .*/\1/p' "$history")" "${history##*/}"
	done
}

# A server writes its WAL without gaps and makes files ahead: what comes after a gap was written too. Not said of a standby: WAL
# comes to it from elsewhere.
reach_newest_file() {
	for path in "$pgdata/pg_wal/$timeline"????????????????; do
		[ ! -f "$path" ] || newest=$(segment_of_file "${path##*/}")
	done
	[ "${newest:-0}" -le "$last" ] || { last=$newest && said_by="the files after it"; }
}

# --- how far the WAL goes, by its pages: each says its address, and a file that was made ahead has those of an older one or none ---

number_of_lsn() { # LSN
	echo $((0x${1%/*} * 0x100000000 + 0x${1#*/}))
}

is_written() { # SEGMENT PAGE
	set -- $(($1 * segment_bytes + $2 * 8192)) "$2" "$pgdata/pg_wal/$(file_of_segment "$1")"
	set -- "$1" "$(dd if="$3" bs=8192 skip="$2" count=1 2>/dev/null | od -An -tx4 -N 16 | awk '{ print $4 "/" $3 }')"
	[ -n "$2" ] && [ "$(number_of_lsn "$2")" = "$1" ]
}

# The address of the last page into $written, for a server that crashed: after its recovery that is what its end is held against.
find_written() {
	written=0
	[ -f "$pgdata/backup_label" ] || [ "$(control "Database cluster state")" != "in production" ] || [ -n "${lost_wal:-}" ] && return
	segment=$last
	until is_written "$segment" 0; do
		[ "$segment" -gt "$first" ] || return 0
		segment=$((segment - 1))
	done
	low=0 high=$((segment_bytes / 8192))
	while [ $((high - low)) -gt 1 ]; do
		middle=$(((low + high) / 2))
		if is_written "$segment" "$middle"; then low=$middle; else high=$middle; fi
	done
	written=$((segment * segment_bytes + low * 8192))
}

# Where recovery begins: with a backup_label where it says; without one, where pg_control says.
find_wal_range() {
	segment_bytes=$(control "Bytes per WAL segment")
	per_id=$((0x100000000 / segment_bytes))
	if [ -f "$pgdata/backup_label" ]; then
		wal=$(sed -n 's/^START WAL LOCATION: .*(file \([0-9A-F]\{24\}\)).*/\1/p' "$pgdata/backup_label")
		[ -n "$wal" ] || fail "$EXIT_INCOMPLETE" capture "backup_label names no WAL file"
		said_by=backup_label
	else
		wal=$(control "Latest checkpoint's REDO WAL file")
		said_by=pg_control
	fi
	timeline=$(printf '%s' "$wal" | cut -c 1-8)
	first=$(segment_of_file "$wal")
	last=$first
	if [ -f "$pgdata/backup_label" ]; then
		reach "$(sed -n 's/^CHECKPOINT LOCATION: //p' "$pgdata/backup_label")" backup_label
		reach_end_of_backup
	else
		reach "$(control "Latest checkpoint location")" pg_control
		reach "$(control "Minimum recovery ending location")" pg_control
		reach "$(control "Backup end location")" pg_control
		[ "$(control "Database cluster state")" != "in production" ] || reach_newest_file
	fi
}

# The files may be of a later timeline than the first.
missing_wal() {
	# Not empty: busybox grep takes a file without patterns for one that matches all.
	echo none >/tmp/present
	find "$pgdata/pg_wal" -maxdepth 1 -type f | sed -n 's|.*/[0-9A-F]\{8\}\([0-9A-F]\{16\}\)$|\1|p' >>/tmp/present
	segment=$first
	while [ "$segment" -le "$last" ]; do
		printf '%08X%08X\n' $((segment / per_id)) $((segment % per_id))
		segment=$((segment + 1))
	done | grep -vxF -f /tmp/present | sed "s/^/$timeline/"
}

check_wal() {
	find_wal_range
	missing_wal >/tmp/missing
	if [ -s /tmp/missing ] && [ "$first" = "$last" ]; then
		lacks_wal "recovery begins in WAL file $wal (by $said_by), which is not in the backup"
	elif [ -s /tmp/missing ]; then
		others=$(($(grep -c '' /tmp/missing) - 1))
		lacks_wal "by $said_by recovery needs WAL files $wal to $(file_of_segment "$last"), $(head -n 1 /tmp/missing)$(
			[ "$others" = 0 ] && echo " is" || echo " and $others more are") not in the backup"
	fi
	short=$(find "$pgdata/pg_wal" -maxdepth 1 -type f ! -size "${segment_bytes}c" |
		sed -n 's|.*/\([0-9A-F]\{24\}\)$|\1|p' | sort | while IFS= read -r name; do
		segment=$(segment_of_file "$name")
		[ "$segment" -lt "$first" ] || [ "$segment" -gt "$last" ] || printf '%s\n' "$name"
	done | head -n 1)
	[ -z "$short" ] || lacks_wal "WAL file $short is not $segment_bytes bytes long as it must be: it is cut short"
}

# With a salvage ahead nothing more is wanted of the WAL.
lacks_wal() { # TEXT
	may_reset_wal || fail "$EXIT_INCOMPLETE" capture "$1"
	lost_wal=${lost_wal:-$1}
}

# A base backup's tablespace_map makes the links of pg_tblspc anew at the start.
check_tablespace_map() {
	[ -f "$pgdata/tablespace_map" ] || return 0
	missing=
	while read -r oid path; do
		[ -d "$path" ] || missing="$missing $oid ($path)"
	done <"$pgdata/tablespace_map"
	[ -z "$missing" ] || fail "$EXIT_INCOMPLETE" capture "tablespaces that the backup does not hold:$missing"
}

# Stores of objects lose empty directories; PostgreSQL wants them. pg_basebackup leaves out the content of the first ones, so they
# may be emptied; slots would hold back WAL for ever.
make_directories() {
	for name in pg_replslot pg_dynshmem pg_stat_tmp pg_notify pg_serial pg_snapshots pg_subtrans; do
		rm -rf "${pgdata:?}/$name"
	done
	for name in pg_replslot pg_dynshmem pg_stat_tmp pg_notify pg_serial pg_snapshots pg_subtrans pg_commit_ts pg_stat pg_tblspc \
		pg_twophase pg_logical pg_logical/mappings pg_logical/snapshots pg_wal/archive_status; do
		[ -d "$pgdata/$name" ] || mkdir -m 0700 "$pgdata/$name"
	done
}
