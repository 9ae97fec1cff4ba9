# shellcheck shell=bash
# What the tests of the pods' scripts share: real PostgreSQL 15, as uid 999 in a read-only root, under dash and under busybox ash with
# busybox's tools. To be sourced by bash, with `scripts`, the directory of the shipped scripts, set. TAP on stdout.
# shellcheck disable=SC2034 # what is set here is read by the tests
set -u
scripts=${scripts:?}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=/usr/lib/postgresql/15/bin
# shellcheck source=tests/builders/pod.sh
. "$here/pod.sh"

for needed in restic bwrap busybox dash setpriv shellcheck jq $bin/initdb; do
	command -v "$needed" >/dev/null || { echo "1..0 # SKIP $needed is not installed"; exit 0; }
done
[ "$(id -u)" = 0 ] || { echo "1..0 # SKIP needs root to become uid 999"; exit 0; }

work=$(mktemp -d "${TMPDIR:-/tmp}/understory-scripts.XXXXXX")
chmod 755 "$work"
# Those that still run: the pid of one that has ended may be somebody else's by now.
clean_up() {
	for pid in $(jobs -rp); do kill -9 "$pid" 2>/dev/null; done
	rm -rf "$work" "$work.log"
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
		{ echo "message: $(cat "$pod/message")"; echo "log:"; tail -n 25 "$pod.log"; } | sed 's/^/# /'
	fi
}

is() { # LABEL EXPECTED ACTUAL
	[ "$2" = "$3" ]
	local result=$?
	[ $result = 0 ] || printf '# expected %s, got %s\n' "$2" "$3"
	verdict $result "$1"
}

# --- clusters ---

as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@"; }

# A fresh cluster with WAL files of 1 MB, made once and copied.
new_cluster() { # DIRECTORY
	if [ ! -d "$work/template" ]; then
		install -d -o postgres "$work/template" "$work/socket"
		as_postgres $bin/initdb -D "$work/template/data" -A trust -U postgres --locale=C.UTF-8 --wal-segsize=1 --no-sync >/dev/null
	fi
	install -d -o postgres "$(dirname "$1")"
	cp -a --reflink=auto "$work/template/data" "$1"
}

source_start() { # DIRECTORY [OPTION]...
	as_postgres $bin/pg_ctl -D "$1" -s -w -l "$work/socket/log" -o "-c listen_addresses='' -k $work/socket -c fsync=off ${*:2}" start
}

source_stop() { # DIRECTORY MODE
	as_postgres $bin/pg_ctl -D "$1" -s -m "$2" stop
}

# SQL on stdin.
source_sql() { # DATABASE
	as_postgres env PGOPTIONS='-c client_min_messages=error -c session_preload_libraries= -c role=none -c statement_timeout=0' \
		$bin/psql -X -q -A -t -v ON_ERROR_STOP=1 -h "$work/socket" -U postgres -d "$1" -f -
}

control_of() { # DIRECTORY FIELD
	$bin/pg_controldata "$1" | sed -n "s/^$2: *//p"
}

# --- running ---

pod=
new_pod() { # LABEL
	pod=$work/pods/$flavour-$1
	pod_new "$pod"
	[ ! -d "$work/doubles" ] || cp -r "$work/doubles" "$pod/recorders"
}

# A pod whose volume holds this cluster, as a restore leaves it.
pod_with() { # LABEL DIRECTORY
	new_pod "$1"
	cp -a --reflink=auto "$2" "$pod/pgdata/pgdata"
	chown -R 999:999 "$pod/pgdata"
	data=$pod/pgdata/pgdata
}

shell() { if [ "$flavour" = busybox ]; then echo "/usr/bin/busybox sh"; else echo /usr/bin/dash; fi; }

# Begin a script in $pod with the environment on stdin; $begun is the process.
begin() { # SCRIPT
	local environment
	environment=$(cat)
	: >"$pod/message"
	install -D -m 644 "$scripts/$1.sh" "$pod/scripts/$1.sh"
	# shellcheck disable=SC2046
	(pod "$pod" $(shell) "/scripts/$1.sh" <<<"$environment") >>"$pod.log" 2>&1 &
	begun=$!
}

# SIGTERM to the pod's first process, as the kubelet does it.
stop() {
	! jobs -rp | grep -qx "$begun" || pkill -TERM -P "$begun"
	timeout 20 tail --pid="$begun" -f /dev/null || return 1
	wait "$begun"
}

# The whole of it; its status is kept in $status.
run() { # SCRIPT
	begin "$1"
	wait "$begun"
	status=$?
}

prepare() { # INTENT [VARIABLE]...
	local intent=$1
	shift
	run prepare < <(printf '%s\n' "INTENT=$intent" POSTGRES_PASSWORD="hidden-superuser" ANALYTICS_PASSWORD="hidden-analytics" "$@")
}

message() { jq -r "$1" <"$pod/message" 2>/dev/null; }

# Ended with this status and an error that holds the text, as one line of JSON.
failed_with() { # STATUS STAGE TEXT LABEL
	[ "$status" = "$1" ] && [ "$(message .stage)" = "$2" ] && message .error | grep -qF -- "$3" && [ "$(wc -l <"$pod/message")" = 1 ]
	verdict $? "$4"
}

code() { sed -n "s/^$1=//p" "$scripts"/*.sh | head -n 1; }

start_server() { # ADDRESS [VARIABLE]...
	begin postgres < <(printf '%s\n' "POD_IP=$1" "${@:2}")
	local deadline=$((SECONDS + 30))
	until $bin/pg_isready -q -h "$1" -U postgres; do
		[ $SECONDS -lt $deadline ] && kill -0 "$begun" 2>/dev/null || return 1
		sleep 0.1
	done
}

query() { # USER PASSWORD DATABASE SQL
	PGPASSWORD=$2 PGCONNECT_TIMEOUT=5 $bin/psql -X -q -A -t -h "$address" -U "$1" -d "$3" -c "$4" 2>&1
}

new_address() { address=127.$((RANDOM % 200 + 20)).$((RANDOM % 250)).$((RANDOM % 250 + 1)); }

# Each function named, under each shell.
run_tests() { # FUNCTION...
	local test
	for flavour in dash busybox; do
		pod_path=/recorders:/usr/bin:/bin
		[ $flavour = dash ] || pod_path=/recorders:/busybox:/usr/bin:/bin
		for test in "$@"; do "$test"; done
	done
	echo "1..$tests"
	[ "$failures" = 0 ]
}

mkdir -p "$work/busybox" "$work/repository"
busybox --list | while read -r applet; do ln -s /usr/bin/busybox "$work/busybox/$applet"; done
