#!/bin/bash
# Which directory of a snapshot is the database, and what of it lies elsewhere: the last part of the restore scripts. The snapshots are
# small trees of files, handed out by a double of kopia; no PostgreSQL is needed to find one. TAP on stdout.
# usage: test_script_layout.sh DIRECTORY_OF_SHIPPED_SCRIPTS
scripts=$1
# shellcheck source=tests/builders/script_lib.sh
. "$(dirname "$0")/script_lib.sh"

make_double() {
	mkdir -p "$work/doubles"
	cat >"$work/doubles/kopia" <<-'DOUBLE'
	#!/bin/sh
	# A double: `snapshot restore` hands out what lies in the volume's snapshot.
	[ "$1 $2" != "snapshot restore" ] || {
		for target; do :; done
		cp -a /pgdata/snapshot/. "$target"
		[ ! -e "$target/locked" ] || chmod 0 "$target/data/PG_VERSION" "$target/data/base"
	}
	DOUBLE
	chmod 755 "$work/doubles/kopia"
}

# A tree that has what every cluster has.
cluster() { # PATH_IN_SNAPSHOT [VERSION]
	local at=$snapshot/$1
	mkdir -p "$at"/{base/1,global,pg_xact,pg_multixact/members,pg_multixact/offsets,pg_wal,pg_tblspc}
	printf '%s\n' "${2:-15}" | tee "$at/PG_VERSION" >"$at/base/1/PG_VERSION"
	head -c 8192 /dev/zero >"$at/global/pg_control"
	touch "$at/global/pg_filenode.map" "$at/pg_wal/000000010000000000000001"
}

tablespace() { # PATH_IN_SNAPSHOT
	mkdir -p "$snapshot/$1/PG_15_202209061/5"
	echo row >"$snapshot/$1/PG_15_202209061/5/16400"
}

begin_snapshot() { # LABEL
	new_pod "$1"
	snapshot=$pod/pgdata/snapshot
	mkdir "$snapshot"
	data=$pod/pgdata/pgdata
}

restore() {
	chown -Rh 999:999 "$pod/pgdata"
	run restore-kopia < <(printf '%s\n' SNAPSHOT_ID=k1 S3_ENDPOINT=http://127.0.0.1:1 S3_BUCKET=b S3_PREFIX= S3_REGION=r KOPIA_PASSWORD=x)
}

laid_out() { # LAYOUT LABEL
	restore
	is "$2" "0 $1 15" "$status $(message '.layout + " " + .postgres_version')"
}

incomplete() { # TEXT LABEL
	restore
	failed_with "$(code EXIT_INCOMPLETE)" capture "$1" "$2"
	[ ! -e "$data" ] || verdict 1 "$2: and nothing can be started"
}

ambiguous() { # TEXT LABEL
	restore
	failed_with "$(code EXIT_NO_CLUSTER)" capture "$1" "$2"
}

test_layouts() {
	begin_snapshot plain && cluster var/lib/pgsql/15/data && touch "$snapshot/var/lib/pgsql/15/data/postgresql.conf"
	laid_out plain "a data directory as the server made it"
	begin_snapshot root && cluster .
	laid_out plain "a snapshot that is the data directory"
	begin_snapshot debian && cluster var/lib/postgresql/15/main
	laid_out debian "Debian's, with its configuration elsewhere"
	begin_snapshot blanks && cluster "my data/of the server" && touch "$snapshot/my data/of the server/base/1/a  b"
	laid_out plain "names with blanks"
	begin_snapshot modes && cluster data && touch "$snapshot/locked"
	laid_out plain "modes that lock the owner out"

	begin_snapshot windows && cluster "C/Program Files/PostgreSQL/15/data"
	laid_out windows "Windows, by its path"
	begin_snapshot windows-conf && cluster data && printf 'dynamic_shared_memory_type = windows\t# x\r\n' >"$snapshot/data/postgresql.conf"
	laid_out windows "Windows, by its configuration"
	begin_snapshot windows-lines && cluster data $'15\r'
	printf 'START WAL LOCATION: 0/1000028 (file 000000010000000000000001)\r\n' >"$snapshot/data/backup_label"
	laid_out windows "Windows, by CR LF"
	is "backup_label has lost its CR" "START WAL LOCATION: 0/1000028 (file 000000010000000000000001)" "$(cat "$data/backup_label")"
	is "PG_VERSION too" 15 "$(cat "$data/PG_VERSION")"
}

test_several() {
	begin_snapshot two && cluster old/main && cluster new/main
	ambiguous "several PostgreSQL clusters, and nothing says which is meant: /new/main /old/main" "two clusters are listed"
	ln -s /srv/new "$snapshot/current"
	laid_out current "the one that a link by the name of current leads to"
	is "and no other" "$(ls -id "$snapshot/new/main/base" | wc -l) yes" "1 $([ -d "$pod/pgdata/restore/old" ] && echo yes)"

	begin_snapshot current-half && cluster 14/main 14 && cluster 15/main && ln -s 15 "$snapshot/current" && rm -r "$snapshot/15/main/pg_xact"
	incomplete "/15/main is half a cluster, it lacks: pg_xact" "the current one is meant although another is whole"
	begin_snapshot current-outside && cluster a && cluster b && ln -s ../../../etc "$snapshot/current"
	ambiguous "several PostgreSQL clusters" "a current that leads out of the snapshot says nothing"
	begin_snapshot two-current && cluster a/x && cluster a/y && ln -s a "$snapshot/current"
	ambiguous "nothing says which is meant: /a/x /a/y" "a current above two says nothing"

	begin_snapshot one-whole && cluster 14/main 14 && cluster 15/main && rm -r "$snapshot/14/main/base"
	laid_out debian "the one that is whole"
	begin_snapshot upgraded && cluster 14/main 14 && cluster 15/main
	mv "$snapshot/14/main/global/pg_control" "$snapshot/14/main/global/pg_control.old"
	laid_out debian "one that pg_upgrade has put out of service does not count"
}

test_damage() {
	begin_snapshot nothing && mkdir -p "$snapshot/base/1" && echo 15 >"$snapshot/base/1/PG_VERSION"
	ambiguous "holds no directory with PG_VERSION" "a directory of one database is no cluster"
	begin_snapshot garbage && cluster data 'fifteen "x"'
	incomplete 'PG_VERSION of /data is no version of PostgreSQL: "fifteen "x""' "PG_VERSION is garbage"
	begin_snapshot empty && cluster data && : >"$snapshot/data/PG_VERSION"
	incomplete 'PG_VERSION of /data is no version of PostgreSQL: ""' "PG_VERSION is empty"
	begin_snapshot no-version && cluster data && rm "$snapshot/data/PG_VERSION"
	incomplete "/data has global/pg_control but no PG_VERSION" "PG_VERSION is missing"
	begin_snapshot no-control && cluster data && rm "$snapshot/data/global/pg_control"
	incomplete "global/pg_control is missing in /data" "pg_control is missing"
	begin_snapshot short-control && cluster data && truncate -s 100 "$snapshot/data/global/pg_control"
	incomplete "global/pg_control of /data is cut short: 100 of 8192 bytes" "pg_control is cut short"
	begin_snapshot half && cluster data && rm -r "$snapshot/data/base" "$snapshot/data/pg_multixact"
	incomplete "/data is half a cluster, it lacks: base pg_multixact/members pg_multixact/offsets" "half a cluster"
	begin_snapshot ancient && cluster data 9.6
	restore
	failed_with "$(code EXIT_WRONG_MAJOR)" capture "of PostgreSQL 9.6, the oldest that can be restored is 10" "an ancient one"
}

test_wal_directory() {
	begin_snapshot no-wal && cluster data && rm -r "$snapshot/data/pg_wal"
	incomplete "pg_wal is missing" "no pg_wal"
	begin_snapshot wal-elsewhere && cluster data && rm -r "$snapshot/data/pg_wal" && ln -s /mnt/wal "$snapshot/data/pg_wal"
	incomplete "pg_wal is a link to /mnt/wal, which the snapshot does not hold" "pg_wal elsewhere"
	begin_snapshot wal-held && cluster data && mkdir "$snapshot/mnt" && mv "$snapshot/data/pg_wal" "$snapshot/mnt/wal"
	ln -s /mnt/wal "$snapshot/data/pg_wal"
	laid_out plain "pg_wal elsewhere in the snapshot"
	[ -f "$data/pg_wal/000000010000000000000001" ] && [ ! -L "$data/pg_wal" ]
	verdict $? "is brought into its place"
}

# The link of a tablespace and the file in it, on the volume.
tablespace_is_there() { # OID LABEL
	is "$2" "/pgdata/tablespaces/$1 row" "$(readlink "$data/pg_tblspc/$1") $(cat "$pod/pgdata/tablespaces/$1/PG_15_202209061/5/16400")"
}

test_tablespaces() {
	begin_snapshot away && cluster data && ln -s /srv/fast "$snapshot/data/pg_tblspc/16500" && ln -s /srv/slow "$snapshot/data/pg_tblspc/16501"
	tablespace srv/fast
	incomplete "tablespaces that the snapshot does not hold: 16501 (/srv/slow)" "a tablespace elsewhere"
	tablespace srv/slow
	laid_out plain "tablespaces that the snapshot holds"
	tablespace_is_there 16500 "the first is on the volume"
	tablespace_is_there 16501 "the second too"
	is "and they are counted" "$(($(find "$data" "$pod/pgdata/tablespaces" -type f | wc -l)))" "$(message .files)"

	begin_snapshot relative && cluster data && ln -s "../../my space" "$snapshot/data/pg_tblspc/16500" && tablespace "my space"
	laid_out plain "a link that is relative, to a name with a blank"
	tablespace_is_there 16500 "leads to the volume"
	begin_snapshot rooted && cluster 15/main && ln -s /var/lib/postgresql/fast "$snapshot/15/main/pg_tblspc/16500" && tablespace fast
	laid_out debian "a snapshot whose root is a directory of the source"
	tablespace_is_there 16500 "holds it below that"
	begin_snapshot drive && cluster data && ln -s '\??\D:\pg space' "$snapshot/data/pg_tblspc/16500" && tablespace "D/pg space"
	laid_out plain "a link to a drive"
	tablespace_is_there 16500 "leads to what was on it"
	begin_snapshot junction && cluster data && mkdir "$snapshot/data/pg_tblspc/16500"
	incomplete "16500 (an empty directory)" "a junction that has become an empty directory"
	begin_snapshot in-place && cluster data && tablespace data/pg_tblspc/16500
	laid_out plain "a tablespace in its place"
	is "stays there" row "$(cat "$data/pg_tblspc/16500/PG_15_202209061/5/16400")"
	begin_snapshot no-files && cluster data && ln -s /srv/fast "$snapshot/data/pg_tblspc/16500" && mkdir -p "$snapshot/srv/fast/PG_14_202107181"
	incomplete "16500 (/srv/fast)" "a directory without the files of this major"
	begin_snapshot same && cluster data && ln -s /a/ts "$snapshot/data/pg_tblspc/16500" && ln -s /b/ts "$snapshot/data/pg_tblspc/16501" && tablespace ts
	incomplete "16501 (/b/ts)" "one directory is not taken for two"

	begin_snapshot map && cluster data && printf '16500 /srv/fast\r\n16501 D:\\slow\r\n' >"$snapshot/data/tablespace_map"
	tablespace srv/fast
	incomplete '16501 (D:\slow)' "a tablespace_map to nowhere"
	mkdir -p "$snapshot/data/pg_tblspc/16501/PG_15_202209061/5"
	echo row >"$snapshot/data/pg_tblspc/16501/PG_15_202209061/5/16400"
	laid_out windows "a tablespace_map with CR LF"
	tablespace_is_there 16500 "is followed by the link"
	tablespace_is_there 16501 "and by a directory in the link's place"
	is "and says where they are now" "16500 /pgdata/tablespaces/16500
16501 /pgdata/tablespaces/16501" "$(cat "$data/tablespace_map")"
}

make_double
run_tests test_layouts test_several test_damage test_wal_directory test_tablespaces
