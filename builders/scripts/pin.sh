# shellcheck shell=sh
# Which backup it is, into $backup: SNAPSHOT_ID, or with "latest" what COMMAND prints (nothing: there is none), once and for all. A later
# pod finds the name on the volume, a later round has it from the operator.
pin_backup() { # COMMAND...
	backup=$SNAPSHOT_ID
	case $SNAPSHOT_ID in
	latest | LATEST)
		backup=${BACKUP_NAME:-$(cat /pgdata/backup 2>/dev/null || :)}
		if [ -z "$backup" ]; then
			"$@" >/tmp/newest
			backup=$(cat /tmp/newest)
		fi
		[ -n "$backup" ] || fail "$EXIT_SNAPSHOT_GONE" restore "there is no finished backup"
		printf '%s\n' "$backup" >/pgdata/backup.new
		mv /pgdata/backup.new /pgdata/backup
		;;
	esac
}
