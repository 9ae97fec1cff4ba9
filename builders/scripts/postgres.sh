# shellcheck shell=sh
# The server, on the pod's own address and on the local socket, with the configuration that prepare wrote. From elsewhere: a password,
# and with TLS_DIR over TLS alone. It is never one that came with the backup, but with PASSWORDS=source: such may be hashed with MD5, and
# `md5` takes those of SCRAM too.
find_server
[ -f "$run/postgresql.conf" ] || fail "$EXIT_INCOMPLETE" start "$run/postgresql.conf is missing: prepare has not run"

# What a flavour of the server connects to itself by, within the pod, has lines of its own; they come first, since the first counts.
within="${HBA_LOCAL:+$HBA_LOCAL
}"
set -- -D "$pgdata" -c config_file="$run/postgresql.conf" -c listen_addresses="$POD_IP${HBA_LOCAL:+,localhost}"
method=scram-sha-256
[ "${PASSWORDS:-}" != source ] || method=md5
if [ -z "${TLS_DIR:-}" ]; then
	write_hba "${within}host all all all $method"
else
	write_hba "${within}hostssl all all all $method"
	shown=$(cat "$TLS_DIR/tls.crt")
	set -- "$@" -c ssl=on -c ssl_cert_file="$TLS_DIR/tls.crt" -c ssl_key_file="$TLS_DIR/tls.key" -c ssl_min_protocol_version=TLSv1.2
fi

# The kubelet changes certificate and key in one step; a reload has PostgreSQL read both, and leaves sessions as they are. What it
# cannot use it says in the log, and goes on with what it has.
follow_certificate() {
	while sleep 5; do
		there=$(cat "$TLS_DIR/tls.crt") || continue
		[ "$there" != "$shown" ] || continue
		shown=$there
		kill -HUP "$server" || return 0
	done
}

# A pod is stopped with SIGTERM, which PostgreSQL takes as "wait until everybody has gone". SIGINT is its fast shutdown. As a child of
# the shell it has it whatever stop signal the image names.
forget_killed_server
postgres "$@" &
server=$!
trap 'kill -INT "$server" 2>/dev/null' TERM INT
if [ -n "${TLS_DIR:-}" ]; then
	follow_certificate &
	follower=$!
fi
server_status=0
wait_for "$server" || server_status=$?
[ -z "${follower:-}" ] || kill "$follower" 2>/dev/null || :
exit "$server_status"
