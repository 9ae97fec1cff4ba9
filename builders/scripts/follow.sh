# shellcheck shell=sh
# Show what is written to a pipe in the pod's log as it comes, and keep it in a file for what is said about a failure.
follow() { # FILE
	rm -f "$1" "$1.pipe"
	mkfifo "$1.pipe"
	tee "$1" <"$1.pipe" >&2 &
	follower=$!
}
