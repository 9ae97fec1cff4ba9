# shellcheck shell=sh
# Start on the local socket, as long as recovery takes: it is watched by its movement and not by a clock.
server_log=/tmp/server.log

stop_server() {
	kill -INT "$server" 2>/dev/null || :
	wait_for "$server" || :
	exec 3>&-
	wait "$follower"
}

# A child that has ended stays a zombie until it is waited for.
is_running() { # PID
	[ -d "/proc/$1" ] && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null
}

# Asking the server itself would fill its log.
is_ready() {
	grep -q 'LOG:  database system is ready to accept connections' "$server_log"
}

# What changes while the server gets on: its words; which WAL file it replays (the title of its process), how much has been read and
# written, which files are open, of the processes that recover. Of those that load ($moving, a pattern of titles) also the time they have
# computed: an index of a large table is sorted for long.
movement() {
	wc -c <"$server_log"
	grep -ls "${moving:-^postgres: \(startup\|checkpointer\)}" /proc/[0-9]*/cmdline | while IFS= read -r title; do
		cat "$title" "${title%/*}/io"
		[ -z "${moving:-}" ] || cut -d ' ' -f 14-15 "${title%/*}/stat"
		stat -c %N "${title%/*}/fd"/*
	done 2>/dev/null
}

watch_movement() {
	now=$(date +%s)
	seen=$(movement | cksum)
	if [ "$seen" != "${moved:-}" ]; then
		moved=$seen
		moved_at=$now
	elif [ $((now - moved_at)) -ge "${RECOVERY_STALL_SECONDS:-900}" ]; then
		at=$(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\000' '\n' | sed -n 's/^postgres: startup.* \([0-9A-F]\{24\}\).*/ at WAL file \1/p')
		standing=${moving:+load}
		standing=${standing:-recovery}
		fail "$EXIT_RECOVERY_STALLED" "$standing" "$standing stands still$at: nothing has moved for $((now - moved_at)) s; the volume or \
the node is to blame, not the backup"
	fi
}

# PostgreSQL wants a restore_command with recovery.signal; all WAL that there is, is in pg_wal.
start_server() { # [OPTION]...
	forget_killed_server
	follow "$server_log"
	exec 3>"$server_log.pipe"
	trap 'stop_server; exit 143' TERM INT
	set -- -D "$pgdata" -c config_file="$run/postgresql.conf" -c autovacuum=off "$@"
	[ ! -e "$pgdata/recovery.signal" ] || set -- "$@" -c restore_command=false
	postgres "$@" >&3 2>&1 3>&- &
	server=$!
	pause=0.2
	until is_ready; do
		is_running "$server" || start_failed
		watch_movement
		[ "$moved_at" = "$now" ] || pause=1
		sleep "$pause"
	done
}

# pg_control says how far recovery must come, but PostgreSQL looks at it only when archive recovery is asked for: a standby's files, or
# a recovery from a base backup that was cut off here. Without it such a cluster would come up before it is consistent. And with a
# backup_label it would stay on the timeline of the backup, whatever WAL of later ones is there.
ask_for_archive_recovery() {
	[ "$major" -ge 12 ] || return 0
	if [ -f "$pgdata/backup_label" ]; then
		later=$(find "$pgdata/pg_wal" -name '????????.history' | sed 's|.*/||' | sort | tail -n 1)
		[ -z "$later" ] || [ $((0x${later%.history})) -le $((0x$timeline)) ] || echo understory >"$pgdata/recovery.signal"
		return 0
	fi
	case "$(control "Minimum recovery ending location") $(control "Backup start location")" in
	"0/0 0/0") ;;
	*) echo understory >"$pgdata/recovery.signal" ;;
	esac
}

# --- a start that failed ---

# The line that says it, without its time, and the detail after it (which file it was): what is final before what is not. "invalid record
# length" and "unexpected pageaddr" are not looked for: so does every log's end look.
said() { # PATTERN
	grep -v 'FATAL:  the database system is' "$server_log" | grep -E -A 1 "$1" | head -n 2 |
		sed 's/^.* \(PANIC\|FATAL\|ERROR\|LOG\|WARNING\|DETAIL\):  /\1: /' |
		awk 'NR == 1 { text = $0 } NR == 2 && sub(/^DETAIL: /, "") { text = text ": " $0 } END { print text }'
}

# Rows: exit code, whether a reset of the WAL may help, extended regular expression (; for |), what it means. The first that the log
# has decides.
start_failed() {
	server_status=0
	wait "$server" || server_status=$?
	# Not waited for: processes that such a server has left behind.
	[ "$server_status" -lt 128 ] || [ "$server_status" = 134 ] || fail "$EXIT_NODE_FAILED" recovery \
		"the server was killed (status $server_status): the node is to blame, not the backup"
	exec 3>&-
	wait "$follower"
	while IFS='|' read -r code may_help pattern meaning; do
		words=$(said "$(printf '%s' "$pattern" | tr ';' '|')")
		[ -n "$words" ] || continue
		[ "$may_help" = no ] || ! may_reset_wal || { reset_wal "$meaning: $words" && start_server && return; }
		fail "$code" recovery "$meaning: $words"
	done <<-ROWS
	$EXIT_VOLUME_FULL|no|(PANIC;FATAL;ERROR): .*(No space left on device;Disk quota exceeded)|the volume is full
	$EXIT_NODE_FAILED|no|process .*terminated by signal (7;9;10;15):|a process of the server was killed, the node is to blame and not the backup
	$EXIT_NODE_FAILED|no|(PANIC;FATAL): .*(out of memory;Cannot allocate memory;shared memory;Input/output error;Too many open files;Stale file handle;Read-only file system;Permission denied;wrong ownership)|the node or the volume is to blame and not the backup
	$EXIT_WRONG_MAJOR|no|FATAL: .*(could not access file;could not load library)|the image lacks a library of its flavour, the image is to blame and not the backup
	$EXIT_WRONG_MAJOR|no|database files are incompatible with server|the image has another build of PostgreSQL than the database was made with
	$EXIT_RECOVERY_FAILED|yes|could not locate (a valid;required) checkpoint record;invalid redo (in;record);could not find redo location|the checkpoint that recovery begins from cannot be read
	$EXIT_RECOVERY_FAILED|yes|WAL ends before|the WAL in the backup ends before its files are consistent
	$EXIT_RECOVERY_FAILED|yes|WAL contains references to invalid pages|WAL and data files do not belong together
	$EXIT_RECOVERY_FAILED|yes|requested timeline .*(is not a child;does not contain)|the WAL is of another timeline
	$EXIT_RECOVERY_FAILED|yes|PANIC: |recovery failed
	$EXIT_RECOVERY_FAILED|no|FATAL: |the server does not start
	$EXIT_RECOVERY_FAILED|yes|startup process .*terminated by signal|recovery crashes the server
	ROWS
	fail "$EXIT_RECOVERY_FAILED" recovery "the server ended with status $server_status: $(tail -n 1 "$server_log")"
}

# --- the last resort, where the settings of the intent allow it ---

may_reset_wal() {
	[ "${ALLOW_RESET_WAL:-}" = true ] && [ "${INTENT:-verify}" != verify ] && ! grep -q '^"salvaged":' /pgdata/facts
}

reset_wal() { # WHY
	why="the WAL was thrown away: what was committed after the checkpoint of $(checkpoint_at) may be lost, and tables and indexes may disagree ($1)"
	fact salvaged "\"$(json_text "$(printf '%s' "$why" | cut -c 1-400)")\""
	for name in backup_label tablespace_map recovery.signal postmaster.pid; do
		[ ! -e "$pgdata/$name" ] || mv -f "$pgdata/$name" "/pgdata/$name.restored"
	done
	pg_resetwal -f -D "$pgdata" >/tmp/reset.log 2>&1 || fail "$EXIT_RECOVERY_FAILED" recovery \
		"pg_resetwal failed: $(head -n 1 /tmp/reset.log) ($1)"
	cat /tmp/reset.log >&2
	pg_controldata "$pgdata" >/tmp/control
}

# --- what the first recovery showed ---

# PostgreSQL takes a record that it cannot read for the end of the log, and comes up without what follows. A crash tears the last page
# at most, and of the files before the last two all was on disk (a file is synced when it is full). What is found is kept: the next
# start would not see it.
check_end_of_wal() { # LSN_OF_LAST_RECORD
	[ "${written:-0}" -gt 0 ] || return 0
	words=$(said '(incorrect resource manager data checksum|invalid resource manager ID|incorrect prev-link|invalid record length at .*got [1-9])')
	bad=$(printf '%s' "$words" | sed -n 's|.* at \([0-9A-F]*/[0-9A-F]*\).*|\1|p')
	if [ -n "$bad" ] && [ $(($(number_of_lsn "$bad") + 16384)) -le "$written" ] ||
		[ $(($(number_of_lsn "$1") / segment_bytes + 1)) -lt $((written / segment_bytes)) ]; then
		printf 'the WAL cannot be read from %s on, but it goes on to %X/%X: %s\n' "${bad:-$1}" $((written / 0x100000000)) \
			$((written % 0x100000000)) "${words:-$(said 'invalid record length|unexpected pageaddr|invalid magic number|LOG:  record')}" >/pgdata/damaged
		fail "$EXIT_RECOVERY_FAILED" recovery "$(cat /pgdata/damaged)"
	fi
}

# The server logs in UTC: 2026-11-20 16:20:00.123456+00.
recovered() {
	lsn=$(sed -n 's|.*redo done at \([0-9A-F/]*\).*|\1|p' "$server_log" | tail -n 1)
	[ "$capture" = dump ] || fact recovered_to "\"${lsn:-$(control "Latest checkpoint location")}\""
	check_end_of_wal "${lsn:-$(control "Latest checkpoint location")}"
	at=$(sed -n 's/.*last completed transaction was at log time \([0-9-]*\) \([0-9:.]*\).*/\1T\2Z/p' "$server_log" | tail -n 1)
	[ -z "$at" ] || fact last_commit_at "\"$at\""
	fact recovery_seconds "$(($(date +%s) - started_at))"
}
