# shellcheck shell=sh
# What the scripts of all pods share. They run with /bin/sh -c in images of other people (dash, busybox ash): POSIX sh and the usual
# small tools, nothing more. Root is read-only; /tmp, /pgdata and, with the database, /run/understory can be written.
set -eu
umask 077
LC_ALL=C
export LC_ALL

# The text as the inside of a JSON string: one line, ASCII, at most 1000 characters (a termination message holds 4096 bytes).
json_text() { # TEXT
	printf '%s' "$1" | tr '\001-\037\177' ' ' | tr '\200-\377' '?' | cut -c 1-1000 | sed 's/["\\]/\\&/g'
}

# A command that prints what else is known when a script fails, as further members of the message.
more=:

# End with one line of JSON that says why: the operator reads it from the pod's status.
fail() { # EXIT_CODE STAGE TEXT
	printf '{"error":"%s","stage":"%s"%s}\n' "$(json_text "$3")" "$2" "$($more)" >/dev/termination-log
	printf '%s: %s\n' "$2" "$3" >&2
	exit "$1"
}

# The exit status of a child. A trapped signal ends wait early, with the child still there.
wait_for() { # PID
	while :; do
		wait_status=0
		wait "$1" || wait_status=$?
		kill -0 "$1" 2>/dev/null || return "$wait_status"
	done
}
