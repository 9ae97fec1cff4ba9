# shellcheck shell=sh
# What the source host left in the data directory that would act here: put aside or taken away, and listed. Names of settings only,
# never values: they hold passwords.
names_of_settings() { # FILE
	sed -n 's/^[[:space:]]*\([A-Za-z_.]*\)[[:space:]]*[= ].*/\1/p' "$1" | tr '[:upper:]' '[:lower:]' | sort -u
}

# Settings of the source that PostgreSQL would read whatever we tell it.
disarm_auto_conf() {
	[ -e "$pgdata/postgresql.auto.conf" ] || return 0
	names=$(names_of_settings "$pgdata/postgresql.auto.conf" | paste -s -d ' ' -)
	[ -z "$names" ] || disarm "postgresql.auto.conf: $names"
	mv -f "$pgdata/postgresql.auto.conf" /pgdata/postgresql.auto.conf.restored
}

# What is not read at all here, but would have run commands, loaded code or reached out at the source.
disarm_conf() {
	[ -f "$pgdata/postgresql.conf" ] || return 0
	names=$(names_of_settings "$pgdata/postgresql.conf" | grep -E \
		'^(archive_(command|library|cleanup_command)|restore_command|recovery_end_command|ssl_passphrase_command|primary_(conninfo|slot_name)|synchronous_standby_names|(shared|session|local)_preload_libraries|include|include_dir|include_if_exists)$' |
		paste -s -d ' ' -) || :
	[ -z "$names" ] || disarm "postgresql.conf: $names"
}

# PostgreSQL takes 0700 and 0750 and no other; a volume's fsGroup gives the group more.
mend_mode() {
	mode=$(stat -c %a "$pgdata")
	case $mode in
	700 | 750 | 2700 | 2750) return 0 ;;
	esac
	note "the mode of the data directory was $mode, it is 700 now"
	chmod 0700 "$pgdata"
}

# postmaster.pid too: the volume is mounted by one node at a time and the Deployment never runs two pods.
disarm_files() {
	disarm_auto_conf
	disarm_conf
	! grep -qs understory "$pgdata/recovery.signal" || rm -f "$pgdata/recovery.signal"
	for name in recovery.conf recovery.signal standby.signal postmaster.pid pg_hba.conf; do
		[ ! -e "$pgdata/$name" ] || disarm "$name"
	done
	rm -f "$pgdata/recovery.conf" "$pgdata/recovery.signal" "$pgdata/standby.signal" "$pgdata/postmaster.pid" "$pgdata/postmaster.opts"
	slots=$(find "$pgdata/pg_replslot" -mindepth 1 -maxdepth 1 -type d 2>/dev/null | sed 's|.*/||' | sort | paste -s -d ' ' -)
	[ -z "$slots" ] || disarm "replication slots: $slots"
}
