# shellcheck shell=sh
# Where the database is and with what it runs.
pgdata=/pgdata/pgdata
run=/run/understory

# Debian's images, and Debian, keep each major's programs in a directory of its own.
find_programs() {
	[ ! -x "/usr/lib/postgresql/$major/bin/postgres" ] || PATH="/usr/lib/postgresql/$major/bin:$PATH"
	export PATH
}

find_server() {
	[ -f "$pgdata/PG_VERSION" ] || fail "$EXIT_NODE_FAILED" capture "there is no restored database at $pgdata, where one was put: the \
volume or the node is to blame, not the backup"
	major=$(cat "$pgdata/PG_VERSION")
	find_programs
}

# A server that was killed leaves its pid. In the next container that is soon the pid of something else, which PostgreSQL takes for a
# server that lives. None does: containers of a pod come one after the other, and the Deployment never runs two pods.
forget_killed_server() {
	rm -f "$pgdata/postmaster.pid" "$run"/.s.PGSQL.*
}
