# shellcheck shell=sh
# The way to S3. With PGRO_PORT_FILE it leads through the proxy in this pod, and nowhere else: the file appears in one step and
# holds HOST:PORT. With PGRO_DONE_FILE the proxy ends when that file is there, which it is whatever came of the restore; with
# PGRO_ENGINE_PIPE also when the last process of this container is gone, since all of them hold that pipe open.
end_with_proxy() {
	unexpected_end
	touch "$PGRO_DONE_FILE" || :
}
[ -z "${PGRO_DONE_FILE:-}" ] || trap end_with_proxy EXIT

await_proxy() {
	awaited_since=$(date +%s)
	until [ -s "$PGRO_PORT_FILE" ]; do
		[ $(($(date +%s) - awaited_since)) -lt 60 ] || fail 1 proxy \
			"the credential proxy of this pod did not start within 60 s, nothing was restored: the cluster is to blame, not the backup"
		sleep 0.2 2>/dev/null || sleep 1
	done
	S3_ENDPOINT=http://$(cat "$PGRO_PORT_FILE")
}

# <> does not wait for a reader, and "command" keeps the shell alive where the pipe cannot be opened.
hold_pipe() {
	command exec 9<>"$PGRO_ENGINE_PIPE" || :
}
[ -z "${PGRO_PORT_FILE:-}" ] || await_proxy
[ -z "${PGRO_ENGINE_PIPE:-}" ] || hold_pipe
