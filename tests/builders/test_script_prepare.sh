#!/bin/bash
# From restored files to a database that is recovered, disarmed and has our users, and the server after it. TAP on stdout.
# usage: test_script_prepare.sh DIRECTORY_OF_SHIPPED_SCRIPTS DUMP_OBJECTS
scripts=$1
dump_objects=$2
# shellcheck source=tests/builders/script_lib.sh
. "$(dirname "$0")/script_lib.sh"

# A cluster that crashed with work in its WAL, and with all that a source host leaves in it to trip over.
make_source() {
	local data=$work/source
	new_cluster "$data"
	source_start "$data" -c wal_level=logical -c max_connections=130 -c max_prepared_transactions=7
	source_sql postgres >/dev/null <<-'SQL'
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
	source_stop "$data" immediate
	rm -f "$data/postgresql.conf" "$data/pg_ident.conf"
	echo 'host all all 0.0.0.0/0 reject' >"$data/pg_hba.conf"
	printf '%s\n' "Archive_Command = 'hidden-command'" "#restore_command = 'x'" ' primary_conninfo='"'hidden=1'" 'port = 1' >"$data/postgresql.conf"
	chown postgres "$data"/*.conf
	as_postgres touch "$data/standby.signal"
	as_postgres bash -c "printf '4242\n%s\n' '$data' >'$data/postmaster.pid'"
}

restored_pod() { pod_with "$1" "$work/source"; } # LABEL

# The readiness probe of the Deployment, in $pod.
ready() {
	(pod "$pod" /bin/sh -c "$probe" <<<"POD_IP=$address") >/dev/null 2>&1
}

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
	new_address
	restored_pod analytics
	record_psql
	prepare analytics
	is "a crashed cluster is prepared" "0 15" "$status $(message .postgres_version)"
	is "what was disarmed is listed" "postgresql.auto.conf: archive_command shared_preload_libraries synchronous_standby_names
postgresql.conf: archive_command primary_conninfo
standby.signal
postmaster.pid
pg_hba.conf
replication slots: standby_1
passwords of roles: 1
subscriptions: from_production
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
	is "a pod that is made again prepares again" "0 9" "$status $(message '.disarmed | length')"
	prepare disaster-recovery
	start_server "$address"
	is "disaster-recovery may write" 12345 "$(query analytics hidden-analytics app \
		"WITH gone AS (DELETE FROM fact RETURNING 1) SELECT count(*) FROM gone")"
	query postgres hidden-superuser postgres 'CREATE ROLE boss SUPERUSER LOGIN' >/dev/null
	query postgres hidden-superuser postgres "ALTER ROLE boss PASSWORD 'boss'" >/dev/null
	query boss boss postgres 'ALTER ROLE postgres RENAME TO chief' >/dev/null
	[ $flavour = dash ] || query boss boss postgres 'CREATE ROLE postgres LOGIN' >/dev/null
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

# Of a port that our server does not look at: whether PostgreSQL minds its own depends on which process has the pid by then.
leave_locks() {
	echo 8 >"$pod/run/.s.PGSQL.5433.lock"
	chown 999:999 "$pod/run/.s.PGSQL.5433.lock"
}

test_prepare_verify() {
	restored_pod verify
	local there
	there=$(find "$pod/pgdata/pgdata" -type f | wc -l)
	prepare verify "RESTORED_FILES=$((there + 1))"
	failed_with "$(code EXIT_NODE_FAILED)" capture "the restore left $((there + 1)) files on the volume, $there are there now" \
		"a volume that lost a file"
	leave_locks
	prepare verify "RESTORED_FILES=$there"
	is "verify is prepared, and what a killed server left is gone" "0 no" "$status $([ -e "$pod/run/.s.PGSQL.5433.lock" ] && echo yes || echo no)"
	prepare verify "RESTORED_FILES=$there"
	is "what a database made of the files is not counted" 0 "$status"
	new_address
	leave_locks
	start_server "$address"
	is "nothing but the checks works on it" off "$(query postgres hidden-superuser app 'SHOW autovacuum')"
	is "nor does the server mind" no "$([ -e "$pod/run/.s.PGSQL.5433.lock" ] && echo yes || echo no)"
	is "verify has no analytics password" "" "$(query postgres hidden-superuser app \
		"SELECT rolpassword FROM pg_authid WHERE rolname = 'analytics'")"
	stop
	rm "$pod/run/postgresql.conf"
	run postgres <<<"POD_IP=$address"
	failed_with "$(code EXIT_INCOMPLETE)" start "prepare has not run" "no server without our configuration"
	rm -rf "$pod/pgdata/pgdata"
	run postgres <<<"POD_IP=$address"
	failed_with "$(code EXIT_NODE_FAILED)" capture "there is no restored database" "no server without a database"
}

# The way of majors below 14, which have no pg_read_all_data, taken on 15.
test_grants_before_14() {
	local shipped=$scripts
	scripts=$work/before-14
	mkdir -p "$scripts"
	cp "$shipped"/*.sh "$scripts"
	sed -i 's/-ge 14/-ge 99/' "$scripts/prepare.sh"
	restored_pod before-14
	new_address
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

# What the settings name for a flavour of the server, and no more of it.
test_flavour() {
	restored_pod flavour
	new_address
	prepare analytics 'PRELOAD=pg_stat_statements, auto_explain'
	is "the libraries of a flavour are there while it recovers" "0 15" "$status $(message .postgres_version)"
	start_server "$address" 'HBA_LOCAL=host all owner 127.0.0.1/32 trust'
	is "and while it serves" 'pg_stat_statements, auto_explain' "$(query postgres hidden-superuser app 'SHOW shared_preload_libraries')"
	is "its lines for the pod itself come first, and it listens there" "$address,localhost|local host/127.0.0.1 host/all" \
		"$(query postgres hidden-superuser app "SELECT current_setting('listen_addresses') || '|' ||
			string_agg(concat_ws('/', type, address), ' ' ORDER BY line_number) FROM pg_hba_file_rules")"
	# A connection to any of loopback's addresses comes from the first one.
	is "who is named in them comes in from there" 1 "$(query owner from-the-source app 'SELECT 1')"
	query postgres wrong app 'SELECT 1' | grep -q 'password authentication failed'
	verdict $? "and nobody else"
	stop
	prepare analytics PRELOAD=no_such_library
	failed_with "$(code EXIT_WRONG_MAJOR)" recovery 'the image lacks a library of its flavour, the image is to blame and not the backup' \
		"an image without the library is to blame"
}

# The roles that are not ours keep what they had, SCRAM or MD5; ours never do.
test_passwords_of_the_source() {
	restored_pod passwords
	new_address
	prepare analytics PASSWORDS=source
	is "no password is disarmed that is to be kept" "0 " "$status $(message '.disarmed[] | select(startswith("passwords"))')"
	start_server "$address" PASSWORDS=source
	is "a role of the source comes in with its password" 1 "$(query owner from-the-source app 'SELECT 1')"
	query owner wrong app 'SELECT 1' | grep -q 'password authentication failed'
	verdict $? "and with no other"
	query analytics from-the-source app 'SELECT 1' | grep -q 'password authentication failed'
	verdict $? "but analytics is ours"
	is "with our password" 1 "$(query analytics hidden-analytics app 'SELECT 1')"
	query postgres hidden-superuser app "SET password_encryption = md5; ALTER ROLE owner PASSWORD 'hashed-otherwise'" >/dev/null
	is "MD5 will do" 1 "$(query owner hashed-otherwise app 'SELECT 1')"
	stop
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
make_source
run_tests test_prepare test_prepare_verify test_grants_before_14 test_flavour test_passwords_of_the_source test_ipv6
