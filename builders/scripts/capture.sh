# shellcheck shell=sh
# What was captured, and can it come up here? Decided by evidence and before any start: a server that fails on its way leaves
# something else behind than what was restored.
check_server() {
	image_major=$(postgres --version 2>/dev/null | sed -n 's/^[^0-9]*\([0-9]*\).*/\1/p') || :
	[ -n "$image_major" ] || fail "$EXIT_WRONG_MAJOR" capture "the image has no PostgreSQL $major"
	[ "$image_major" = "$major" ] || fail "$EXIT_WRONG_MAJOR" capture \
		"the database is of PostgreSQL $major, the image has PostgreSQL $image_major"
}

# Leaves pg_controldata's answer in /tmp/control.
check_control_file() {
	pg_controldata "$pgdata" >/tmp/control 2>&1 || fail "$EXIT_INCOMPLETE" capture "$(head -n 1 /tmp/control)"
	! grep -q '^WARNING' /tmp/control || fail "$EXIT_INCOMPLETE" capture \
		"global/pg_control is damaged: $(grep '^WARNING' /tmp/control)"
}

control() { # FIELD
	sed -n "s/^$1: *//p" /tmp/control
}

# With a backup_label recovery begins where it says; without one, where pg_control says.
check_wal() {
	if [ -f "$pgdata/backup_label" ]; then
		wal=$(sed -n 's/^START WAL LOCATION: .*(file \([0-9A-F]\{24\}\)).*/\1/p' "$pgdata/backup_label")
		[ -n "$wal" ] || fail "$EXIT_INCOMPLETE" capture "backup_label names no WAL file"
		said_by=backup_label
	else
		wal=$(control "Latest checkpoint's REDO WAL file")
		said_by=pg_control
	fi
	[ -f "$pgdata/pg_wal/$wal" ] || fail "$EXIT_INCOMPLETE" capture \
		"recovery begins in WAL file $wal (by $said_by), which is not in the backup"
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

# Remember what was switched off, one line each: the report lists it, also after the pod had to move.
disarm() { # WHAT
	grep -qxF -- "$1" /pgdata/prepared || printf '%s\n' "$1" >>/pgdata/prepared
}

# Settings of the source that PostgreSQL would read whatever we tell it.
disarm_auto_conf() {
	[ -e "$pgdata/postgresql.auto.conf" ] || return 0
	names=$(sed -n 's/^[[:space:]]*\([A-Za-z_.]*\)[[:space:]]*=.*/\1/p' "$pgdata/postgresql.auto.conf" | sort -u | paste -s -d ' ' -)
	[ -z "$names" ] || disarm "postgresql.auto.conf: $names"
	mv -f "$pgdata/postgresql.auto.conf" /pgdata/postgresql.auto.conf.restored
}

# postmaster.pid too: the volume is mounted by one node at a time and the Deployment never runs two pods.
disarm_files() {
	disarm_auto_conf
	for name in recovery.conf recovery.signal standby.signal; do
		[ ! -e "$pgdata/$name" ] || disarm "$name"
	done
	rm -f "$pgdata/recovery.conf" "$pgdata/recovery.signal" "$pgdata/standby.signal" "$pgdata/postmaster.pid" "$pgdata/postmaster.opts"
	slots=$(find "$pgdata/pg_replslot" -mindepth 1 -maxdepth 1 -type d 2>/dev/null | sed 's|.*/||' | sort | paste -s -d ' ' -)
	[ -z "$slots" ] || disarm "replication slots: $slots"
	# pg_basebackup leaves the content of these out, so they may be emptied, and some tools lose empty directories.
	for name in pg_replslot pg_dynshmem pg_stat_tmp pg_notify pg_serial pg_snapshots pg_subtrans; do
		rm -rf "${pgdata:?}/$name"
		mkdir -m 0700 "$pgdata/$name"
	done
}
