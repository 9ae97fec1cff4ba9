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
	for pattern in \
		'could not locate (a valid|required) checkpoint record|WAL ends before|references to invalid pages' \
		'requested timeline .* is not a child|database files are incompatible|PANIC: ' 'FATAL: ' '.'; do
		line=$(grep -m 1 -E "$pattern" "$server_log") || continue
		printf '%s' "$line" | sed 's/^.* \(PANIC\|FATAL\|ERROR\|LOG\|WARNING\):  /\1: /'
		return
	done
}

start_server() {
	follow "$server_log"
	exec 3>"$server_log.pipe"
	trap 'stop_server; exit 143' TERM INT
	pg_ctl -D "$pgdata" -s -w -t 1000000 -l "$server_log.pipe" -o "-c config_file=$run/postgresql.conf" start >&3 2>&1 3>&- &
	start_status=0
	wait "$!" || start_status=$?
	[ "$start_status" -ne 0 ] || return 0
	exec 3>&-
	wait "$follower"
	fail "$EXIT_RECOVERY_FAILED" recovery "$(fatal_line)"
}
