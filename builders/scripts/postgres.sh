# shellcheck shell=sh
# The server, on the pod's own address and on the local socket, with the configuration that prepare wrote.
find_server
[ -f "$run/postgresql.conf" ] || fail "$EXIT_INCOMPLETE" start "$run/postgresql.conf is missing: prepare has not run"

# A pod is stopped with SIGTERM, which PostgreSQL takes as "wait until everybody has gone". SIGINT is its fast shutdown. As a child of
# the shell it has it whatever stop signal the image names.
postgres -D "$pgdata" -c config_file="$run/postgresql.conf" -c listen_addresses="$POD_IP" &
server=$!
trap 'kill -INT "$server" 2>/dev/null' TERM INT
wait_for "$server"
