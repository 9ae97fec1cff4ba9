#!/bin/bash
# Recovery, as prepare watches it: how far it came, why it did not, and what is done where the WAL is lost. TAP on stdout.
# usage: test_script_recovery.sh DIRECTORY_OF_SHIPPED_SCRIPTS
scripts=$1
# shellcheck source=tests/builders/script_lib.sh
. "$(dirname "$0")/script_lib.sh"

# $work/crashed: a crash with a good deal of WAL since its checkpoint. $work/base: a base backup with all its WAL. $work/standby: a standby
# that was stopped in its tracks, with a restartpoint behind it and a point that it must come to again.
make_captures() {
	local standby=$work/standby
	new_cluster "$work/crashed"
	source_start "$work/crashed" -c max_wal_size=1GB
	as_postgres $bin/pg_basebackup -h "$work/socket" -U postgres -D "$standby" -X stream -c fast -R
	install -d -o postgres "$work/standby-socket"
	as_postgres $bin/pg_ctl -D "$standby" -s -w -l "$work/standby-socket/log" -o "-c listen_addresses='' -k $work/standby-socket -c fsync=off" start
	source_sql postgres <<-SQL >/dev/null
	CHECKPOINT;
	CREATE TABLE fact AS SELECT i, repeat('x', 500) AS text FROM generate_series(1, 20000) i;
	SQL
	replayed=$(echo 'SELECT pg_current_wal_insert_lsn()' | source_sql postgres)
	until [ "$(echo "SELECT pg_last_wal_replay_lsn() >= '$replayed'" | standby_sql)" = t ]; do sleep 0.05; done
	echo 'CHECKPOINT' | standby_sql
	source_sql postgres <<-SQL >/dev/null
	INSERT INTO fact SELECT i, repeat('y', 500) FROM generate_series(1, 5000) i;
	SQL
	replayed=$(echo 'SELECT pg_current_wal_insert_lsn()' | source_sql postgres)
	until [ "$(echo "SELECT pg_last_wal_replay_lsn() >= '$replayed'" | standby_sql)" = t ]; do sleep 0.05; done
	echo 'CHECKPOINT' | standby_sql
	as_postgres $bin/pg_ctl -D "$standby" -s -m immediate stop
	source_sql postgres <<-SQL >/dev/null
	SELECT pg_backup_start('b', true);
	\\! cp -a $work/crashed $work/base
	INSERT INTO fact SELECT i, repeat('z', 500) FROM generate_series(1, 20000) i;
	\\o $work/socket/stopped
	SELECT labelfile FROM pg_backup_stop();
	SQL
	cp "$work/socket/stopped" "$work/base/backup_label"
	source_stop "$work/crashed" immediate
	cp -a "$work/crashed/pg_wal/." "$work/base/pg_wal"
	rm -f "$work/base/postmaster.pid"
}

standby_sql() { as_postgres $bin/psql -X -q -A -t -h "$work/standby-socket" -U postgres -d postgres -f -; }

# The process of the pod that has this title; waits for it.
process_of_pod() { # TITLE
	local deadline=$((SECONDS + 60)) pid
	while [ $SECONDS -lt $deadline ] && kill -0 "$begun" 2>/dev/null; do
		for pid in $(pgrep -f "^postgres: $1"); do
			if [ "$(readlink "/proc/$pid/ns/pid")" = "$(readlink "/proc/$(pgrep -P "$begun")/ns/pid")" ]; then
				echo "$pid"
				return
			fi
		done
	done
	return 1
}

begin_prepare() { # [VARIABLE]...
	begin prepare < <(printf '%s\n' INTENT=verify POSTGRES_PASSWORD=hidden-superuser "$@")
}

ended() {
	wait "$begun"
	status=$?
}

rows() {
	new_address
	start_server "$address"
	query postgres hidden-superuser postgres 'SELECT count(*) FROM fact'
	stop
}

test_how_far() {
	pod_with crashed "$work/crashed"
	prepare verify
	is "a crash is recovered" "0 crash_consistent" "$status $(message .capture)"
	is "to where its log ends" "$(sed -n 's/.*redo done at \([0-9A-F/]*\).*/\1/p' "$pod.log" | head -n 1)" "$(message .recovered_to)"
	prepare verify
	is "a pod that is made again says the same" "$(message .recovered_to)" \
		"$(sed -n 's/.*redo done at \([0-9A-F/]*\).*/\1/p' "$pod.log" | head -n 1)"
	is "all rows are there" 45000 "$(rows)"
}

test_standby() {
	pod_with standby "$work/standby"
	is "a standby has a point to come to" no "$([ "$(control_of "$data" "Minimum recovery ending location")" = 0/0 ] && echo yes || echo no)"
	prepare verify
	is "a standby's files come up" "0 standby.signal" "$status $(message '.disarmed[] | select(startswith("standby"))')"
	is "the last commit is said as the log has it" "$(sed -n 's/.*log time \([0-9-]*\) \([0-9:.]*\)+00/\1T\2Z/p' "$pod.log" | head -n 1)" \
		"$(message .last_commit_at)"
	is "with what the standby had" 25000 "$(rows)"
	prepare verify
	is "a signal of ours is no finding" "0 " "$status $(message '.disarmed[] | select(startswith("recovery.signal"))')"

	pod_with torn-standby "$work/standby"
	local file
	file=$data/pg_wal/$(control_of "$data" "Latest checkpoint's REDO WAL file")
	for file in "$data"/pg_wal/0*; do
		[ "${file##*/}" \> "$(control_of "$data" "Latest checkpoint's REDO WAL file")" ] || continue
		head -c 1048576 /dev/zero >"$file"
	done
	prepare verify
	failed_with "$(code EXIT_RECOVERY_FAILED)" recovery \
		"the WAL in the backup ends before its files are consistent: FATAL: WAL ends before consistent recovery point" \
		"a standby whose WAL does not come to that point is not served"
}

# The base backup with a WAL file that nobody ever finishes writing: whoever reads it hangs.
hanging_pod() { # LABEL
	pod_with "$1" "$work/base"
	hanging=$(find "$data/pg_wal" -maxdepth 1 -name '0000000100000000000000*' ! -name '*.backup' | sort | sed -n "/$hangs_after/,\$p" | sed -n 3p)
	rm "$hanging"
	mkfifo "$hanging"
	chown 999:999 "$hanging"
}

test_stall() {
	hangs_after=$(sed -n 's/^START WAL LOCATION.*file \([0-9A-F]*\)).*/\1/p' "$work/base/backup_label")
	hanging_pod stalled
	begin_prepare RECOVERY_STALL_SECONDS=2
	ended
	failed_with "$(code EXIT_RECOVERY_STALLED)" recovery "recovery stands still at WAL file 0000000100000000000000" "no movement ends recovery"
	is "a recovery from a base backup that was cut off has no label any more" "no" "$([ -e "$data/backup_label" ] && echo yes || echo no)"
	rm "$hanging"
	cp -p "$work/base/pg_wal/${hanging##*/}" "$hanging"
	chown 999:999 "$hanging"
	prepare verify
	is "and goes on in the next pod" "0 base_backup" "$status $(message .capture)"
	is "to its end" 45000 "$(rows)"

	# It takes its time, and one shell is enough.
	[ "$flavour" = busybox ] || return 0
	pod_with moving "$work/crashed"
	said_by_server 'FATAL:  in the end' 'for i in 1 2 3 4 5 6; do echo "LOG:  redo in progress $i"; sleep 1; done'
	prepare verify RECOVERY_STALL_SECONDS=3
	failed_with "$(code EXIT_RECOVERY_FAILED)" recovery "FATAL: in the end" "what moves, however slowly, is waited for"
}

# Where the record after that one begins to be wrong.
flip() { # WAL_FILE OFFSET
	printf '\377\377\377\377' | dd of="$data/pg_wal/$1" bs=1 seek="$2" conv=notrunc status=none
}

test_damaged_wal() {
	local first third
	first=$(control_of "$work/crashed" "Latest checkpoint's REDO WAL file")
	third=${first%????????}$(printf '%08X' $((0x${first#????????????????} + 2)))
	pod_with damaged-record "$work/crashed"
	flip "$third" 500000
	prepare verify
	failed_with "$(code EXIT_RECOVERY_FAILED)" recovery "but it goes on to" "a record in the middle of the WAL that cannot be read"
	prepare verify
	failed_with "$(code EXIT_RECOVERY_FAILED)" recovery "but it goes on to" "is not forgotten by the next pod"
	pod_with zeroed-page "$work/crashed"
	dd if=/dev/zero of="$data/pg_wal/$third" bs=8192 seek=40 count=1 conv=notrunc status=none
	prepare verify
	failed_with "$(code EXIT_RECOVERY_FAILED)" recovery "but it goes on to" "a page of zeros in the middle of the WAL"
	pod_with last-page "$work/fresh"
	flip "$(control_of "$work/fresh" "Latest checkpoint's REDO WAL file")" "$(($(last_record) % 1048576 + 10))"
	prepare verify
	is "a last record that is torn is a crash like any other" 0 "$status"
}

# Of $work/fresh, as its own recovery says it.
last_record() {
	[ -s "$work/last_record" ] || {
		cp -a --reflink=auto "$work/fresh" "$work/fresh-copy"
		as_postgres $bin/pg_ctl -D "$work/fresh-copy" -s -w -l "$work/socket/fresh" -o "-c listen_addresses='' -k $work/socket" start
		source_stop "$work/fresh-copy" fast
		sed -n 's|.*redo done at 0/\([0-9A-F]*\).*|0x\1|p' "$work/socket/fresh" >"$work/last_record"
	}
	echo $(($(cat "$work/last_record")))
}

test_killed() {
	hanging_pod killed
	begin_prepare
	kill -KILL "$(process_of_pod 'startup waiting for 0')"
	ended
	failed_with "$(code EXIT_NODE_FAILED)" recovery "terminated by signal 9" "a process that is killed is not the backup's fault"
	hanging_pod all-killed
	begin_prepare
	kill -KILL "$(ps -o ppid= -p "$(process_of_pod 'startup waiting for 0')" | tr -d ' ')"
	ended
	failed_with "$(code EXIT_NODE_FAILED)" recovery "the server was killed (status 137)" "nor is a server that is killed"
}

zero_wal() {
	for segment in "$data"/pg_wal/0*; do
		head -c 1048576 /dev/zero >"$segment"
	done
}

test_words() {
	pod_with torn "$work/crashed"
	zero_wal
	prepare verify
	failed_with "$(code EXIT_RECOVERY_FAILED)" recovery \
		"the checkpoint that recovery begins from cannot be read: PANIC: could not locate a valid checkpoint record" "WAL of zeros"
	pod_with no-file "$work/crashed"
	rm "$data/global/pg_filenode.map"
	prepare verify
	failed_with "$(code EXIT_RECOVERY_FAILED)" recovery \
		'the database has come up and is damaged: FATAL: could not open file "global/pg_filenode.map"' "a file without which nothing can be asked"
	pod_with full "$work/crashed"
	said_by_server 'PANIC:  could not write to file "pg_wal/xlogtemp.9": No space left on device'
	prepare verify
	failed_with "$(code EXIT_VOLUME_FULL)" recovery "the volume is full: PANIC: could not write" "a volume that is full"
	said_by_server 'FATAL:  could not map anonymous shared memory: Cannot allocate memory'
	prepare verify
	failed_with "$(code EXIT_NODE_FAILED)" recovery "not the backup: FATAL: could not map" "a node without memory"
	said_by_server 'FATAL:  database files are incompatible with server'
	prepare verify
	failed_with "$(code EXIT_WRONG_MAJOR)" recovery "another build of PostgreSQL" "an image of another build"
	said_by_server 'LOG:  startup process (PID 7) was terminated by signal 11: Segmentation fault'
	prepare verify
	failed_with "$(code EXIT_RECOVERY_FAILED)" recovery "recovery crashes the server" "recovery that crashes"
	said_by_server 'FATAL:  the database system is starting up'
	prepare verify
	failed_with "$(code EXIT_RECOVERY_FAILED)" recovery "ended with status 1" "no word at all"
}

# A double of postgres that does something, says one line and ends.
said_by_server() { # LINE [COMMAND]
	cat >"$pod/postgres" <<-DOUBLE
	#!/bin/sh
	[ "\$1" != --version ] || { echo "postgres (PostgreSQL) 15.1"; exit; }
	${2:-:}
	echo '2026-11-20 16:00:00.000 UTC [7] $1'
	exit 1
	DOUBLE
	chmod 755 "$pod/postgres"
}

test_reset() {
	pod_with reset "$work/crashed"
	rm "$data"/pg_wal/0*
	prepare verify ALLOW_RESET_WAL=true
	failed_with "$(code EXIT_INCOMPLETE)" capture "is not in the backup" "verify never resets the WAL"
	prepare analytics
	failed_with "$(code EXIT_INCOMPLETE)" capture "is not in the backup" "nobody does unless it is allowed"
	prepare analytics ALLOW_RESET_WAL=true
	is "without WAL it is reset where that is allowed" 0 "$status"
	message .salvaged | grep -q "^the WAL was thrown away: what was committed after the checkpoint of $(message .checkpoint_at) may be lost.*not in the backup"
	verdict $? "and said: what was lost, and why"
	prepare analytics
	message .salvaged | grep -q "^the WAL was thrown away"
	verdict $? "also by the next pod"

	pod_with reset-torn "$work/base"
	rm -f "$data/pg_wal"/*.backup
	zero_wal
	prepare analytics ALLOW_RESET_WAL=true
	is "WAL that cannot be read is reset where that is allowed" "0 base_backup" "$status $(message .capture)"
	message .salvaged | grep -q 'could not locate required checkpoint record'
	verdict $? "with the server's words"
	new_address
	start_server "$address"
	is "and what is there is served" f "$(query postgres hidden-superuser postgres 'SELECT pg_is_in_recovery()')"
	stop
}

# $work/fresh: a crash with a few records since its checkpoint.
make_fresh() {
	new_cluster "$work/fresh"
	source_start "$work/fresh"
	printf 'CHECKPOINT;\nCREATE TABLE a (i int);\nINSERT INTO a SELECT generate_series(1, 500);\nINSERT INTO a VALUES (1);\n' | source_sql postgres
	source_stop "$work/fresh" immediate
}

make_captures
make_fresh
run_tests test_how_far test_standby test_stall test_damaged_wal test_killed test_words test_reset
