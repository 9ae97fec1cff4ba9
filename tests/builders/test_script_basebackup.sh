#!/bin/bash
# The engine basebackup: what a real pg_basebackup -Ft -z -X stream left, on a volume and on a real S3 server (radosgw), becomes a data
# directory that comes up; and what is wrong with a backup is said by its name. TAP on stdout.
# usage: test_script_basebackup.sh DIRECTORY_OF_SHIPPED_SCRIPTS
scripts=$1
# shellcheck source=tests/builders/script_lib.sh
. "$(dirname "$0")/script_lib.sh"
command -v rclone >/dev/null || { echo "1..0 # SKIP rclone is not installed"; exit 0; }
unset AWS_CA_BUNDLE
backups=$work/backups
radosgw=$here/../../fixtures/s3/radosgw.sh

clean_up_all() {
	[ ! -d "$work/s3/run" ] || "$radosgw" stop "$work/s3"
	clean_up
}
trap clean_up_all EXIT

# --- backups ---

# As the maker of backups leaves it: the sums, and metadata.json last.
finish_backup() { # FOLDER BACKUP_TIME
	(cd "$1" && sha256sum -- * >checksum.txt && cat >metadata.json <<-EOC
		{
		  "source_instance": "nauru",
		  "backup_time": "$2",
		  "backup_size_bytes": $(du -sb . | cut -f 1),
		  "postgres_version": "15"
		}
	EOC
	)
}

base_backup() { # FOLDER BACKUP_TIME
	install -d -o postgres "$1"
	as_postgres $bin/pg_basebackup -h "$work/socket" -U postgres -D "$1" -Ft -z -X stream -c fast --no-sync
	finish_backup "$1" "$2"
}

# The name that sorts last is not the newest. A table lies in a tablespace.
make_backups() {
	new_cluster "$work/source"
	install -d -o postgres "$work/elsewhere"
	install -d "$backups" "$backups/nauru"
	source_start "$work/source"
	source_sql postgres <<-EOC
		CREATE TABLESPACE elsewhere LOCATION '$work/elsewhere';
		CREATE TABLE plain AS SELECT generate_series(1, 1000) AS id;
		CREATE TABLE apart TABLESPACE elsewhere AS SELECT generate_series(1, 2000) AS id;
	EOC
	base_backup "$backups/nauru/b-older" 2026-11-19T22:00:00Z
	base_backup "$backups/nauru/a-newer" 2026-11-20T22:00:00Z
	oid=$(basename "$backups"/nauru/a-newer/[0-9]*.tar.gz .tar.gz)
	source_stop "$work/source" fast
	chmod -R a+rX "$backups"
	mkdir "$backups/nauru/c-unfinished"
	touch "$backups/nauru/c-unfinished/base.tar.gz"
}

# A copy of the good one that is then spoilt by the caller.
spoilt() { # NAME
	folder=$backups/spoilt/$1
	mkdir -p "$backups/spoilt"
	rm -rf "$folder"
	cp -al "$backups/nauru/a-newer" "$folder"
	cp --remove-destination "$backups/nauru/a-newer"/{checksum.txt,metadata.json} "$folder"
}

# Another content of an archive, with a sum that fits.
replaced() { # NAME: content on stdin
	cat >"$work/replaced"
	mv "$work/replaced" "$folder/$1"
	(cd "$folder" && rm -f checksum.txt metadata.json && finish_backup . 2026-11-20T22:00:00Z && chmod a+r -- *)
}

volume() { # SNAPSHOT_ID [VARIABLE]...
	[ -e "$pod/backup" ] || ln -s "$backups" "$pod/backup"
	run restore-basebackup-file < <(printf '%s\n' "SNAPSHOT_ID=$1" BACKUP_DIR=/backup/nauru "${@:2}")
}

spoilt_volume() { volume "$(basename "$folder")" BACKUP_DIR=/backup/spoilt; }

# --- from a volume ---

test_volume() {
	new_pod volume
	volume b-older
	is "a backup on a volume is restored" "0 15 basebackup (volume) b-older plain" \
		"$status $(message '.postgres_version + " " + .engine + " " + .backup + " " + .layout')"
	is "nothing is left beside the database and its tablespace" "pgdata, tablespaces" "$(ls -m "$pod/pgdata")"
	is "the tablespace is in its place" "/pgdata/tablespaces/$oid $oid /pgdata/tablespaces/$oid" \
		"$(readlink "$pod/pgdata/pgdata/pg_tblspc/$oid") $(cat "$pod/pgdata/pgdata/tablespace_map")"
	is "the counts are of what is there" "$(find "$pod/pgdata" -type f | wc -l)" "$(message .files)"
	is "where it ends is known" yes "$(grep -q End-LSN "$pod/pgdata/pgdata/backup_manifest" && echo yes)"
	is "the backup is as it was" "" "$(cd "$backups/nauru/b-older" && sha256sum -c --quiet checksum.txt 2>&1)"

	rm -rf "$pod/pgdata/pgdata/pg_notify" "$pod/pgdata/pgdata/pg_replslot"
	prepare verify
	is "it comes up, with the directories that were lost" "0 base_backup" "$status $(message .capture)"
	new_address
	start_server "$address"
	is "its rows are there" "1000 2000" "$(query postgres hidden-superuser postgres \
		"SELECT (SELECT count(*) FROM plain) || ' ' || (SELECT count(*) FROM apart)")"
	is "nothing of the recovery is left" "" "$(cd "$pod/pgdata/pgdata" && ls -d recovery.signal standby.signal backup_label 2>/dev/null)"
	stop
	volume b-older
	failed_with "$(code EXIT_VOLUME_IN_USE)" restore "a database was started" "a volume that serves is not written"
}

test_latest() {
	new_pod latest
	volume latest
	is "latest is the newest that is finished, by its time" "0 a-newer" "$status $(message .backup)"
	is "and is kept on the volume" a-newer "$(cat "$pod/pgdata/backup")"
	echo b-older >"$pod/pgdata/backup"
	volume LATEST
	is "latest that has moved between two pods is what it was" "0 b-older" "$status $(message .backup)"
	volume latest BACKUP_NAME=a-newer
	is "and what the operator has pinned" "0 a-newer" "$status $(message .backup)"
	new_pod none
	volume latest BACKUP_DIR=/backup/nauru/c-unfinished
	failed_with "$(code EXIT_SNAPSHOT_GONE)" restore "there is no finished backup" "no finished backup at all"
}

test_a_pod_that_was_killed() {
	new_pod killed
	printf '%s\n' '#!/bin/sh' '[ -z "${STALL:-}" ] || { head -c 100000 "$2" | /usr/bin/gzip -dc 2>/dev/null; exec sleep 600; }' \
		'exec /usr/bin/gzip "$@"' >"$work/gzip"
	install -D -m 755 "$work/gzip" "$pod/recorders/gzip"
	ln -s "$backups" "$pod/backup"
	begin restore-basebackup-file < <(printf '%s\n' SNAPSHOT_ID=a-newer BACKUP_DIR=/backup/nauru STALL=yes)
	local deadline=$((SECONDS + 60))
	until [ -e "$pod/pgdata/restore/backup_label" ] || [ $SECONDS -ge $deadline ]; do sleep 0.1; done
	pkill -KILL -P "$begun"
	wait "$begun"
	is "a pod is killed while it unpacks" "restore yes" "$(cd "$pod/pgdata" && ls -d restore pgdata 2>/dev/null) $(
		[ -e "$pod/pgdata/restore/backup_label" ] && echo yes)"
	touch "$pod/pgdata/restore/left-over"
	volume a-newer
	is "the next one starts from nothing" "0 " "$status $(find "$pod/pgdata" -name left-over)"
}

# A spoilt backup: status and text.
refused() { # TEXT LABEL
	new_pod "refused-$(basename "$folder")"
	spoilt_volume
	failed_with "$(code EXIT_INCOMPLETE)" restore "$1" "$2"
	is "and nothing is there to be started" "" "$(ls -d "$pod/pgdata/pgdata" 2>/dev/null)"
}

test_flavour() {
	spoilt flavoured
	sed 's/"source_instance"/"flavour": "acme", &/' "$backups/nauru/a-newer/metadata.json" >"$folder/metadata.json"
	chmod a+r "$folder/metadata.json"
	new_pod flavoured
	spoilt_volume
	is "the flavour of the server is said" "0 acme" "$status $(message .flavour)"
	new_pod unflavoured
	volume a-newer
	is "where none is named, none is said" "0 null" "$status $(message .flavour)"
}

test_spoilt() {
	spoilt no-metadata && rm "$folder/metadata.json"
	refused "backup no-metadata: it is unfinished: metadata.json, which is written last, is missing" "metadata.json is missing"
	spoilt half-metadata && head -c 40 "$backups/nauru/a-newer/metadata.json" >"$folder/metadata.json"
	refused "metadata.json is cut short" "metadata.json is half"
	spoilt no-sums && rm "$folder/checksum.txt"
	refused "checksum.txt is missing" "checksum.txt is missing"
	spoilt wrong-sum && sed -i '/ base.tar.gz/s/^..../0000/' "$folder/checksum.txt"
	refused "base.tar.gz has another sum than checksum.txt says: it is damaged" "a sum is wrong"
	spoilt missing && rm "$folder/pg_wal.tar.gz"
	refused "pg_wal.tar.gz is named in checksum.txt and is not there" "a file is missing"
	spoilt unnamed && sed -i '/ pg_wal.tar.gz/d' "$folder/checksum.txt"
	refused "checksum.txt does not name pg_wal.tar.gz" "an archive without a sum"
	spoilt no-tablespace && rm "$folder/$oid.tar.gz" && sed -i "/ $oid.tar.gz/d" "$folder/checksum.txt"
	refused "it lacks the archives of tablespaces: $oid.tar.gz ($work/elsewhere)" "the archive of a tablespace is missing"
	spoilt unreadable && cp --remove-destination "$backups/nauru/a-newer/base.tar.gz" "$folder" && chmod 600 "$folder/base.tar.gz"
	new_pod refused-unreadable
	spoilt_volume
	failed_with "$(code EXIT_ACCESS_REFUSED)" restore "user 999 may not read base.tar.gz" "a file that may not be read is no damaged one"
	spoilt climbing && printf '%064d  ../../nauru/a-newer/base.tar.gz\n' 0 >>"$folder/checksum.txt"
	refused "checksum.txt has a line that names no file of this folder: " "a name that leaves the folder"
	spoilt cut-zip && head -c 1000000 "$backups/nauru/a-newer/base.tar.gz" | replaced base.tar.gz
	refused "base.tar.gz is cut short or damaged" "a tar is cut short"
	spoilt cut-sum && head -c -4 "$backups/nauru/a-newer/base.tar.gz" | replaced base.tar.gz
	refused "base.tar.gz is cut short or damaged" "a tar is whole, but not what it was zipped in"
	spoilt cut-tar && gzip -dc "$backups/nauru/a-newer/$oid.tar.gz" | head -c 2048 | gzip | replaced "$oid.tar.gz"
	refused "$oid.tar.gz is cut short or damaged" "a tar is cut short before it was zipped"
	spoilt cut-end && gzip -dc "$backups/nauru/a-newer/$oid.tar.gz" | head -c -1024 | gzip | replaced "$oid.tar.gz"
	refused "$oid.tar.gz is cut short or damaged" "a tar is cut short after a file"
	spoilt no-tar && echo "a page of HTML" | replaced base.tar.gz
	refused "base.tar.gz is cut short or damaged" "what is no archive"
}

# Members with names that lead elsewhere, and links on which others would go there.
test_climbing_tar() {
	new_pod climbing-tar
	spoilt climbing-tar
	mkdir -p "$work/climb/inner" "$pod/pgdata/victim"
	echo evil >"$work/climb/evil"
	ln -sfn /pgdata/victim "$work/climb/inner/link"
	gzip -dc "$backups/nauru/a-newer/base.tar.gz" >"$work/climb.tar"
	(cd "$work/climb/inner" && tar -rPf "$work/climb.tar" link ../evil --transform 's|^\.\./evil$|../../evil|' &&
		tar -rf "$work/climb.tar" ../evil --transform 's|.*|link/evil|')
	gzip -c "$work/climb.tar" | replaced base.tar.gz
	chown -R 999:999 "$pod/pgdata"
	spoilt_volume
	is "nothing is written outside" "" "$(find "$pod/pgdata" -name evil -not -path '*/pgdata/pgdata/*' -not -path '*/pgdata/restore/*')"
}

test_volume_is_full() {
	new_pod full
	mount -t tmpfs -o size=20m,uid=999,gid=999,mode=755 full "$pod/pgdata" || { verdict 1 "a small volume"; return; }
	volume a-newer
	failed_with "$(code EXIT_VOLUME_FULL)" restore "volume full: " "a volume that is too small"
	umount -l "$pod/pgdata"
}

test_no_such_folder() {
	new_pod nowhere
	volume a-newer BACKUP_DIR=/backup/elsewhere
	failed_with "$(code EXIT_REPOSITORY_GONE)" restore "the volume has no folder elsewhere" "a prefix that is not there"
	volume 2026-01-01
	failed_with "$(code EXIT_SNAPSHOT_GONE)" restore "the volume has no folder 2026-01-01" "a backup that is not there"
	volume ../spoilt/no-sums
	failed_with "$(code EXIT_SNAPSHOT_GONE)" restore "is no folder of the prefix" "a backup that climbs"
}

# --- from S3 ---

free_port() { /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

start_store() {
	"$radosgw" start "$work/s3" "$(free_port)" --mon-port "$(free_port)" >"$work/s3.log" 2>&1 </dev/null || { sed 's/^/# /' "$work/s3.log"; return 1; }
	# shellcheck disable=SC1091
	. "$work/s3/env" && . "$work/s3/keys/backup.key"
	rclone_config=(RCLONE_CONFIG="$work/rclone.conf" RCLONE_CONFIG_STORE_TYPE=s3 RCLONE_CONFIG_STORE_PROVIDER=Other
		RCLONE_CONFIG_STORE_ENV_AUTH=true "RCLONE_CONFIG_STORE_ENDPOINT=$S3_ENDPOINT" RCLONE_CONFIG_STORE_FORCE_PATH_STYLE=true
		"AWS_ACCESS_KEY_ID=$AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY")
	: >"$work/rclone.conf"
	env "${rclone_config[@]}" rclone copy "$backups/nauru" store:backups/site/nauru
}

store() { # SNAPSHOT_ID [VARIABLE]...
	run restore-basebackup < <(printf '%s\n' "SNAPSHOT_ID=$1" "S3_ENDPOINT=$S3_ENDPOINT" S3_BUCKET=backups S3_PREFIX=/site/nauru/ \
		S3_REGION=us-east-1 "AWS_ACCESS_KEY_ID=$AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY" "${@:2}")
}

test_store() {
	new_pod store
	store latest CPU_LIMIT=2
	is "a backup in S3 is restored" "0 15 basebackup (rclone 1.60.1-DEV) a-newer" \
		"$status $(message '.postgres_version + " " + .engine + " " + .backup')"
	is "what was fetched has gone" "backup, pgdata, tablespaces" "$(ls -m "$pod/pgdata")"
	prepare verify
	is "and comes up" "0 base_backup" "$status $(message .capture)"
	! grep -qF "$AWS_SECRET_ACCESS_KEY" "$pod.log"
	verdict $? "the log has no key"

	new_pod store-failures
	store c-unfinished
	failed_with "$(code EXIT_INCOMPLETE)" restore "it is unfinished: metadata.json" "an unfinished one in S3"
	store 2026-01-01
	failed_with "$(code EXIT_SNAPSHOT_GONE)" restore "backups holds nothing in folder site/nauru/2026-01-01" "a folder that is not there"
	store a-newer S3_BUCKET=none
	failed_with "$(code EXIT_REPOSITORY_GONE)" restore "there is no bucket none" "a bucket that is not there"
	store a-newer AWS_SECRET_ACCESS_KEY=wrong
	failed_with "$(code EXIT_ACCESS_REFUSED)" restore "Denied" "keys that are refused"
}

make_backups
flavour=shellcheck pod=$work/shellcheck
mkdir -p "$pod"
: >"$pod/message"
for script in restore-basebackup restore-basebackup-file; do
	shellcheck -s sh "$scripts/$script.sh" >"$pod.log" 2>&1
	verdict $? "$script.sh as it is shipped"
done
start_store
verdict $? "S3 is there and holds the backups"
run_tests test_volume test_latest test_a_pod_that_was_killed test_flavour test_spoilt test_climbing_tar test_volume_is_full test_no_such_folder test_store
