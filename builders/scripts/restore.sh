# shellcheck shell=sh
# What the engines share: before, around and after them.
stage=restore
target=/pgdata/restore
cluster=/pgdata/pgdata
log=/tmp/engine.log
started_at=$(date +%s)

# Every pod of the Job starts from nothing: what an earlier one left may be cut off anywhere. A volume that a database was started
# from is never written.
empty_target() {
	[ ! -e /pgdata/prepared ] || fail "$EXIT_VOLUME_IN_USE" restore "a database was started from this volume, it is not written again"
	chmod -R u+rwX "$target" "$cluster" 2>/dev/null || :
	rm -rf "$target" "$cluster"
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

# The one directory that has both PG_VERSION and global/pg_control.
find_cluster() {
	find "$target" -type f -path '*/global/pg_control' >/tmp/controls
	while IFS= read -r control; do
		directory=${control%/global/pg_control}
		[ ! -f "$directory/PG_VERSION" ] || printf '%s\n' "$directory"
	done </tmp/controls >/tmp/clusters
	case $(grep -c '' /tmp/clusters) in
	0) fail "$EXIT_NO_CLUSTER" capture "the snapshot holds no directory with PG_VERSION and global/pg_control" ;;
	1) found=$(cat /tmp/clusters) ;;
	*) fail "$EXIT_NO_CLUSTER" capture \
		"the snapshot holds several PostgreSQL clusters: $(sed "s|^$target||" /tmp/clusters | sort | paste -s -d ' ' -)" ;;
	esac
}

check_wal_directory() {
	[ ! -L "$found/pg_wal" ] || fail "$EXIT_INCOMPLETE" capture \
		"pg_wal is a link to $(readlink "$found/pg_wal"), which the snapshot does not hold in its place"
	[ -d "$found/pg_wal" ] || fail "$EXIT_INCOMPLETE" capture "pg_wal is missing"
}

check_tablespaces() {
	dangling=
	for link in "$found"/pg_tblspc/*; do
		if [ -L "$link" ] && [ ! -d "$link" ]; then
			dangling="$dangling ${link##*/} ($(readlink "$link"))"
		fi
	done
	[ -z "$dangling" ] || fail "$EXIT_INCOMPLETE" capture "tablespaces that the snapshot does not hold:$dangling"
}

# The rename comes last, so that a cut-off restore can never be started.
finish() { # ENGINE_VERSION
	stage=capture
	find_cluster
	check_wal_directory
	check_tablespaces
	major=$(cat "$found/PG_VERSION")
	totals=$(find "$found" -type f -exec ls -ln {} + | awk '{ bytes += $5 } END { printf "\"bytes\":%.0f,\"files\":%d", bytes, NR }')
	chmod u+rwx "${found%/*}"
	chmod 0700 "$found"
	mv "$found" "$cluster"
	printf '{"postgres_version":"%s",%s,"engine":"%s","seconds":%d}\n' "$(json_text "$major")" "$totals" "$(json_text "$1")" \
		$(($(date +%s) - started_at)) >/dev/termination-log
}
