#!/bin/bash
# WAL-G's engine, up to the database. `wal-g` is a double of its command line (no package has WAL-G): it hands out what real tools made,
# pg_basebackup a backup, archive_command the WAL. This shows what WAL-G is asked for and what is made of its answers, not that it
# restores. The part wal.sh, which brings the WAL, is for real. TAP on stdout.
# usage: test_script_walg.sh DIRECTORY_OF_SHIPPED_SCRIPTS
scripts=$1
# shellcheck source=tests/builders/script_lib.sh
. "$(dirname "$0")/script_lib.sh"

name=base_000000010000000000000003

# A double. What it says and the status of a file that is not there are WAL-G's own, and what it makes of tablespaces: they become what the
# specification says, else what the backup's sentinel does; with WALG_IS_DEAF the sentinel always, as in 3.0.7.
make_double() {
	mkdir -p "$work/doubles"
	cat >"$work/doubles/wal-g" <<-'DOUBLE'
	#!/bin/sh
	# A double of WAL-G's command line.
	[ "$1" != --version ] || { printf 'wal-g version v3.0.7\tabcdef0\t2025.01.01\tPostgreSQL\n'; exit 0; }
	at=/repository/${REPOSITORY:-plain}
	sentinel=$at/basebackups_005/${3:-}_backup_stop_sentinel.json
	printf '%s\n' "wal-g $*" >>/pgdata/commands
	printf '%s\n' "${WALG_S3_PREFIX:-} ${AWS_ENDPOINT:-} ${AWS_REGION:-} ${AWS_S3_FORCE_PATH_STYLE:-} ${WALG_FILE_PREFIX:-}" >>/pgdata/environment
	env | grep -E '^WALG_(LIBSODIUM|PGP)_' | sort >/pgdata/keys
	if [ "$1" = "${WALG_FAILS_AT:-}" ]; then printf '%s\n' "$WALG_SAYS" >&2; exit 1; fi
	make_tablespaces() { # [--restore-spec FILE]
		spec=$(jq .Spec "$sentinel")
		[ -z "$1" ] || [ -n "${WALG_IS_DEAF:-}" ] || spec=$(cat "$2")
		[ "$spec" != null ] || return 0
		/usr/bin/mkdir -p "$(printf '%s' "$spec" | jq -r .base_prefix)/pg_tblspc" 2>/tmp/mkdir.log ||
			{ echo "ERROR: Failed to fetch backup: error creating pg_tblspc folder $(cat /tmp/mkdir.log)" >&2; exit 1; }
		for oid in $(printf '%s' "$spec" | jq -r '.tablespaces[]?'); do
			place=$(printf '%s' "$spec" | jq -r --arg oid "$oid" '.[$oid].loc')
			/usr/bin/mkdir -p "$place" 2>/tmp/mkdir.log ||
				{ echo "ERROR: Failed to fetch backup: error creating folder for tablespace $(cat /tmp/mkdir.log)" >&2; exit 1; }
			ln -s "$place" "$(printf '%s' "$spec" | jq -r --arg oid "$oid" '.base_prefix + "/" + .[$oid].link')"
		done
	}
	case $1 in
	st)
		[ -z "${WALG_IS_OLD:-}" ] || { echo 'Error: unknown command "st" for "wal-g"' >&2; exit 1; }
		[ -f "$at/$3" ] || { echo "ERROR: download the file: object '$3' not found in storage" >&2; exit 1; }
		cat "$at/$3"
		;;
	backup-list)
		echo "INFO: 2026/11/20 20:00:00.000000 List backups from storages: [default]" >&2
		cat "$at/${WALG_LISTS:-list}.json"
		;;
	backup-fetch)
		[ -z "$(ls -A "$2" 2>/dev/null)" ] || { echo "ERROR: Directory $2 for delta base must be empty" >&2; exit 1; }
		[ -d "$at/basebackups_005/$3" ] || { echo "ERROR: Backup '$3' does not exist." >&2; exit 1; }
		mkdir -p "$2"
		make_tablespaces "${4:-}" "${5:-}"
		/usr/bin/tar -C "$at/basebackups_005/$3" -cf - . | /usr/bin/tar -C "$2" --keep-directory-symlink -xf -
		;;
	wal-fetch)
		[ ! -e "$3" ] || { echo "ERROR: $3 exists" >&2; exit 1; }
		[ -f "$at/wal_005/$2" ] || { echo "ERROR: Archive '$2' does not exist." >&2; exit "${WALG_NOT_THERE:-74}"; }
		cp "$at/wal_005/$2" "$3"
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

# It answers before its recovery is over, and writes nothing then.
await_promoted() {
	local deadline=$((SECONDS + 20))
	until [ "$(source_sql postgres <<<'SELECT pg_is_in_recovery()')" = f ] || [ $SECONDS -ge $deadline ]; do sleep 0.1; done
}

wal_file_now() { source_sql postgres <<<'SELECT pg_walfile_name(pg_switch_wal())'; }

# Rows before the backup, after it, and after a promotion: three files of WAL or more, on two timelines.
make_backup() { # REPOSITORY [TABLESPACE_LOCATION]
	local data=$work/source-$1 last at=$work/repository/$1
	archive=$at/wal_005
	new_cluster "$data"
	install -d -o postgres "$work/repository" "$at" "$archive" "$at/basebackups_005"
	source_start "$data" "$(archiving)"
	[ -z "${2:-}" ] || make_tablespace "$2"
	source_sql postgres <<<'CREATE DATABASE app'
	source_sql app <<<"CREATE TABLE fact ${2:+TABLESPACE space} AS SELECT 'before'::text AS at"
	as_postgres $bin/pg_basebackup -h "$work/socket" -U postgres -D "$at/basebackups_005/$name" -X none --no-manifest -c fast \
		${2:+-T "$2=$at/space"} --no-sync 2>/dev/null
	make_sentinel "$at" "${2:+yes}"
	source_sql app <<<"INSERT INTO fact VALUES ('after'); CREATE TABLE noise AS SELECT repeat('x', 500) FROM generate_series(1, 5000)"
	last=$(wal_file_now)
	await_archived "$last"
	source_stop "$data" fast
	as_postgres touch "$data/recovery.signal"
	source_start "$data" "$(archiving) -c restore_command='cp $archive/%f %p'"
	await_promoted
	source_sql app <<<"INSERT INTO fact VALUES ('promoted')"
	last=$(wal_file_now)
	await_archived "$last"
	source_stop "$data" fast
	cat >"$at/list.json" <<-JSON
	[{"backup_name":"$name","time":"2026-11-20T02:00:19.896Z","wal_file_name":"000000010000000000000003","pg_version":150020},
	{"backup_name":"base_000000010000000000000001","time":"2026-11-19T02:00:19Z","wal_file_name":"000000010000000000000001"}]
	JSON
	echo '[]' >"$at/none.json"
	sed 's/"time"/"modified"/' "$at/list.json" >"$at/older.json"
	chmod -R a+rX "$work/repository"
}

make_tablespace() { # LOCATION
	install -d -o postgres "$1"
	source_sql postgres <<<"CREATE TABLESPACE space LOCATION '$1'"
	oid=$(source_sql postgres <<<"SELECT oid FROM pg_tablespace WHERE spcname = 'space'")
}

# What WAL-G writes last. Its archives have the files of a tablespace below pg_tblspc/OID, and tablespace_map as the server wrote it.
make_sentinel() { # REPOSITORY [HAS_TABLESPACE]
	local backup=$1/basebackups_005/$name spec=null
	if [ -n "$2" ]; then
		rm "$backup/pg_tblspc/$oid"
		mv "$1/space" "$backup/pg_tblspc/$oid"
		echo "$oid /srv/space" >"$backup/tablespace_map"
		spec="{\"$oid\":{\"loc\":\"/srv/space\",\"link\":\"pg_tblspc/$oid\"},\"base_prefix\":\"/srv/data\",\"tablespaces\":[\"$oid\"]}"
	fi
	echo "{\"LSN\":50331688,\"PgVersion\":150020,\"Spec\":$spec,\"UserData\":\"16999\"}" >"${backup}_backup_stop_sentinel.json"
}

walg() { # NAME [VARIABLE]...
	rm -f "$pod/pgdata/commands" "$pod/pgdata/environment" "$pod/pgdata/keys"
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
	is "what it is asked for" "wal-g st cat basebackups_005/${name}_backup_stop_sentinel.json;wal-g backup-fetch /pgdata/restore/data $name" \
		"$(head -n 2 "$pod/pgdata/commands" | paste -s -d ';')"
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
	mv "$work/repository/plain/list.json" "$work/repository/plain/moved.json"
	walg latest
	is "another pod has the same" "0 wal-g backup-fetch /pgdata/restore/data $name" "$status $(sed -n 2p "$pod/pgdata/commands")"
	new_pod later-round
	walg LATEST "BACKUP_NAME=$name"
	is "and so has a later round" "0 wal-g backup-fetch /pgdata/restore/data $name" "$status $(sed -n 2p "$pod/pgdata/commands")"
	mv "$work/repository/plain/moved.json" "$work/repository/plain/list.json"
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
	failed_with "$(code EXIT_SNAPSHOT_GONE)" restore "object 'basebackups_005/base_0_backup_stop_sentinel.json' not found" "a backup that is gone"
	walg base_0 WALG_IS_OLD=yes
	failed_with "$(code EXIT_SNAPSHOT_GONE)" restore "Backup 'base_0' does not exist" "a backup that is gone, of a WAL-G without st"
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
	walg "$name" WALG_IS_OLD=yes
	is "one that cannot be asked for tablespaces" 0 "$status"
	archive=$work/repository/plain/wal_005
	first=$(sed -n 's/.*(file \([0-9A-F]*\)).*/\1/p' "$work/repository/plain/basebackups_005/$name/backup_label")
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

test_tablespaces() {
	new_pod tablespaces
	walg "$name" REPOSITORY=spaced
	is "a backup with a tablespace" 0 "$status"
	is "WAL-G is told where it is to lie" "wal-g backup-fetch /pgdata/restore/data $name --restore-spec /tmp/spec" "$(sed -n 2p "$pod/pgdata/commands")"
	is "it lies on the volume, and nowhere else" "/pgdata/tablespaces/$oid $oid /pgdata/tablespaces/$oid " "$(
		readlink "$pod/pgdata/pgdata/pg_tblspc/$oid") $(cat "$pod/pgdata/pgdata/tablespace_map") $(find "$pod/pgdata/restore" -type f)"
	is "its rows are there, those of the WAL too" "before after promoted" "$(rows)"
	new_pod deaf
	walg "$name" REPOSITORY=spaced WALG_IS_DEAF=yes
	failed_with "$(code EXIT_MISCONFIGURED)" restore "this WAL-G cannot bring tablespaces to another place; hint: WALG_IMAGE with WAL-G 3.0.8 or newer" \
		"a WAL-G that does not listen"
}

# What decrypts comes by the environment. Rows: label, exit code, at which command, what WAL-G says, variables.
test_keys() {
	new_pod keys
	walg "$name" WALG_LIBSODIUM_KEY=hidden-sodium WALG_LIBSODIUM_KEY_TRANSFORM=hex WALG_PGP_KEY= WALG_PGP_KEY_PASSPHRASE=
	is "a key of libsodium, and no variable that is empty" "0 WALG_LIBSODIUM_KEY=hidden-sodium;WALG_LIBSODIUM_KEY_TRANSFORM=hex" \
		"$status $(paste -s -d ';' "$pod/pgdata/keys")"
	walg "$name" WALG_LIBSODIUM_KEY= WALG_LIBSODIUM_KEY_TRANSFORM= WALG_PGP_KEY=hidden-pgp WALG_PGP_KEY_PASSPHRASE=hidden-phrase
	is "a key of PGP" "0 WALG_PGP_KEY=hidden-pgp;WALG_PGP_KEY_PASSPHRASE=hidden-phrase" "$status $(paste -s -d ';' "$pod/pgdata/keys")"
	while IFS='|' read -r label expected at words variable; do
		walg "$name" WALG_FAILS_AT="$at" WALG_SAYS="$words" "$variable"
		failed_with "$expected" restore "$words" "$label"
	done <<-ROWS
	another key of PGP|$(code EXIT_WRONG_PASSWORD)|backup-fetch|ERROR: part_001.tar.lz4 DecryptAndDecompressTar: decrypt failed: openpgp: incorrect key|WALG_PGP_KEY=x
	another passphrase|$(code EXIT_WRONG_PASSWORD)|backup-fetch|ERROR: openpgp: invalid data: private key checksum failure|WALG_PGP_KEY=x
	another key of libsodium|$(code EXIT_WRONG_PASSWORD)|backup-fetch|ERROR: Extraction error in part_001.tar.lz4: corrupted chunk|WALG_LIBSODIUM_KEY=x
	no key of libsodium|$(code EXIT_WRONG_PASSWORD)|backup-fetch|ERROR: can't configure crypter: key must be exactly 32 bytes (got 1 bytes)|WALG_LIBSODIUM_KEY=x
	WAL that is damaged, since the backup was decrypted|$(code EXIT_INCOMPLETE)|wal-fetch|ERROR: corrupted chunk|WALG_LIBSODIUM_KEY=x
	no key, or a damaged file|$(code EXIT_INCOMPLETE)|backup-fetch|ERROR: Extraction error in part_001.tar.lz4: lz4: bad magic number|A=b
	ROWS
	message .error | grep -qF "bad magic number; hint: or it is encrypted, then its Secret needs libsodiumKey or pgpKey"
	verdict $? "which is said"
	! grep -q hidden "$pod/pgdata/commands" "$pod.log" "$pod/message"
	verdict $? "no key that decrypts in an argument, the log or the message"
}

make_double
make_backup plain
make_backup spaced "$work/space"
flavour=shellcheck pod=$work/shellcheck
mkdir -p "$pod"
: >"$pod/message"
shellcheck -s sh "$scripts/restore-walg.sh" >"$pod.log" 2>&1
verdict $? "restore-walg.sh as it is shipped"
run_tests test_walg test_latest test_walg_failures test_walg_file test_tablespaces test_keys
