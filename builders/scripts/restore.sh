# shellcheck shell=sh
# What the engines share: before, around and after them.
stage=restore
target=/pgdata/restore
cluster=/pgdata/pgdata
log=/tmp/engine.log
started_at=$(date +%s)

# Which backup it is, where an engine has found out and set $backup: the operator pins it, so it is said as it is or not at all.
say_backup() {
	[ -z "${backup:-}" ] || [ "$(json_text "$backup")" != "$backup" ] || printf ',"backup":"%s"' "$backup"
}
more=say_backup

# Every pod of the Job starts from nothing: what an earlier one left may be cut off anywhere. A volume that a database was started
# from is never written.
empty_target() {
	[ ! -e /pgdata/prepared ] || fail "$EXIT_VOLUME_IN_USE" restore "a database was started from this volume, it is not written again"
	chmod -R u+rwX "$target" "$cluster" "$tablespaces" 2>/dev/null || :
	rm -rf "$target" "$cluster" "$tablespaces" /pgdata/fetched /pgdata/facts /pgdata/notes /pgdata/damaged
	mkdir "$target"
}

# As PID 1 the shell has no default action for signals: pass them on.
run_engine() { # COMMAND...
	follow "$log"
	"$@" >"$log.pipe" 2>&1 &
	engine=$!
	trap 'kill -TERM "$engine" 2>/dev/null' TERM INT
	engine_status=0
	wait_for "$engine" || engine_status=$?
	trap - TERM INT
	wait "$follower"
	return "$engine_status"
}

# Say why the engine failed. Rows on stdin: exit code and an extended regular expression; the first one that the log has decides.
# Without any the failure may pass, and the Job tries again.
explain() {
	while read -r code pattern; do
		line=$(grep -iE -- "$pattern" "$log" | tail -n 1) || :
		[ -n "$line" ] || continue
		[ "$code" != "$EXIT_VOLUME_FULL" ] || line="volume full: $line"
		fail "$code" restore "$line"
	done
	line=$(grep -iE 'fatal|error' "$log" | tail -n 1) || :
	[ -n "$line" ] || line=$(grep . "$log" | tail -n 1) || :
	fail 1 restore "${line:-the engine ended without a word}"
}

# The rename comes last, so that a cut-off restore can never be started.
finish() { # ENGINE_VERSION
	stage=capture
	chmod -R u+rwX "$target"
	find_cluster
	find_layout
	mend_line_ends
	settle_wal
	settle_tablespaces
	mkdir -p "$tablespaces"
	totals=$(find "$found" "$tablespaces" -type f -exec ls -ln {} + |
		awk '{ bytes += $5 } END { printf "\"bytes\":%.0f,\"files\":%d", bytes, NR }')
	chmod 0700 "$found"
	rmdir "$tablespaces" 2>/dev/null || :
	mv "$found" "$cluster"
	printf '{"postgres_version":"%s","layout":"%s",%s,"engine":"%s","seconds":%d%s}\n' "$major" "$layout" "$totals" "$(json_text "$1")" \
		$(($(date +%s) - started_at)) "$($more)" >/dev/termination-log
}
