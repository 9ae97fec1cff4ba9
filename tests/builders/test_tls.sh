#!/bin/bash
# The server of a restored database from other hosts, for real: PostgreSQL 15 as uid 999 in a read-only root, with a certificate as the
# kubelet mounts it: owned by root, for the group to read, changed in one step. TAP on stdout.
# usage: test_tls.sh DIRECTORY_OF_SHIPPED_SCRIPTS
set -u
scripts=$1
here=$(cd "$(dirname "$0")" && pwd)
bin=/usr/lib/postgresql/15/bin
# shellcheck source=tests/builders/pod.sh
. "$here/pod.sh"

for needed in bwrap busybox dash setpriv openssl $bin/initdb; do
	command -v "$needed" >/dev/null || { echo "1..0 # SKIP $needed is not installed"; exit 0; }
done
[ "$(id -u)" = 0 ] || { echo "1..0 # SKIP needs root to become uid 999"; exit 0; }

work=$(mktemp -d "${TMPDIR:-/tmp}/understory-tls.XXXXXX")
chmod 755 "$work"
processes=()
clean_up() {
	for pid in "${processes[@]}"; do kill -9 "$pid" 2>/dev/null; done
	rm -rf "$work"
}
trap clean_up EXIT

tests=0
failures=0
verdict() { # RESULT LABEL
	tests=$((tests + 1))
	if [ "$1" = 0 ]; then
		echo "ok $tests - $flavour: $2"
	else
		echo "not ok $tests - $flavour: $2"
		failures=$((failures + 1))
		tail -n 25 "$pod.log" | sed 's/^/# /'
	fi
}

is() { # LABEL EXPECTED ACTUAL
	[ "$2" = "$3" ]
	local result=$?
	[ $result = 0 ] || printf '# expected %s, got %s\n' "$2" "$3"
	verdict $result "$1"
}

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

shell() { if [ "$flavour" = busybox ]; then echo "/usr/bin/busybox sh"; else echo /usr/bin/dash; fi; }

begin() { # SCRIPT, with the environment on stdin
	local environment
	environment=$(cat)
	# shellcheck disable=SC2046
	(pod "$pod" $(shell) -c "$(cat "$scripts/$1.sh")" <<<"$environment") >>"$pod.log" 2>&1 &
	begun=$!
	processes+=("$begun")
}

answers() { $bin/pg_isready -q -h "$address" -U postgres; }

start_server() { # [VARIABLE]...
	begin postgres < <(printf '%s\n' "POD_IP=$address" "$@")
	until_true answers
}

# SIGTERM to the pod's first process, as the kubelet does it.
stop() {
	pkill -TERM -P "$begun"
	timeout 20 tail --pid="$begun" -f /dev/null || return 1
	wait "$begun"
}

query() { # OPTIONS SQL
	PGPASSWORD=hidden-superuser $bin/psql -X -q -A -t "hostaddr=$address user=postgres dbname=postgres connect_timeout=5 $1" -c "$2" 2>&1
}

verified() { # CA NAME SQL
	query "host=$2 sslmode=verify-full sslrootcert=$work/$1.crt" "$3"
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

make_cluster() {
	install -d -o postgres "$work/cluster"
	setpriv --reuid=postgres --regid=postgres --clear-groups -- \
		$bin/initdb -D "$work/cluster/pgdata" -A trust -U postgres --locale=C.UTF-8 --no-sync >/dev/null
}

test_tls() {
	pod=$work/pods/$flavour
	address=127.$((RANDOM % 200 + 20)).$((RANDOM % 250)).$((RANDOM % 250 + 1))
	pod_new "$pod"
	cp -a "$work/cluster/pgdata" "$pod/pgdata/pgdata"
	chown -R 999:999 "$pod/pgdata"
	begin prepare < <(printf '%s\n' INTENT=verify POSTGRES_PASSWORD=hidden-superuser)
	wait "$begun"
	is "prepare needs no certificate" 0 $?
	issue ca postgres.blue.svc 0x2001
	mount_leaf
	start_server TLS_DIR=/run/understory-tls
	verdict $? "the server comes up with a key of root's that its group may read"
	answers || return

	is "a client that trusts the CA comes in" "t|TLSv1.3" "$(verified ca postgres.blue.svc \
		"SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")"
	is "TLS 1.2 is the least" TLSv1.2 "$(verified ca postgres.blue.svc 'SHOW ssl_min_protocol_version')"
	says "without TLS nobody comes in" 'no pg_hba.conf entry for host' "$(query sslmode=disable 'SELECT 1')"
	says "another CA is refused" 'certificate verify failed' "$(verified other postgres.blue.svc 'SELECT 1')"
	says "another name is refused" 'does not match host name "postgres.red.svc"' "$(verified ca postgres.red.svc 'SELECT 1')"
	says "TLS alone is no way in" 'password authentication failed' "$(query 'sslmode=require password=wrong' 'SELECT 1')"

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

	start_server
	is "without TLS_DIR the server speaks plainly" off "$(query sslmode=disable 'SHOW ssl')"
	stop
}

# The wait between two looks at the certificate, cut to a second.
mkdir "$work/scripts"
cp "$scripts"/*.sh "$work/scripts"
scripts=$work/scripts
sed -i 's/while sleep 5;/while sleep 1;/' "$scripts/postgres.sh"
grep -q 'while sleep 1;' "$scripts/postgres.sh" || { echo "Bail out! postgres.sh waits otherwise"; exit 1; }

mkdir -p "$work/repository" "$work/busybox"
busybox --list | while read -r applet; do ln -s /usr/bin/busybox "$work/busybox/$applet"; done
make_ca ca
make_ca other
make_cluster
for flavour in dash busybox; do
	pod_path=/usr/bin:/bin
	[ $flavour = dash ] || pod_path=/busybox:/usr/bin:/bin
	test_tls
done
echo "1..$tests"
[ "$failures" = 0 ]
