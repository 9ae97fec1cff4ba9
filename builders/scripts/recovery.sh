# shellcheck shell=sh
# Start on the local socket, as long as recovery takes: the Deployment's deadline is the only clock.
server_log=/tmp/server.log

stop_server() {
	pg_ctl -D "$pgdata" -s -m fast -w -t 1000000 stop >&2
	exec 3>&-
	wait "$follower"
}

# The reason of a start that failed, verbatim: first the classes of message that a backup is to blame for, then what stopped the
# server, then the last word. "invalid record length" and "unexpected pageaddr" are not among them: so does every log's end look.
fatal_line() {
	grep -v 'FATAL:  the database system is' "$server_log" >/tmp/server.said || :
	for pattern in \
		'could not locate (a valid|required) checkpoint record|WAL ends before|references to invalid pages' \
		'requested timeline .* is not a child|database files are incompatible|PANIC: ' 'FATAL: ' '.'; do
		line=$(grep -m 1 -E "$pattern" /tmp/server.said) || continue
		printf '%s' "$line" | sed 's/^.* \(PANIC\|FATAL\|ERROR\|LOG\|WARNING\):  /\1: /'
		return
	done
}

start_failed() {
	exec 3>&-
	wait "$follower"
	fail "$EXIT_RECOVERY_FAILED" recovery "$(fatal_line)"
}

# Without hot standby pg_ctl takes a server that has begun to recover for one that has started (postmaster.c, PMSIGNAL_RECOVERY_STARTED),
# so its word is not the end of the wait.
start_server() {
	follow "$server_log"
	exec 3>"$server_log.pipe"
	trap 'stop_server; exit 143' TERM INT
	pg_ctl -D "$pgdata" -s -w -t 1000000 -l "$server_log.pipe" -o "-c config_file=$run/postgresql.conf" start >&3 2>&1 3>&- &
	start_status=0
	wait "$!" || start_status=$?
	[ "$start_status" -eq 0 ] || start_failed
	until pg_isready -q -h "$run" -p 5432 -U postgres; do
		pg_ctl -D "$pgdata" status >/dev/null 2>&1 || start_failed
		sleep 0.2
	done
}
