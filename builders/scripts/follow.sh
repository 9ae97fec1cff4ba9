# shellcheck shell=sh
# Show what is written to a pipe in the pod's log as it comes, and keep it in a file for what is said about a failure. $shown_by is a
# command that it goes through first, where it may hold what nobody is to see.
follow() { # FILE
	rm -f "$1" "$1.pipe"
	mkfifo "$1.pipe"
	"${shown_by:-cat}" <"$1.pipe" | tee "$1" >&2 &
	follower=$!
}
