# shellcheck shell=sh
# Who may log in: `postgres` and, but for verify, `analytics`, with passwords of ours. Passwords reach psql through its environment;
# it reads them with a command of its own, so that they are no argument of any process.
PGHOST=$run
PGPORT=5432
PGUSER=postgres
PGDATABASE=template1
export PGHOST PGPORT PGUSER PGDATABASE

# Over what the restored roles and databases have set for their sessions. As a replica's session it fires no trigger of the source (event
# triggers neither; those at login have a switch of their own). What is said of an error holds data: no DETAIL in the log.
set_session_options() {
	usual_path='-c session_preload_libraries= -c local_preload_libraries= -c default_transaction_read_only=off -c role=none
-c statement_timeout=0 -c lock_timeout=0 -c session_replication_role=replica -c log_error_verbosity=terse'
	[ "$major" -lt 17 ] || usual_path="$usual_path -c event_triggers=off"
	PGOPTIONS="$usual_path -c search_path=pg_catalog"
	export PGOPTIONS
}

# SQL on stdin, answers on stdout, the error in /tmp/psql.err.
sql() {
	psql -X -q -A -t -v ON_ERROR_STOP=1 -f - 2>/tmp/psql.err
}

# The server's sentence without its DETAIL, which may hold data.
psql_error() {
	sed -n 's/^.*\(ERROR\|FATAL\): *\([0-9A-Z]\{5\}: \)\{0,1\}/\1: /p' /tmp/psql.err | head -n 1
}

# Of the error, where VERBOSITY is verbose; nothing when the connection was lost.
sqlstate() {
	sed -n 's/^.*ERROR:  \([0-9A-Z]*\):.*/\1/p' /tmp/psql.err | head -n 1
}

# A server that came up over damaged catalogs fails at whatever is asked of it, and it is the damage that is to be said.
damage='(PANIC|FATAL|ERROR): .*(could not (open|read|stat) (file|relation|block)|could not access status of|invalid page|unexpected zero page'
damage="$damage|missing chunk|cache lookup failed|is not a btree|corrupt|relation mapping file|invalid data in file|database files are)"

roles_failed() {
	words=$(said 'process .*terminated by signal (7|9|10|15):')
	[ -z "$words" ] || fail "$EXIT_NODE_FAILED" "$stage" "a process of the server was killed, the node is to blame and not the backup: $words"
	# PostgreSQL gives no reason for the second; a file that was opened is not written for want of room alone.
	words=$(said '(PANIC|FATAL|ERROR): .*(No space left on device|Disk quota exceeded|could not write init file)')
	[ -z "$words" ] || fail "$EXIT_VOLUME_FULL" "$stage" "the volume is full: $words"
	words=$(said "$damage")
	[ -z "$words" ] || fail "$EXIT_RECOVERY_FAILED" recovery "the database has come up and is damaged: $words"
	fail "$EXIT_ROLES_FAILED" roles "$(psql_error)"
}

is_superuser() {
	[ "$(echo 'SELECT rolsuper FROM pg_roles WHERE rolname = current_user' | sql)" = t ]
}

# A cluster may have been made with another name for its first superuser, or have locked `postgres` out: single-user mode asks nobody.
# It wants a passwd entry for its uid, which PostgreSQL's images have.
need_superuser() {
	! is_superuser || return 0
	locale=$(missing_locale /tmp/psql.err)
	[ -z "$locale" ] || locale_failed "locale $locale that database $PGDATABASE wants"
	[ ! -s /tmp/psql.err ] || grep -qE 'role "postgres"|permission denied to set' /tmp/psql.err || roles_failed
	stop_server
	postgres --single -D "$pgdata" -c config_file="$run/postgresql.conf" template1 >/tmp/single.log 2>&1 <<-'SQL' || :
	CREATE ROLE postgres
	ALTER ROLE postgres SUPERUSER LOGIN CONNECTION LIMIT -1 VALID UNTIL 'infinity'
	SQL
	locale=$(missing_locale /tmp/single.log)
	[ -z "$locale" ] || locale_failed "locale $locale that database $PGDATABASE wants"
	disarm "role postgres was no superuser that may log in"
	start_server
	is_superuser || fail "$EXIT_ROLES_FAILED" roles \
		"no superuser postgres, and single-user mode failed: $(grep -E 'FATAL|ERROR|could not' /tmp/single.log | tail -n 1)"
}

# Prints what was disarmed, one line each. With PASSWORDS=source the roles that are not ours keep theirs.
set_up_roles() {
	sql <<-'SQL'
	\set superuser_password `printf %s "$POSTGRES_PASSWORD"`
	\set kept `printf %s "${PASSWORDS:-generated}"`
	BEGIN;
	SELECT set_config('understory.passwords', :'kept', true) \gset
	SELECT 'passwords of roles: ' || count(*) FROM pg_authid WHERE :'kept' <> 'source'
		AND rolpassword IS NOT NULL AND rolname NOT IN ('postgres', 'analytics') HAVING count(*) > 0;
	SELECT 'subscriptions: ' || string_agg(subname, ' ' ORDER BY subname) FROM pg_subscription HAVING count(*) > 0;
	SELECT 'preloaded libraries of roles and databases: ' || count(*)
		FROM pg_db_role_setting, unnest(setconfig) AS setting WHERE setting ~ '^(session|local)_preload_libraries=' HAVING count(*) > 0;
	DO $$
	DECLARE
		r record;
	BEGIN
		FOR r IN SELECT rolname FROM pg_authid WHERE rolpassword IS NOT NULL AND rolname <> 'postgres'
			AND (rolname = 'analytics' OR current_setting('understory.passwords') <> 'source')
		LOOP
			EXECUTE format('ALTER ROLE %I PASSWORD NULL', r.rolname);
		END LOOP;
		FOR r IN SELECT rolname, datname, split_part(setting, '=', 1) AS name
			FROM pg_db_role_setting CROSS JOIN unnest(setconfig) AS setting
			LEFT JOIN pg_roles ON pg_roles.oid = setrole LEFT JOIN pg_database ON pg_database.oid = setdatabase
			WHERE setting ~ '^(session|local)_preload_libraries='
		LOOP
			EXECUTE CASE
				WHEN r.datname IS NULL THEN format('ALTER ROLE %s RESET %I', coalesce(quote_ident(r.rolname), 'ALL'), r.name)
				WHEN r.rolname IS NULL THEN format('ALTER DATABASE %I RESET %I', r.datname, r.name)
				ELSE format('ALTER ROLE %I IN DATABASE %I RESET %I', r.rolname, r.datname, r.name)
			END;
		END LOOP;
	END
	$$;
	ALTER ROLE postgres SUPERUSER LOGIN PASSWORD :'superuser_password' CONNECTION LIMIT -1 VALID UNTIL 'infinity';
	COMMIT;
	SQL
}

set_up_analytics() {
	sql <<-'SQL'
	\set analytics_password `printf %s "$ANALYTICS_PASSWORD"`
	BEGIN;
	DO $$
	BEGIN
		IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'analytics') THEN
			CREATE ROLE analytics;
		END IF;
	END
	$$;
	ALTER ROLE analytics LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS
		PASSWORD :'analytics_password' CONNECTION LIMIT -1 VALID UNTIL 'infinity';
	COMMIT;
	SQL
}

# Read for analytics, read and write for disaster-recovery.
grant_analytics() {
	if [ "$INTENT" = disaster-recovery ]; then
		role_grants='pg_read_all_data, pg_write_all_data' table_grants='SELECT, INSERT, UPDATE, DELETE' sequence_grants='SELECT, USAGE'
		read_only='RESET default_transaction_read_only'
	else
		role_grants=pg_read_all_data table_grants=SELECT sequence_grants=SELECT
		read_only='SET default_transaction_read_only = on'
	fi
	echo "ALTER ROLE analytics $read_only" | sql || return
	if [ "$major" -ge 14 ]; then
		echo "GRANT $role_grants TO analytics" | sql
	else
		grant_in_every_database
	fi
}

# Before 14 there is no role for it. The name of a database is given by the environment: psql would take an argument with = for more.
grant_in_every_database() {
	while IFS= read -r database; do
		in_database "$database" <<-SQL || return
		SELECT format('GRANT USAGE ON SCHEMA %1\$I TO analytics; GRANT $table_grants ON ALL TABLES IN SCHEMA %1\$I TO analytics;'
			' GRANT $sequence_grants ON ALL SEQUENCES IN SCHEMA %1\$I TO analytics', nspname)
			FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' \gexec
		SQL
	done </tmp/databases
}
