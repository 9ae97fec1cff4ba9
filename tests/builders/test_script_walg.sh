#!/bin/bash
# WAL-G's engine, up to the database. `wal-g` is a double of its command line (no package has WAL-G): it hands out what real tools made,
# pg_basebackup a backup, archive_command the WAL. This shows what WAL-G is asked for and what is made of its answers, not that it
# restores. The part wal.sh, which brings the WAL, is for real. TAP on stdout.
# usage: test_script_walg.sh DIRECTORY_OF_SHIPPED_SCRIPTS
scripts=$1
# shellcheck source=tests/builders/script_lib.sh
. "$(dirname "$0")/script_lib.sh"

name=base_000000010000000000000003
archive=$work/repository/wal_005

# A double. What it says and the status of a file that is not there are WAL-G's own.
make_double() {
	mkdir -p "$work/doubles"
	cat >"$work/doubles/wal-g" <<-'DOUBLE'
	#!/bin/sh
	# A double of WAL-G's command line.
	[ "$1" != --version ] || { printf 'wal-g version v3.0.7\tabcdef0\t2025.01.01\tPostgreSQL\n'; exit 0; }
	printf '%s\n' "wal-g $*" >>/pgdata/commands
	printf '%s\n' "${WALG_S3_PREFIX:-} ${AWS_ENDPOINT:-} ${AWS_REGION:-} ${AWS_S3_FORCE_PATH_STYLE:-} ${WALG_FILE_PREFIX:-}" >>/pgdata/environment
	if [ "$1" = "${WALG_FAILS_AT:-}" ]; then printf '%s\n' "$WALG_SAYS" >&2; exit 1; fi
	case $1 in
	backup-list)
		echo "INFO: 2026/11/20 20:00:00.000000 List backups from storages: [default]" >&2
		cat "/repository/${WALG_LISTS:-list}.json"
		;;
	backup-fetch)
		[ -z "$(ls -A "$2")" ] || { echo "ERROR: Directory $2 for delta base must be empty" >&2; exit 1; }
		[ -d "/repository/basebackups_005/$3" ] || { echo "ERROR: Backup '$3' does not exist." >&2; exit 1; }
		cp -r "/repository/basebackups_005/$3/." "$2"
		;;
	wal-fetch)
		[ ! -e "$3" ] || { echo "ERROR: $3 exists" >&2; exit 1; }
		[ -f "/repository/wal_005/$2" ] || { echo "ERROR: Archive '$2' does not exist." >&2; exit "${WALG_NOT_THERE:-74}"; }
		cp "/repository/wal_005/$2" "$3"
		;;
	esac
	DOUBLE
	chmod 755 "$work/doubles/wal-g"
}

archiving() { echo "-c archive_mode=on -c archive_command='test ! -f $archive/%f && cp %p $archive/%f'"; }

await_archived() { # FILE
	local deadline=$((SECONDS + 20))
	until [ -f "$archive/$1" ] || [ $SECONDS -ge $deadline ]; do sleep 0.1; done
}

wal_file_now() { source_sql postgres <<<'SELECT pg_walfile_name(pg_switch_wal())'; }

# Rows before the backup, after it, and after a promotion: three files of WAL or more, on two timelines.
make_backup() {
	local data=$work/source last
	new_cluster "$data"
	install -d -o postgres "$work/repository" "$archive" "$work/repository/basebackups_005"
	source_start "$data" "$(archiving)"
	source_sql postgres <<<'CREATE DATABASE app'
	source_sql app <<<"CREATE TABLE fact AS SELECT 'before'::text AS at"
	as_postgres $bin/pg_basebackup -h "$work/socket" -U postgres -D "$work/repository/basebackups_005/$name" -X none --no-manifest -c fast \
		--no-sync 2>/dev/null
	source_sql app <<<"INSERT INTO fact VALUES ('after'); CREATE TABLE noise AS SELECT repeat('x', 500) FROM generate_series(1, 5000)"
	last=$(wal_file_now)
	await_archived "$last"
	source_stop "$data" fast
	as_postgres touch "$data/recovery.signal"
	source_start "$data" "$(archiving) -c restore_command='cp $archive/%f %p'"
	source_sql app <<<"INSERT INTO fact VALUES ('promoted')"
	last=$(wal_file_now)
	await_archived "$last"
	source_stop "$data" fast
	cat >"$work/repository/list.json" <<-JSON
	[{"backup_name":"$name","time":"2026-11-20T02:00:19.896Z","wal_file_name":"000000010000000000000003","pg_version":150020},
	{"backup_name":"base_000000010000000000000001","time":"2026-11-19T02:00:19Z","wal_file_name":"000000010000000000000001"}]
	JSON
	echo '[]' >"$work/repository/none.json"
	sed 's/"time"/"modified"/' "$work/repository/list.json" >"$work/repository/older.json"
	chmod -R a+rX "$work/repository"
}

walg() { # NAME [VARIABLE]...
	rm -f "$pod/pgdata/commands" "$pod/pgdata/environment"
	run restore-walg < <(printf '%s\n' "SNAPSHOT_ID=$1" S3_ENDPOINT=http://127.0.0.1:7480 S3_BUCKET=backups S3_PREFIX=/a/b/ \
		S3_REGION=ap-southeast-2 AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=hidden-s3-key "${@:2}")
}

rows() {
	new_address
	prepare verify
	[ "$status" = 0 ] || { message .error; return; }
	start_server "$address"
	query postgres hidden-superuser app "SELECT string_agg(at, ' ') FROM fact"
	stop
}

test_walg() {
	new_pod walg
	mkdir -p "$pod/pgdata/restore/left-over"
	chown -R 999:999 "$pod/pgdata"
	walg "$name"
	is "a backup by its name" "0 15 walg v3.0.7 $name" "$status $(message '.postgres_version + " " + .engine + " " + .backup')"
	is "what WAL-G is told" "s3://backups/a/b http://127.0.0.1:7480 ap-southeast-2 true " "$(head -n 1 "$pod/pgdata/environment")"
	is "what it is asked for first" "wal-g backup-fetch /pgdata/restore $name" "$(head -n 1 "$pod/pgdata/commands")"
	[ -f "$pod/pgdata/pgdata/pg_wal/00000002.history" ] && [ -z "$(find "$pod/pgdata/pgdata/pg_wal" -name '.*' ! -name .)" ]
	verdict $? "the WAL of both timelines is there, and nothing beside it"
	is "recovery goes to the end of the archive, over timelines" "before after promoted" "$(rows)"
	! grep -q hidden "$pod/pgdata/commands" "$pod.log" "$pod/message"
	verdict $? "no key in an argument, the log or the message"
}

test_latest() {
	new_pod latest
	walg LATEST
	is "LATEST is resolved first" "0 $name" "$status $(message .backup)"
	is "and kept on the volume" "$name" "$(cat "$pod/pgdata/backup")"
	mv "$work/repository/list.json" "$work/repository/moved.json"
	walg latest
	is "another pod has the same" "0 wal-g backup-fetch /pgdata/restore $name" "$status $(head -n 1 "$pod/pgdata/commands")"
	new_pod later-round
	walg LATEST "BACKUP_NAME=$name"
	is "and so has a later round" "0 wal-g backup-fetch /pgdata/restore $name" "$status $(head -n 1 "$pod/pgdata/commands")"
	mv "$work/repository/moved.json" "$work/repository/list.json"
	new_pod older
	walg LATEST WALG_LISTS=older
	is "a list of an older WAL-G" "0 $name" "$status $(message .backup)"
	new_pod none
	walg LATEST WALG_LISTS=none
	failed_with "$(code EXIT_SNAPSHOT_GONE)" restore "there is no finished backup" "LATEST of nothing"
}

test_walg_failures() {
	new_pod failures
	walg base_0
	failed_with "$(code EXIT_SNAPSHOT_GONE)" restore "Backup 'base_0' does not exist" "a backup that is gone"
	walg "$name" WALG_FAILS_AT=backup-fetch "WALG_SAYS=ERROR: AccessDenied: Access Denied status code: 403"
	failed_with "$(code EXIT_ACCESS_REFUSED)" restore "AccessDenied" "access refused"
	walg "$name" WALG_FAILS_AT=backup-fetch "WALG_SAYS=ERROR: ExpiredToken: The provided token has expired."
	failed_with "$(code EXIT_CREDENTIALS_EXPIRED)" restore "ExpiredToken" "keys that ended"
	walg "$name" WALG_FAILS_AT=backup-fetch "WALG_SAYS=ERROR: Failed to fetch backup: write /pgdata/x: no space left on device"
	failed_with "$(code EXIT_VOLUME_FULL)" restore "volume full" "a volume that is full"
	walg "$name" WALG_FAILS_AT=wal-fetch "WALG_SAYS=ERROR: RequestError: send request failed: i/o timeout"
	failed_with 1 restore "i/o timeout" "a failure is no end of the archive"
	walg "$name" WALG_NOT_THERE=1
	is "a WAL-G that knows no status for a file that is not there" 0 "$status"
	first=$(sed -n 's/.*(file \([0-9A-F]*\)).*/\1/p' "$work/repository/basebackups_005/$name/backup_label")
	mv "$archive/$first" "$archive/moved"
	walg "$name"
	failed_with "$(code EXIT_INCOMPLETE)" capture "recovery begins in WAL file $first (by backup_label), which is not in the archive" \
		"the first file of WAL is not in the archive"
	mv "$archive/moved" "$archive/$first"
	touch "$pod/pgdata/prepared"
	walg "$name"
	failed_with "$(code EXIT_VOLUME_IN_USE)" restore "a database was started from this volume" "a volume that serves is not written"
}

test_walg_file() {
	new_pod file
	walg "$name" BACKUP_DIR=/backup/nauru
	is "from a volume" "0     /backup/nauru" "$status $(head -n 1 "$pod/pgdata/environment")"
}

make_double
make_backup
flavour=shellcheck pod=$work/shellcheck
mkdir -p "$pod"
: >"$pod/message"
shellcheck -s sh "$scripts/restore-walg.sh" >"$pod.log" 2>&1
verdict $? "restore-walg.sh as it is shipped"
run_tests test_walg test_latest test_walg_failures test_walg_file
