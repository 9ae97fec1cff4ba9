#!/bin/bash
# The server of a restored database from other hosts, for real: PostgreSQL 15 as uid 999 in a read-only root, with a certificate as the
# kubelet mounts it: owned by root, for the group to read, changed in one step. TAP on stdout.
# usage: test_tls.sh DIRECTORY_OF_SHIPPED_SCRIPTS
scripts=$1
# shellcheck source=tests/builders/script_lib.sh
. "$(dirname "$0")/script_lib.sh"

says() { # LABEL PART ACTUAL
	[[ $3 == *"$2"* ]]
	local result=$?
	[ $result = 0 ] || printf '# expected %s, got %s\n' "$2" "$3"
	verdict $result "$1"
}

until_true() { # COMMAND...
	local deadline=$((SECONDS + 30))
	until "$@"; do
		[ $SECONDS -lt $deadline ] || return 1
		sleep 0.1
	done
}

# --- certificates ---

make_ca() { # NAME
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -days 2 \
		-addext basicConstraints=critical,CA:TRUE -keyout "$work/$1.key" -out "$work/$1.crt" 2>/dev/null
}

issue() { # CA NAME SERIAL
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj / -keyout "$work/leaf.key" 2>/dev/null |
		openssl x509 -req -CA "$work/$1.crt" -CAkey "$work/$1.key" -set_serial "$3" -days 1 -out "$work/leaf.crt" \
			-extfile <(echo "subjectAltName=DNS:$2") 2>/dev/null
}

# Into the pod as the kubelet does it (pkg/volume/util/atomic_writer.go): a new directory, then one rename.
mount_leaf() {
	local version=..version-$RANDOM$RANDOM
	mkdir -p "$pod/tls/$version"
	cp "$work/leaf.crt" "$pod/tls/$version/tls.crt"
	cp "$work/leaf.key" "$pod/tls/$version/tls.key"
	chown -R root:999 "$pod/tls"
	chmod 0440 "$pod/tls/$version"/*
	ln -sfn ..data/tls.crt "$pod/tls/tls.crt"
	ln -sfn ..data/tls.key "$pod/tls/tls.key"
	ln -sfn "$version" "$pod/tls/..data.new"
	mv -T "$pod/tls/..data.new" "$pod/tls/..data"
}

# --- the server ---

answers() { $bin/pg_isready -q -h "$address" -U postgres; }

start_tls_server() { # [VARIABLE]...
	begin postgres < <(printf '%s\n' "POD_IP=$address" "$@")
	until_true answers
}

ask() { # OPTIONS SQL
	PGPASSWORD=hidden-superuser $bin/psql -X -q -A -t "hostaddr=$address user=postgres dbname=postgres connect_timeout=5 $1" -c "$2" 2>&1
}

verified() { # CA NAME SQL
	ask "host=$2 sslmode=verify-full sslrootcert=$work/$1.crt" "$3"
}

serial() {
	openssl s_client -starttls postgres -connect "$address:5432" </dev/null 2>/dev/null | openssl x509 -noout -serial 2>/dev/null
}

serial_is() { [ "$(serial)" = "serial=$1" ]; }

# A session that stays open: statements go to descriptor 5, answers come from 6.
open_session() {
	coproc session { PGPASSWORD=hidden-superuser exec $bin/psql -X -q -A -t \
		"hostaddr=$address host=postgres.blue.svc user=postgres dbname=postgres sslmode=verify-full sslrootcert=$work/ca.crt"; }
}
ask_session() { # SQL
	local answer=none
	printf '%s;\n' "$1" >&"${session[1]}"
	IFS= read -r -t 10 answer <&"${session[0]}"
	printf '%s' "$answer"
}

test_tls() {
	pod_with tls "$work/cluster"
	new_address
	prepare verify
	is "prepare needs no certificate" 0 "$status"
	issue ca postgres.blue.svc 0x2001
	mount_leaf
	start_tls_server TLS_DIR=/run/understory-tls
	verdict $? "the server comes up with a key of root's that its group may read"
	answers || return

	is "a client that trusts the CA comes in" "t|TLSv1.3" "$(verified ca postgres.blue.svc \
		"SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")"
	is "TLS 1.2 is the least" TLSv1.2 "$(verified ca postgres.blue.svc 'SHOW ssl_min_protocol_version')"
	says "without TLS nobody comes in" 'no pg_hba.conf entry for host' "$(ask sslmode=disable 'SELECT 1')"
	says "another CA is refused" 'certificate verify failed' "$(verified other postgres.blue.svc 'SELECT 1')"
	says "another name is refused" 'does not match host name "postgres.red.svc"' "$(verified ca postgres.red.svc 'SELECT 1')"
	says "TLS alone is no way in" 'password authentication failed' "$(ask 'sslmode=require password=wrong' 'SELECT 1')"

	open_session
	local backend
	backend=$(ask_session 'SELECT pg_backend_pid()')
	is "the certificate is the one that is mounted" serial=2001 "$(serial)"
	issue ca postgres.blue.svc 0x2002
	mount_leaf
	until_true serial_is 2002
	verdict $? "a renewed certificate is shown without a restart"
	is "and a session of before lives on" "$backend 7" "$(ask_session 'SELECT pg_backend_pid()') $(ask_session 'SELECT 3 + 4')"
	issue ca postgres.blue.svc 0x2003
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 >"$work/leaf.key" 2>/dev/null
	mount_leaf
	until_true grep -q 'SSL configuration was not reloaded' "$pod.log"
	is "a key that does not fit is left alone" "0 serial=2002" "$? $(serial)"
	issue ca postgres.blue.svc 0x2004
	mount_leaf
	until_true serial_is 2004
	verdict $? "and the next good certificate is taken"
	stop
	is "SIGTERM stops it at once and cleanly although a client waits" "0 shut down" \
		"$? $($bin/pg_controldata "$pod/pgdata/pgdata" | sed -n 's/^Database cluster state: *//p')"
	eval "exec ${session[1]}>&-"
	! grep -q -e PRIVATE -e hidden "$pod.log"
	verdict $? "neither key nor password is in the log"

	start_tls_server
	is "without TLS_DIR the server speaks plainly" off "$(ask sslmode=disable 'SHOW ssl')"
	stop
}

# The wait between two looks at the certificate, cut to a second.
mkdir "$work/scripts"
cp "$scripts"/*.sh "$work/scripts"
scripts=$work/scripts
sed -i 's/while sleep 5;/while sleep 1;/' "$scripts/postgres.sh"
grep -q 'while sleep 1;' "$scripts/postgres.sh" || { echo "Bail out! postgres.sh waits otherwise"; exit 1; }

make_ca ca
make_ca other
new_cluster "$work/cluster"
run_tests test_tls
