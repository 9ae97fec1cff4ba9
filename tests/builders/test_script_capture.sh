#!/bin/bash
# What prepare finds in a capture before it starts anything. TAP on stdout.
# usage: test_script_capture.sh DIRECTORY_OF_SHIPPED_SCRIPTS
scripts=$1
# shellcheck source=tests/builders/script_lib.sh
. "$(dirname "$0")/script_lib.sh"

# $work/crashed: six files of WAL since its checkpoint. $work/base: a base backup whose WAL spans several files, with its history file.
# $work/stopped: a clean stop.
make_captures() {
	new_cluster "$work/stopped"
	source_start "$work/stopped" -c max_wal_size=1GB -c archive_mode=on -c archive_command=false
	source_sql postgres <<-SQL >/dev/null
	CHECKPOINT;
	CREATE TABLE fact AS SELECT i, repeat('x', 1000) AS text FROM generate_series(1, 3000) i;
	SELECT pg_backup_start('b', true);
	INSERT INTO fact SELECT i, repeat('y', 1000) FROM generate_series(1, 2000) i;
	\\! cp -a $work/stopped $work/base
	\\o $work/socket/stopped
	SELECT lsn || ' ' || labelfile FROM pg_backup_stop(false);
	\\o
	SELECT pg_switch_wal();
	INSERT INTO fact SELECT i, repeat('z', 1000) FROM generate_series(1, 1000) i;
	SQL
	stop_lsn=$(sed -n '1s/ .*//p' "$work/socket/stopped")
	sed '1s/^[^ ]* //' "$work/socket/stopped" >"$work/base/backup_label"
	start_lsn=$(sed -n 's/^START WAL LOCATION: \([^ ]*\) .*/\1/p' "$work/base/backup_label")
	source_stop "$work/stopped" immediate
	cp -a --reflink=auto "$work/stopped" "$work/crashed"
	cp -a "$work/crashed/pg_wal/." "$work/base/pg_wal"
	rm -f "$work/base/postmaster.pid"
	source_start "$work/stopped"
	source_stop "$work/stopped" fast
	first=$(control_of "$work/crashed" "Latest checkpoint's REDO WAL file")
	newest=$(find "$work/crashed/pg_wal" -maxdepth 1 -type f -name '????????????????????????' | sed 's|.*/||' | sort | tail -n 1)
}

# The N-th WAL file after the one that recovery begins with.
wal_file() { # N
	printf '%s%08X' "${first%????????}" $((0x${first#????????????????} + $1))
}

incomplete() { # TEXT LABEL
	prepare verify
	failed_with "$(code EXIT_INCOMPLETE)" capture "$1" "$2"
	[ ! -e "$pod/pgdata/prepared" ] || verdict 1 "$2: and nothing was touched"
}

prepared() { # KIND LABEL
	prepare verify
	is "$2" "0 $1" "$status $(message .capture)"
}

test_kinds() {
	pod_with stopped "$work/stopped"
	prepared shut_down "a clean stop"
	is "it says when its last checkpoint was" "$(date -u -d "$(control_of "$work/stopped" "Time of latest checkpoint")" +%FT%TZ)" \
		"$(message .checkpoint_at)"
	pod_with crashed "$work/crashed"
	prepared crash_consistent "a crash"
	pod_with base "$work/base"
	prepared base_backup "a base backup"
	prepared base_backup "is one still when it has been recovered"
}

test_wal_files() {
	pod_with gap "$work/crashed"
	rm "$data/pg_wal/$(wal_file 2)"
	incomplete "recovery needs WAL files $first to $newest, $(wal_file 2) is not in the backup" \
		"a gap in the WAL of a crash"
	rm "$data/pg_wal/$(wal_file 3)"
	incomplete "$(wal_file 2) and 1 more are not in the backup" "a gap of two"
	pod_with short "$work/crashed"
	truncate -s 500000 "$data/pg_wal/$(wal_file 1)"
	incomplete "WAL file $(wal_file 1) is not 1048576 bytes long" "a WAL file that is cut short"
	pod_with no-wal "$work/crashed"
	rm "$data"/pg_wal/0*
	incomplete "recovery begins in WAL file $first (by pg_control), which is not in the backup" "no WAL at all"
	pod_with only-later "$work/stopped"
	rm "$data/pg_wal/$(control_of "$work/stopped" "Latest checkpoint's REDO WAL file")"
	incomplete "(by pg_control), which is not in the backup" "a clean stop without the WAL file of its checkpoint"

	pod_with strange "$work/crashed"
	touch "$data/pg_wal/$(wal_file 9).partial" "$data/pg_wal/00000002.history" "$data/pg_wal/archive_status/$first.ready" "$data/pg_wal/a b"
	touch "$data/pg_wal/$(printf '%s' "$first" | tr 0-9A-F g)"
	prepared crash_consistent "what is no WAL file in pg_wal is in nobody's way"
	pod_with old-gap "$work/crashed"
	touch "$data/pg_wal/000000010000000000000000"
	chown 999:999 "$data"/pg_wal/*
	prepared crash_consistent "nor is what comes before"
}

manifest() { # START_LSN END_LSN
	printf '{ "PostgreSQL-Backup-Manifest-Version": 1,\n"Files": [],\n"WAL-Ranges": [\n{ "Timeline": 1, "Start-LSN": "%s", "End-LSN": "%s" }\n],\n' \
		"$1" "$2" >"$data/backup_manifest"
}

test_base_backup() {
	local start=${start_lsn#0/} begins ends
	pod_with label "$work/base"
	printf 'START WAL LOCATION: 0/9900028 (file 000000010000000000000099)\nCHECKPOINT LOCATION: 0/9900060\n' >"$data/backup_label"
	incomplete "recovery begins in WAL file 000000010000000000000099 (by backup_label), which is not in the backup" "a backup_label without its WAL"
	echo garbage >"$data/backup_label"
	incomplete "backup_label names no WAL file" "a backup_label that is none"

	pod_with history "$work/base"
	begins=$(sed -n 's/^START WAL LOCATION.*file \([0-9A-F]*\)).*/\1/p' "$data/backup_label")
	ends=$(printf '%016X' $(((0x${stop_lsn#0/} - 1) / 1048576)))
	ends=00000001$(printf '%08X' 0)${ends#????????}
	is "its WAL spans several files" yes "$([ "$begins" != "$ends" ] && [ -n "$start" ] && echo yes)"
	rm "$data/pg_wal/$ends"
	incomplete "backup recovery needs WAL files $begins to $ends, $ends is not in the backup" "the end that the history file says"
	rm "$data"/pg_wal/*.backup
	manifest "$start_lsn" "$stop_lsn"
	incomplete "by backup_manifest recovery needs WAL files $begins to $ends, $ends is not in the backup" "the end that the manifest says"
	manifest 0/28 0/FFFFFFF
	prepare verify
	failed_with "$(code EXIT_RECOVERY_FAILED)" recovery \
		"the WAL in the backup ends before its files are consistent: FATAL: WAL ends before end of online backup" "a manifest of another backup says nothing"

	pod_with boundary "$work/base"
	manifest "$start_lsn" "0/$(printf '%X' $(((0x${stop_lsn#0/} + 1048575) / 1048576 * 1048576)))"
	rm -f "$data"/pg_wal/*.backup "$data/pg_wal/00000001$(printf '%08X%08X' 0 $((0x${ends#????????????????} + 1)))"
	prepared base_backup "an end at a file's end does not want the next file"
}

test_directories() {
	pod_with no-directories "$work/crashed"
	find "$data" -type d -empty -delete
	prepared crash_consistent "empty directories that a store has lost are made again"
	pod_with mode "$work/crashed"
	chmod 2770 "$data"
	prepared crash_consistent "a data directory that the group may write"
	is "is put right, and that is said" "700 the mode of the data directory was 2770, it is 700 now" "$(stat -c %a "$data" | tail -c 4) $(message '.notes[0]')"
}

test_damage() {
	pod_with control "$work/crashed"
	printf 'x' | dd of="$data/global/pg_control" bs=1 seek=100 conv=notrunc status=none
	incomplete "pg_control is damaged" "pg_control with a wrong checksum"
	pod_with major "$work/crashed"
	echo 14 >"$data/PG_VERSION"
	pod_path="$bin:$pod_path" prepare verify
	failed_with "$(code EXIT_WRONG_MAJOR)" capture "of PostgreSQL 14, the image has PostgreSQL 15" "an image of another major"
	prepare verify
	failed_with "$(code EXIT_WRONG_MAJOR)" capture "the image has no PostgreSQL 14" "an image without PostgreSQL"
	pod_with tablespace-map "$work/crashed"
	printf '16500 /srv/fast\n' >"$data/tablespace_map"
	incomplete "16500 (/srv/fast)" "a tablespace_map to nowhere"
}

make_captures
run_tests test_kinds test_wal_files test_base_backup test_directories test_damage
