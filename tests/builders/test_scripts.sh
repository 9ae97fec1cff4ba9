#!/bin/bash
# The scripts of builders/scripts, for real: PostgreSQL 15, restic with a local repository, as uid 999 in a read-only root, under dash and
# under busybox ash with busybox's tools. TAP on stdout. usage: test_scripts.sh DIRECTORY_OF_SHIPPED_SCRIPTS DUMP_OBJECTS
#
# Doubles, in $work/doubles: `restic` puts a local repository in the place of the S3 one and runs the real restic; `kopia` only records
# its command line and hands out the same files. Both show what they were called with.
set -u
scripts=$1
dump_objects=$2
here=$(cd "$(dirname "$0")" && pwd)
bin=/usr/lib/postgresql/15/bin
# shellcheck source=tests/builders/pod.sh
. "$here/pod.sh"

for needed in restic bwrap busybox dash setpriv shellcheck jq $bin/initdb; do
	command -v "$needed" >/dev/null || { echo "1..0 # SKIP $needed is not installed"; exit 0; }
done
[ "$(id -u)" = 0 ] || { echo "1..0 # SKIP needs root to become uid 999"; exit 0; }

work=$(mktemp -d "${TMPDIR:-/tmp}/understory-scripts.XXXXXX")
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
		{ echo "message: $(cat "$pod/message")"; echo "log:"; tail -n 25 "$pod.log"; } | sed 's/^/# /'
	fi
}

# --- what is restored ---

as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@"; }

# A cluster that crashed with work in its WAL, and with all that a source host leaves in it to trip over.
make_source() {
	local data=$work/source/var/lib/postgresql/15/main socket=$work/socket
	install -d -o postgres "$work/source" "$(dirname "$data")" "$socket"
	as_postgres $bin/initdb -D "$data" -A trust -U postgres --locale=C.UTF-8 --no-sync >/dev/null
	as_postgres $bin/pg_ctl -D "$data" -s -w -l "$socket/log" -o "-c listen_addresses='' -k $socket -c fsync=off -c wal_level=logical \
		-c max_connections=130 -c max_prepared_transactions=7" start
	as_postgres env PGOPTIONS='-c client_min_messages=error -c session_preload_libraries=' \
		$bin/psql -X -q -o /dev/null -v ON_ERROR_STOP=1 -h "$socket" -U postgres -d postgres -f - <<-'SQL'
	CREATE DATABASE app;
	CREATE ROLE owner LOGIN PASSWORD 'from-the-source';
	ALTER ROLE postgres VALID UNTIL '2001-01-01' CONNECTION LIMIT 0;
	CREATE ROLE analytics LOGIN SUPERUSER PASSWORD 'from-the-source';
	ALTER DATABASE template1 SET session_preload_libraries = 'no_such_library';
	ALTER ROLE ALL SET session_preload_libraries = 'no_such_library_either';
	ALTER ROLE owner SET default_transaction_read_only = on;
	SELECT pg_create_physical_replication_slot('standby_1', true);
	\c app
	CREATE TABLE fact AS SELECT i, md5(i::text) AS text FROM generate_series(1, 12345) i;
	CREATE SUBSCRIPTION from_production CONNECTION 'host=192.0.2.1 dbname=x' PUBLICATION p
		WITH (connect = false, slot_name = 'x', enabled = false);
	ALTER SUBSCRIPTION from_production ENABLE;
	ALTER SYSTEM SET archive_command = 'echo archived > /pgdata/archived';
	ALTER SYSTEM SET shared_preload_libraries = 'no_such_library';
	ALTER SYSTEM SET synchronous_standby_names = 'nobody';
	SQL
	as_postgres $bin/pg_ctl -D "$data" -s -m immediate stop
	rm -f "$data/postgresql.conf" "$data/pg_ident.conf"
	echo 'host all all 0.0.0.0/0 reject' >"$data/pg_hba.conf"
	chown postgres "$data/pg_hba.conf"
	as_postgres touch "$data/standby.signal"
	as_postgres bash -c "printf '4242\n%s\n' '$data' >'$data/postmaster.pid'"
	cp -a "$work/source" "$work/capture-wal-link"
	mv "$work/capture-wal-link/var/lib/postgresql/15/main/pg_wal" "$work/elsewhere"
	ln -s /mnt/wal "$work/capture-wal-link/var/lib/postgresql/15/main/pg_wal"
	mkdir -p "$work/capture-tablespace"
	cp -a "$data" "$work/capture-tablespace/data"
	ln -s /srv/fast "$work/capture-tablespace/data/pg_tblspc/16500"
	mkdir -p "$work/capture-two"
	cp -a "$data" "$work/capture-two/old"
	cp -a "$data" "$work/capture-two/new"
	mkdir -p "$work/capture-none/etc"
	echo hello >"$work/capture-none/etc/motd"
}

snapshot() { # DIRECTORY -> snapshot id
	RESTIC_PASSWORD=correct HOME=$work restic -q -r "$work/repository" --no-cache backup --json "$1" |
		jq -r 'select(.message_type == "summary").snapshot_id'
}

make_repository() {
	RESTIC_PASSWORD=correct HOME=$work restic -q -r "$work/repository" init >/dev/null
	good=$(snapshot "$work/source")
	wal_link=$(snapshot "$work/capture-wal-link")
	tablespace=$(snapshot "$work/capture-tablespace")
	two=$(snapshot "$work/capture-two")
	none=$(snapshot "$work/capture-none")
	chmod -R a+rX "$work/repository"
}

make_doubles() {
	mkdir -p "$work/doubles" "$work/busybox"
	cat >"$work/doubles/restic" <<-'DOUBLE'
	#!/bin/sh
	# A double: the local repository in the place of the S3 one, then the real restic.
	[ "$1" != version ] || exec /usr/bin/restic version
	printf '%s\n' "restic $*" >>/pgdata/commands
	printf '%s\n' "region $AWS_DEFAULT_REGION key $AWS_ACCESS_KEY_ID" >>/pgdata/environment
	[ -z "${RESTIC_SAYS:-}" ] || { printf '%s\n' "$RESTIC_SAYS" >&2; exit "${RESTIC_STATUS:-1}"; }
	[ -z "${RESTIC_SLEEPS:-}" ] || exec sleep 600
	shift 2
	exec /usr/bin/restic -r "${REPOSITORY:-/repository}" "$@"
	DOUBLE
	cat >"$work/doubles/kopia" <<-'DOUBLE'
	#!/bin/sh
	# A double: records its command line; `snapshot restore` hands out a small cluster's files.
	[ "$1" != --version ] || { echo "0.17.0 build: 0123 from: kopia/kopia"; exit 0; }
	printf '%s\n' "kopia $*" >>/pgdata/commands
	if [ "$1 $2" = "${KOPIA_FAILS_AT:-}" ]; then printf '%s\n' "$KOPIA_SAYS" >&2; exit 1; fi
	[ "$1 $2" != "snapshot restore" ] || {
		for target; do :; done
		mkdir -p "$target/data/global" "$target/data/base" "$target/data/pg_wal" "$target/data/pg_tblspc" "$target/data/pg_xact" \
			"$target/data/pg_multixact/members" "$target/data/pg_multixact/offsets"
		echo 15 >"$target/data/PG_VERSION"
		head -c 8192 /dev/zero >"$target/data/global/pg_control"
		echo map >"$target/data/global/pg_filenode.map"
		echo "Restored 2 files, 4 directories and 0 symbolic links (11 B)${KOPIA_SAYS:+, $KOPIA_SAYS}." >&2
	}
	DOUBLE
	chmod 755 "$work/doubles/"*
	busybox --list | while read -r applet; do ln -s /usr/bin/busybox "$work/busybox/$applet"; done
}

# --- running ---

pod=
new_pod() { # LABEL
	pod=$work/pods/$flavour-$1
	pod_new "$pod"
	cp -r "$work/doubles" "$pod/recorders"
}

shell() { if [ "$flavour" = busybox ]; then echo "/usr/bin/busybox sh"; else echo /usr/bin/dash; fi; }

# Begin a script in $pod with the environment on stdin; $begun is the process.
begin() { # SCRIPT
	local environment
	environment=$(cat)
	: >"$pod/message"
	# shellcheck disable=SC2046
	(pod "$pod" $(shell) -c "$(cat "$scripts/$1.sh")" <<<"$environment") >>"$pod.log" 2>&1 &
	begun=$!
	processes+=("$begun")
}

# SIGTERM to the pod's first process, as the kubelet does it.
stop() {
	pkill -TERM -P "$begun"
	timeout 20 tail --pid="$begun" -f /dev/null || return 1
	wait "$begun"
}

# The whole of it; its status is kept in $status.
run() { # SCRIPT
	begin "$1"
	wait "$begun"
	status=$?
}

restore_environment() { # SNAPSHOT_ID [VARIABLE]...
	printf '%s\n' "SNAPSHOT_ID=$1" S3_ENDPOINT=http://127.0.0.1:7480 S3_BUCKET=backups S3_PREFIX=/a/b/ \
		S3_REGION=ap-southeast-2 RESTIC_PASSWORD=correct AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=hidden-s3-key "${@:2}"
}

restore() { run restore-restic < <(restore_environment "$@"); }

prepare() { # INTENT [VARIABLE]...
	local intent=$1
	shift
	run prepare < <(printf '%s\n' "INTENT=$intent" POSTGRES_PASSWORD="hidden-superuser" ANALYTICS_PASSWORD="hidden-analytics" "$@")
}

# A copy of the volume of the happy restore.
restored_pod() { # LABEL
	new_pod "$1"
	rm -rf "$pod/pgdata"
	cp -a "$work/pods/$flavour-restored/pgdata" "$pod/pgdata"
}

message() { jq -r "$1" <"$pod/message" 2>/dev/null; }

# Ended with this status and an error that holds the text, as one line of JSON.
failed_with() { # STATUS STAGE TEXT LABEL
	[ "$status" = "$1" ] && [ "$(message .stage)" = "$2" ] && message .error | grep -qF -- "$3" && [ "$(wc -l <"$pod/message")" = 1 ]
	verdict $? "$4"
}

code() { sed -n "s/^$1=//p" "$scripts"/*.sh | head -n 1; }

# The readiness probe of the Deployment, in $pod.
ready() {
	(pod "$pod" /bin/sh -c "$probe" <<<"POD_IP=$address") >/dev/null 2>&1
}

start_server() { # ADDRESS
	begin postgres <<<"POD_IP=$1"
	local deadline=$((SECONDS + 30))
	until $bin/pg_isready -q -h "$1" -U postgres; do
		[ $SECONDS -lt $deadline ] && kill -0 "$begun" 2>/dev/null || return 1
		sleep 0.1
	done
}

query() { # USER PASSWORD DATABASE SQL
	PGPASSWORD=$2 PGCONNECT_TIMEOUT=5 $bin/psql -X -q -A -t -h "$address" -U "$1" -d "$3" -c "$4" 2>&1
}

is() { # LABEL EXPECTED ACTUAL
	[ "$2" = "$3" ]
	local result=$?
	[ $result = 0 ] || printf '# expected %s, got %s\n' "$2" "$3"
	verdict $result "$1"
}

# --- restore ---

test_restore() {
	new_pod restored
	mkdir -p "$pod/pgdata/restore/left/over" "$pod/pgdata/pgdata"
	touch "$pod/pgdata/pgdata/left-over"
	chmod 0500 "$pod/pgdata/restore/left"
	chown -R 999:999 "$pod/pgdata"
	restore "$good"
	is "a snapshot is restored" 0 "$status"
	is "it says version and engine" "15 restic 0.14.0" "$(message '.postgres_version + " " + .engine')"
	local data=$work/source/var/lib/postgresql/15/main
	is "it counts the files" "$(find "$data" -type f | wc -l)" "$(message .files)"
	is "it counts the bytes" "$(find "$data" -type f -printf '%s\n' | awk '{ b += $1 } END { print b }')" "$(message .bytes)"
	is "the data directory is whole, alone and 0700" "700 " "$(stat -c %a "$pod/pgdata/pgdata") $(diff -r "$data" "$pod/pgdata/pgdata" 2>&1)"
	is "the repository is named without stray slashes" \
		"restic -r s3:http://127.0.0.1:7480/backups/a/b --no-lock --no-cache restore --target /pgdata/restore -- $good" \
		"$(cat "$pod/pgdata/commands")"
	is "region and keys come by the environment" "region ap-southeast-2 key key" "$(cat "$pod/pgdata/environment")"

	new_pod no-prefix
	restore "$none" S3_PREFIX= S3_CA_FILE=/etc/ca.crt RESTIC_SAYS=x
	is "without a prefix, with a CA" "restic -r s3:http://127.0.0.1:7480/backups --no-lock --no-cache --cacert /etc/ca.crt \
restore --target /pgdata/restore -- $none" "$(cat "$pod/pgdata/commands")"

	restored_pod in-use
	touch "$pod/pgdata/prepared"
	restore "$good"
	failed_with "$(code EXIT_VOLUME_IN_USE)" restore "a database was started from this volume" "a volume that serves is not written"
	[ -f "$pod/pgdata/pgdata/PG_VERSION" ]
	verdict $? "and is left as it was"
}

test_restore_failures() {
	new_pod failures
	restore "$good" RESTIC_PASSWORD=wrong
	failed_with "$(code EXIT_WRONG_PASSWORD)" restore "wrong password or no key found" "wrong password"
	restore deadbeef
	failed_with "$(code EXIT_SNAPSHOT_GONE)" restore "no matching ID found" "snapshot gone"
	restore "$good" REPOSITORY=/nowhere
	failed_with "$(code EXIT_REPOSITORY_GONE)" restore "unable to open config file" "repository missing"
	restore "$none"
	failed_with "$(code EXIT_NO_CLUSTER)" capture "holds no directory with PG_VERSION and global/pg_control" "no PGDATA"
	restore "$two"
	failed_with "$(code EXIT_NO_CLUSTER)" capture "$work/capture-two/new $work/capture-two/old" "two clusters are listed"
	restore "$wal_link"
	failed_with "$(code EXIT_INCOMPLETE)" capture "pg_wal is a link to /mnt/wal" "pg_wal elsewhere"
	restore "$tablespace"
	failed_with "$(code EXIT_INCOMPLETE)" capture "16500 (/srv/fast)" "tablespace elsewhere"
	[ ! -e "$pod/pgdata/pgdata" ]
	verdict $? "nothing that failed can be started"
}

# What the double says in restic's place: label, exit code of ours, its status, its words.
test_restore_words() {
	new_pod words
	while IFS='|' read -r label expected says_status words; do
		restore "$good" "RESTIC_SAYS=$words" "RESTIC_STATUS=$says_status"
		failed_with "$expected" restore "$words" "$label"
	done <<-ROWS
	restic 0.17 repository|$(code EXIT_REPOSITORY_GONE)|10|Fatal: repository does not exist: unable to open config file
	restic 0.17 password|$(code EXIT_WRONG_PASSWORD)|12|Fatal: wrong password or no key found
	access denied|$(code EXIT_ACCESS_REFUSED)|1|Fatal: unable to open config file: Stat: Access Denied.
	unknown key|$(code EXIT_ACCESS_REFUSED)|1|The AWS Access Key Id you provided does not exist in our records.
	expired|$(code EXIT_CREDENTIALS_EXPIRED)|1|Load(<data/1>) returned error: The provided token has expired.
	volume full|$(code EXIT_VOLUME_FULL)|1|ignoring error for /base/1/2: write /pgdata/x: no space left on device
	no bucket|$(code EXIT_REPOSITORY_GONE)|1|Fatal: unable to open config file: Stat: The specified bucket does not exist
	network|1|1|Fatal: unable to open config file: Stat: dial tcp 192.0.2.1:443: i/o timeout
	quotes and backslashes|1|1|Fatal: open "C:\\x": no
	ROWS
	restore "$good" "RESTIC_SAYS=x: no space left on device"
	failed_with "$(code EXIT_VOLUME_FULL)" restore "volume full: x" "volume full is said first"
	restore "$good" "RESTIC_SAYS=Fatal: $(printf 'caf\303\251 \033[1m %4000s' x)"
	jq -e .error <"$pod/message" >/dev/null && [ "$(wc -c <"$pod/message")" -lt 1200 ]
	verdict $? "a wild error is still short and JSON"
}

test_restore_is_stopped() {
	new_pod stopped
	begin restore-restic < <(restore_environment "$good" RESTIC_SLEEPS=yes)
	local deadline=$((SECONDS + 20))
	until [ -s "$pod/pgdata/commands" ] || [ $SECONDS -ge $deadline ]; do sleep 0.1; done
	stop
	status=$?
	failed_with 1 restore "the engine ended without a word" "SIGTERM ends a restore, which is worth another pod"
}

kopia() { # [VARIABLE]...
	rm -rf "$pod/pgdata/commands"
	run restore-kopia < <(printf '%s\n' SNAPSHOT_ID=k1234 S3_ENDPOINT=https://s3.example.org:9000 S3_BUCKET=backups S3_PREFIX=a/b/ \
		S3_REGION=eu-1 KOPIA_PASSWORD=correct AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=hidden-s3-key AWS_SESSION_TOKEN=t "$@")
}

# The engine is a double here: this shows what it is asked for and what is made of its answers, not that kopia restores.
test_kopia_double() {
	new_pod kopia
	kopia S3_CA_FILE=/ca.crt
	is "kopia (a double): restored" "0 15 kopia 0.17.0 3" "$status $(message '.postgres_version + " " + .engine + " " + (.files | tostring)')"
	is "kopia (a double): its command lines" "kopia repository connect s3 --bucket=backups --prefix=a/b/ --region=eu-1 \
--endpoint=s3.example.org:9000 --root-ca-pem-path=/ca.crt --readonly --no-check-for-updates --no-persist-credentials
kopia snapshot restore --skip-owners --parallel=8 --no-ignore-permission-errors -- k1234 /pgdata/restore" "$(cat "$pod/pgdata/commands")"
	kopia S3_ENDPOINT=http://127.0.0.1:7480
	grep -q -- '--endpoint=127.0.0.1:7480 --disable-tls' "$pod/pgdata/commands"
	verdict $? "kopia (a double): plain http"
	kopia "KOPIA_SAYS=ignored 3 errors"
	failed_with 1 restore "ignored 3 errors" "kopia (a double): ignored errors are a failure"
	kopia "KOPIA_FAILS_AT=repository connect" "KOPIA_SAYS=error connecting to repository: invalid repository password"
	failed_with "$(code EXIT_WRONG_PASSWORD)" restore "invalid repository password" "kopia (a double): wrong password"
	kopia "KOPIA_FAILS_AT=snapshot restore" "KOPIA_SAYS=unable to get filesystem entry: can't parse object ID k1234"
	failed_with "$(code EXIT_SNAPSHOT_GONE)" restore "can't parse object ID" "kopia (a double): snapshot gone"
}

# --- through the proxy of the pod ---

# As a pod with a proxy has it: no endpoint and no CA, but files of the proxy.
proxied() { # SNAPSHOT_ID [VARIABLE]...
	rm -f "$pod/pgdata/commands"
	run restore-restic < <(restore_environment "$1" S3_ENDPOINT= PGRO_PORT_FILE=/run/understory/address "${@:2}")
}

test_proxy() {
	new_pod proxied
	echo '[::1]:4711' >"$pod/run/address"
	proxied "$good"
	is "through the proxy a snapshot is restored" "0 15" "$status $(message .postgres_version)"
	is "from where its port file says" \
		"restic -r s3:http://[::1]:4711/backups/a/b --no-lock --no-cache restore --target /pgdata/restore -- $good" \
		"$(cat "$pod/pgdata/commands")"
	is "no done-file is left where none is asked for" address "$(ls "$pod/run")"

	proxied "$good" PGRO_DONE_FILE=/run/understory/done
	is "the done-file is left after a restore" "0 yes" "$status $([ -e "$pod/run/done" ] && echo yes)"
	rm -f "$pod/run/done"
	proxied deadbeef PGRO_DONE_FILE=/run/understory/done
	failed_with "$(code EXIT_SNAPSHOT_GONE)" restore "no matching ID found" "through the proxy a failure is what it is without"
	is "the done-file is left after a failure" yes "$([ -e "$pod/run/done" ] && echo yes)"
	rm -f "$pod/run/done"
	proxied "$good" PGRO_DONE_FILE=/nowhere/done
	is "a done-file that cannot be left changes nothing" "0 15" "$status $(message .postgres_version)"

	proxied "$good" PGRO_ENGINE_PIPE=/nowhere/engine
	is "a pipe that cannot be held changes nothing" "0 15" "$status $(message .postgres_version)"

	begin restore-restic < <(restore_environment "$good" PGRO_PORT_FILE=/run/understory/late PGRO_DONE_FILE=/run/understory/done)
	sleep 1
	is "a proxy that is slow is waited for" "" "$(cat "$pod/message")"
	echo '127.0.0.1:99' >"$pod/run/late.new"
	mv "$pod/run/late.new" "$pod/run/late"
	wait "$begun"
	is "and used" "0 s3:http://127.0.0.1:99/backups/a/b" "$? $(tail -n 1 "$pod/pgdata/commands" | cut -d ' ' -f 3)"

	new_pod proxied-kopia
	echo '[::1]:4711' >"$pod/run/address"
	kopia S3_ENDPOINT= PGRO_PORT_FILE=/run/understory/address PGRO_DONE_FILE=/run/understory/done
	is "kopia (a double): through the proxy" "0 kopia repository connect s3 --bucket=backups --prefix=a/b/ --region=eu-1 \
--endpoint=[::1]:4711 --disable-tls --readonly --no-check-for-updates --no-persist-credentials yes" \
		"$status $(head -n 1 "$pod/pgdata/commands") $([ -e "$pod/run/done" ] && echo yes)"
}

# The wait of a minute, cut to a second.
test_proxy_is_absent() {
	local shipped=$scripts
	scripts=$work/impatient
	mkdir -p "$scripts"
	cp "$shipped"/*.sh "$scripts"
	sed -i 's/-lt 60 /-lt 1 /' "$scripts"/restore-*.sh
	new_pod no-proxy
	proxied "$good" PGRO_DONE_FILE=/run/understory/done
	failed_with 1 proxy "the credential proxy of this pod did not start within 60 s" "a proxy that does not come is the cluster's fault"
	is "and nothing is asked of the store" "" "$(cat "$pod/pgdata/commands" 2>/dev/null)"
	is "but the proxy is told to end" yes "$([ -e "$pod/run/done" ] && echo yes)"
	scripts=$shipped
}

# --- prepare and the server ---

# Shows every psql's arguments, then runs it.
record_psql() {
	cat >"$pod/psql" <<-'DOUBLE'
	#!/bin/sh
	tr '\0' ' ' </proc/self/cmdline >>/pgdata/arguments
	tr '\0' '\n' </proc/1/cmdline >>/pgdata/arguments
	exec /real-psql "$@"
	DOUBLE
	chmod 755 "$pod/psql"
}

test_prepare() {
	address=127.$((RANDOM % 200 + 20)).$((RANDOM % 250)).$((RANDOM % 250 + 1))
	restored_pod analytics
	record_psql
	prepare analytics
	is "a crashed cluster is prepared" "0 15" "$status $(message .postgres_version)"
	is "what was disarmed is listed" "postgresql.auto.conf: archive_command shared_preload_libraries synchronous_standby_names
standby.signal
postmaster.pid
pg_hba.conf
replication slots: standby_1
passwords of roles: 1
subscriptions: 1
preloaded libraries of roles and databases: 2" "$(message '.disarmed[]')"
	[ -s "$pod/pgdata/arguments" ] && ! grep -q hidden "$pod/pgdata/arguments" "$pod.log" "$pod/message"
	verdict $? "no password in an argument, the log or the message"

	start_server "$address"
	verdict $? "the server comes up on the pod's address"
	ready
	verdict $? "and is ready by its probe"
	is "the rows are there" 12345 "$(query postgres hidden-superuser app 'SELECT count(*) FROM fact')"
	is "analytics may read" 12345 "$(query analytics hidden-analytics app 'SELECT count(*) FROM fact')"
	query analytics hidden-analytics app 'DELETE FROM fact' | grep -q 'read-only transaction'
	verdict $? "analytics does not write"
	query analytics hidden-analytics app 'SET TRANSACTION READ WRITE; DELETE FROM fact' | grep -q 'permission denied'
	verdict $? "analytics may not write"
	query postgres wrong postgres 'SELECT 1' | grep -q 'password authentication failed'
	verdict $? "a wrong password is refused"
	query owner from-the-source app 'SELECT 1' | grep -q 'password authentication failed'
	verdict $? "a password of the source is refused"
	is "nothing was loaded, archived, replicated" "||off|0|off" "$(query postgres hidden-superuser app "SELECT concat_ws('|',
		current_setting('shared_preload_libraries'), current_setting('session_preload_libraries'), current_setting('archive_mode'),
		(SELECT count(*) FROM pg_stat_subscription WHERE pid IS NOT NULL), current_setting('hot_standby'))")"
	is "settings that recovery compares are those of the source" "130|7" "$(query postgres hidden-superuser app \
		"SELECT concat_ws('|', current_setting('max_connections'), current_setting('max_prepared_transactions'))")"
	PGPASSWORD=hidden-superuser $bin/psql -X -q -h "$address" -U postgres -d app -c 'SELECT pg_sleep(60)' >/dev/null 2>&1 &
	local sleeper=$!
	sleep 0.5
	stop
	is "SIGTERM stops it at once and cleanly although a client works" "0 shut down" \
		"$? $($bin/pg_controldata "$pod/pgdata/pgdata" | sed -n 's/^Database cluster state: *//p')"
	wait $sleeper
	! ready
	verdict $? "then it is not ready"

	prepare analytics
	is "a pod that is made again prepares again" "0 8" "$status $(message '.disarmed | length')"
	prepare disaster-recovery
	start_server "$address"
	is "disaster-recovery may write" 12345 "$(query analytics hidden-analytics app \
		"WITH gone AS (DELETE FROM fact RETURNING 1) SELECT count(*) FROM gone")"
	query postgres hidden-superuser postgres 'CREATE ROLE boss SUPERUSER LOGIN' >/dev/null
	query postgres hidden-superuser postgres "ALTER ROLE boss PASSWORD 'boss'" >/dev/null
	query boss boss postgres 'ALTER ROLE postgres RENAME TO chief' >/dev/null
	stop
	prepare verify
	failed_with "$(code EXIT_ROLES_FAILED)" roles "no superuser postgres, and single-user mode failed: postgres: could not look up" \
		"a cluster of another superuser, in an image that does not know uid 999"
	echo 'postgres:x:999:999::/:/bin/sh' >"$pod/passwd"
	prepare verify
	is "a cluster of another superuser" "0 role postgres was no superuser that may log in" \
		"$status $(message '.disarmed[] | select(startswith("role postgres"))')"
	start_server "$address"
	is "has our superuser" "on" "$(query postgres hidden-superuser app 'SHOW is_superuser')"
	query boss boss postgres 'SELECT 1' | grep -q 'password authentication failed'
	verdict $? "and locks the other out"
	stop
}

test_prepare_verify() {
	restored_pod verify
	prepare verify
	is "verify is prepared" 0 "$status"
	address=127.$((RANDOM % 200 + 20)).$((RANDOM % 250)).$((RANDOM % 250 + 1))
	start_server "$address"
	is "verify has no analytics password" "" "$(query postgres hidden-superuser app \
		"SELECT rolpassword FROM pg_authid WHERE rolname = 'analytics'")"
	stop
	rm "$pod/run/postgresql.conf"
	run postgres <<<"POD_IP=$address"
	failed_with "$(code EXIT_INCOMPLETE)" start "prepare has not run" "no server without our configuration"
	rm -rf "$pod/pgdata/pgdata"
	run postgres <<<"POD_IP=$address"
	failed_with "$(code EXIT_INCOMPLETE)" capture "there is no restored database" "no server without a database"
}

# The way of majors below 14, which have no pg_read_all_data, taken on 15.
test_grants_before_14() {
	local shipped=$scripts
	scripts=$work/before-14
	mkdir -p "$scripts"
	cp "$shipped"/*.sh "$scripts"
	sed -i 's/-ge 14/-ge 99/' "$scripts/prepare.sh"
	restored_pod before-14
	address=127.$((RANDOM % 200 + 20)).$((RANDOM % 250)).$((RANDOM % 250 + 1))
	prepare analytics
	start_server "$address"
	is "below 14 analytics may read" "12345 f" "$(query analytics hidden-analytics app 'SELECT count(*) FROM fact') $(
		query postgres hidden-superuser app "SELECT pg_has_role('analytics', 'pg_read_all_data', 'member')")"
	query analytics hidden-analytics app 'SET TRANSACTION READ WRITE; DELETE FROM fact' | grep -q 'permission denied'
	verdict $? "and may not write"
	stop
	prepare disaster-recovery
	start_server "$address"
	is "below 14 disaster-recovery may write" 12345 "$(query analytics hidden-analytics app \
		"WITH gone AS (DELETE FROM fact RETURNING 1) SELECT count(*) FROM gone")"
	stop
	scripts=$shipped
}

test_prepare_failures() {
	restored_pod no-wal
	local data=$pod/pgdata/pgdata
	printf 'START WAL LOCATION: 0/9000028 (file 000000010000000000000099)\nCHECKPOINT LOCATION: 0/9000060\n' >"$data/backup_label"
	prepare verify
	failed_with "$(code EXIT_INCOMPLETE)" capture "000000010000000000000099 (by backup_label), which is not in the backup" \
		"backup_label without its WAL"
	[ ! -e "$pod/pgdata/prepared" ]
	verdict $? "which is found before anything is touched"

	echo garbage >"$data/backup_label"
	prepare verify
	failed_with "$(code EXIT_INCOMPLETE)" capture "backup_label names no WAL file" "backup_label that is none"

	rm "$data/backup_label" "$data"/pg_wal/0*
	prepare verify
	failed_with "$(code EXIT_INCOMPLETE)" capture "(by pg_control), which is not in the backup" "no WAL at all"

	restored_pod torn
	data=$pod/pgdata/pgdata
	for segment in "$data"/pg_wal/0*; do
		truncate -s 0 "$segment"
		truncate -s 16M "$segment"
	done
	prepare verify
	failed_with "$(code EXIT_RECOVERY_FAILED)" recovery "PANIC: could not locate a valid checkpoint record" "WAL of zeros"

	restored_pod control
	printf 'x' | dd of="$pod/pgdata/pgdata/global/pg_control" bs=1 seek=100 conv=notrunc status=none
	prepare verify
	failed_with "$(code EXIT_INCOMPLETE)" capture "pg_control is damaged" "pg_control with a wrong checksum"

	restored_pod major
	echo 14 >"$pod/pgdata/pgdata/PG_VERSION"
	pod_path="$bin:$pod_path" prepare verify
	failed_with "$(code EXIT_WRONG_MAJOR)" capture "of PostgreSQL 14, the image has PostgreSQL 15" "an image of another major"
	prepare verify
	failed_with "$(code EXIT_WRONG_MAJOR)" capture "the image has no PostgreSQL 14" "an image without PostgreSQL"

	restored_pod tablespace-map
	printf '16500 /srv/fast\n' >"$pod/pgdata/pgdata/tablespace_map"
	prepare verify
	failed_with "$(code EXIT_INCOMPLETE)" capture "16500 (/srv/fast)" "a tablespace_map to nowhere"
}

test_ipv6() {
	restored_pod ipv6
	prepare verify
	address=::1
	if ! $bin/pg_isready -q -h ::1 -U postgres && start_server ::1; then
		is "an IPv6 pod address" 12345 "$(query postgres hidden-superuser app 'SELECT count(*) FROM fact')"
		stop
	else
		tests=$((tests + 1))
		echo "ok $tests - $flavour: an IPv6 pod address # SKIP port 5432 of ::1 is taken"
	fi
}

probe=$("$dump_objects" | jq -r 'first(.[] | select(.kind == "Deployment")).spec.template.spec.containers[0].readinessProbe.exec.command[2]')
make_doubles
make_source
make_repository

flavour=shellcheck pod=$work/shellcheck
mkdir -p "$pod"
: >"$pod/message"
for script in restore-restic restore-kopia prepare postgres; do
	shellcheck -s sh "$scripts/$script.sh" >"$pod.log" 2>&1
	verdict $? "$script.sh as it is shipped"
done

for flavour in dash busybox; do
	pod_path=/recorders:/usr/bin:/bin
	[ $flavour = dash ] || pod_path=/recorders:/busybox:/usr/bin:/bin
	test_restore
	test_restore_failures
	test_restore_words
	test_restore_is_stopped
	test_kopia_double
	test_proxy
	test_proxy_is_absent
	test_prepare
	test_prepare_verify
	test_grants_before_14
	test_prepare_failures
	test_ipv6
done
echo "1..$tests"
[ "$failures" = 0 ]
