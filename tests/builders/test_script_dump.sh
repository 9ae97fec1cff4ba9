#!/bin/bash
# Dumps of pg_dump: looked at by the restore Job, loaded by the init step of the Deployment. Real pg_dump, pg_dumpall, pg_restore and
# PostgreSQL 15; the dumps come from the claim of a `file` backup. TAP on stdout.
# usage: test_script_dump.sh DIRECTORY_OF_SHIPPED_SCRIPTS
scripts=$1
# shellcheck source=tests/builders/script_lib.sh
. "$(dirname "$0")/script_lib.sh"

odd='a-b"c'

# Two databases, one of an odd name, with what dumps are known to stumble over: rights, policies, what only a superuser may own.
make_source() {
	local data=$work/source
	new_cluster "$data"
	source_start "$data"
	source_sql postgres >/dev/null <<-'SQL'
	CREATE ROLE boss SUPERUSER LOGIN PASSWORD 'from-the-source';
	CREATE ROLE "Mixed ""Case""" NOLOGIN CREATEROLE;
	CREATE ROLE reader LOGIN REPLICATION CONNECTION LIMIT 7;
	CREATE ROLE passing LOGIN;
	GRANT pg_read_all_data, pg_execute_server_program TO reader;
	GRANT "Mixed ""Case""" TO reader WITH ADMIN OPTION;
	GRANT postgres TO passing;
	ALTER ROLE reader SET search_path TO audit, public;
	COMMENT ON ROLE reader IS 'CREATE ROLE smuggled SUPERUSER;
	CREATE ROLE smuggled;';
	CREATE DATABASE app OWNER boss;
	CREATE DATABASE "a-b""c" ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0;
	ALTER DATABASE app SET statement_timeout = '17min';
	GRANT CONNECT ON DATABASE app TO passing;
	\c app
	CREATE SCHEMA audit AUTHORIZATION "Mixed ""Case""";
	CREATE TABLE fact (id int PRIMARY KEY, text text);
	INSERT INTO fact SELECT i, md5(i::text) FROM generate_series(1, 12345) i;
	ALTER TABLE fact OWNER TO boss;
	CREATE TABLE audit.seen (fact int REFERENCES fact, at timestamptz);
	INSERT INTO audit.seen SELECT i, now() FROM generate_series(1, 100) i;
	ALTER TABLE audit.seen ENABLE ROW LEVEL SECURITY;
	CREATE POLICY own ON audit.seen TO passing, reader USING (true);
	GRANT SELECT ON fact TO reader WITH GRANT OPTION;
	ALTER DEFAULT PRIVILEGES FOR ROLE boss GRANT SELECT ON TABLES TO passing;
	CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM fact;
	CREATE FUNCTION act() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
	CREATE EVENT TRIGGER acts ON ddl_command_end EXECUTE FUNCTION act();
	ALTER EVENT TRIGGER acts OWNER TO boss;
	SELECT lo_from_bytea(4711, 'large');
	COMMENT ON TABLE fact IS 'a comment that is long enough to put another statement in its place..............................';
	CREATE PUBLICATION everything FOR ALL TABLES;
	\c "a-b""c"
	CREATE TABLE other AS SELECT generate_series(1, 77) AS i;
	SQL
	install -d "$work/repository/both"
	source_dump app -Fc >"$work/repository/both/app.dump"
	source_dump "$odd" -Fc >"$work/repository/both/odd.dump"
	as_postgres $bin/pg_dumpall -h "$work/socket" -U postgres --globals-only >"$work/repository/both/globals.sql"
	echo '{"backup_time": "2026-11-20T02:00:00Z"}' >"$work/repository/both/metadata.json"
	offer plain app.sql "$(source_dump app)"
	install -d "$work/repository/tar"
	source_dump "$odd" -Fd -f "$work/socket/directory"
	cp -r "$work/socket/directory/." "$work/repository/tar"
	source_stop "$data" fast
}

source_dump() { # DATABASE [OPTION]...
	as_postgres $bin/pg_dump -h "$work/socket" -U postgres -d "dbname='$1'" "${@:2}"
}

# A folder of the store with one file.
offer() { # FOLDER FILE TEXT
	install -d "$work/repository/$1"
	printf '%s' "$3" >"$work/repository/$1/$2"
}

# A folder like `both`, in which a command changes something.
variant() { # FOLDER COMMAND...
	rm -rf "$work/repository/$1"
	cp -r "$work/repository/both" "$work/repository/$1"
	(cd "$work/repository/$1" && "${@:2}")
}

fetch() { # FOLDER [VARIABLE]...
	run restore-dump-file < <(printf '%s\n' "SNAPSHOT_ID=$1" BACKUP_DIR=/repository POSTGRES_NEWEST_MAJOR=15 "${@:2}")
}

# PostgreSQL's images know their user.
dump_pod() { # LABEL
	new_pod "$1"
	echo 'postgres:x:999:999::/:/bin/sh' >"$pod/passwd"
}

load() { # INTENT [VARIABLE]...
	local intent=$1
	shift
	run prepare-dump < <(printf '%s\n' "INTENT=$intent" POSTGRES_PASSWORD="hidden-superuser" ANALYTICS_PASSWORD="hidden-analytics" \
		JOBS=2 "$@")
}

test_fetch() {
	dump_pod fetched
	fetch both
	is "dumps are fetched" "0 15 dump dump 15.20 (volume) 4 both" \
		"$status $(message '.postgres_version + " " + .layout + " " + .engine + " " + (.files | tostring) + " " + .backup')"
	is "what is a dump is listed" "app.dump odd.dump" "$(paste -s -d ' ' "$pod/pgdata/dumps/list")"
	fetch both POSTGRES_NEWEST_MAJOR=14
	failed_with "$(code EXIT_MISCONFIGURED)" capture "the dump is newer than every server: it comes of a server of PostgreSQL 15" \
		"a dump newer than every server"
	[ ! -e "$pod/pgdata/dumps" ]
	verdict $? "and what an earlier pod has left is gone"

	fetch nowhere
	failed_with "$(code EXIT_SNAPSHOT_GONE)" restore "the volume has no folder" "a folder that is not there"
	variant short truncate -s 40 app.dump
	fetch short
	failed_with "$(code EXIT_INCOMPLETE)" capture "dump app.dump is cut short in its header: it has 40 bytes" "a header cut short"
	variant empty truncate -s 0 odd.dump
	fetch empty
	failed_with "$(code EXIT_INCOMPLETE)" capture "odd.dump is no dump of pg_dump's custom format" "an empty dump"
	fetch plain
	failed_with "$(code EXIT_NO_CLUSTER)" capture "holds no dump of pg_dump's custom format" "a dump in plain SQL"
	fetch tar
	failed_with "$(code EXIT_NO_CLUSTER)" capture "toc.dat is of another format of pg_dump than custom" "a dump in the directory format"
	variant globals sed -i '/dump complete/d' globals.sql
	fetch globals
	failed_with "$(code EXIT_INCOMPLETE)" capture "globals.sql is cut short" "globals cut short"
	variant a-newer-one sed -i s/20T/21T/ metadata.json
	fetch latest
	is "the latest of those that have metadata.json" "0 a-newer-one" "$status $(message .backup)"
	rm -r "$work/repository/a-newer-one"
	touch "$pod/pgdata/prepared"
	fetch both
	failed_with "$(code EXIT_VOLUME_IN_USE)" restore "a database was started from this volume" "a volume that serves is not written"
}

# Each prefix of the header is cut short, and the header is read whatever the size of a number is.
test_headers() {
	dump_pod headers
	local size wrong=
	for size in 5 11 12 30 50 70; do
		variant short truncate -s $size app.dump
		fetch short
		[ "$status" = "$(code EXIT_INCOMPLETE)" ] || wrong="$wrong $size"
	done
	is "each header that is cut is seen" "" "$wrong"
	# 1.15 keeps a byte in place of the number for the compression.
	variant newer /usr/bin/python3 -c '
data = bytearray(open("app.dump", "rb").read())
assert data[:7] == b"PGDMP\x01\x0e" and data[8] == 4
data[6] = 15
del data[12:16]
at = data.index(b"15.20 ")
data[at:at + 2] = b"17"
open("app.dump", "wb").write(data)'
	fetch newer POSTGRES_NEWEST_MAJOR=18
	is "a header of format 1.15" "0 17" "$status $(message .postgres_version)"
	variant older sed -i 's/15\.20 /9.6.2 /g' app.dump
	fetch older
	is "pg_dump or server, the newer one counts" "0 15" "$status $(message .postgres_version)"
	rm "$work/repository/older/odd.dump"
	fetch older
	is "what is older than all that can be restored" "0 10" "$status $(message .postgres_version)"
}

test_load() {
	new_address
	dump_pod loaded
	fetch both
	load analytics
	is "dumps are loaded" "0 15 dump 1" "$status $(message '.postgres_version + " " + .capture + " " + (.load_warnings | tostring)')"
	is "rights that were not given are named" 'role "Mixed ""Case""": createrole
role boss: superuser
role reader: replication
role reader: member of pg_execute_server_program
role passing: member of postgres
passwords of roles: 1' "$(message '.disarmed[]')"
	is "warnings are shown" "database app: WARNING: wal_level is insufficient to publish logical changes" \
		"$(message '.notes[] | select(startswith("database app: "))')"
	is "and what was left out" "statements of globals.sql that are not for a restore: COMMENT ON (1), CREATE ROLE (1)" \
		"$(message '.notes[] | select(startswith("statements"))')"
	is "the message says no recovery point" "null null" "$(message '"\(.checkpoint_at) \(.recovered_to)"')"
	[ ! -e "$pod/pgdata/dumps" ] && [ ! -e "$pod/pgdata/loading" ]
	verdict $? "the dumps are gone"
	is "checksums are on" 1 "$(control_of "$pod/pgdata/pgdata" "Data page checksum version")"
	start_server "$address"
	verdict $? "the server comes up"
	is "the rows are there" "12345 100 12345 large" "$(query postgres hidden-superuser app \
		"SELECT concat_ws(' ', (SELECT count(*) FROM fact), (SELECT count(*) FROM audit.seen), (SELECT count FROM totals), convert_from(lo_get(4711), 'UTF8'))")"
	is "of a database of an odd name too, in its encoding" "77 LATIN1 C" "$(query postgres hidden-superuser "dbname='$odd'" \
		"SELECT count(*) || ' ' || current_setting('server_encoding') || ' ' || current_setting('lc_collate') FROM other")"
	is "owners and rights are those of the source" 'boss boss "Mixed ""Case""" t t t 17min' "$(query postgres hidden-superuser app \
		"SELECT concat_ws(' ', (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'app'), (SELECT tableowner FROM pg_tables
		WHERE tablename = 'fact'), (SELECT quote_ident(pg_get_userbyid(nspowner)) FROM pg_namespace WHERE nspname = 'audit'),
		has_table_privilege('reader', 'fact', 'SELECT WITH GRANT OPTION'), has_database_privilege('passing', 'app', 'CONNECT'),
		(SELECT polroles @> ARRAY['passing'::regrole::oid] FROM pg_policy), (SELECT reset_val FROM pg_settings WHERE name = 'statement_timeout'))" |
		sed 's/1020000/17min/')"
	is "nobody but postgres may do everything" "postgres" "$(query postgres hidden-superuser postgres "SELECT string_agg(rolname, ' ') FROM pg_roles
		WHERE rolsuper OR rolreplication OR rolcreaterole OR rolbypassrls OR (rolname !~ '^pg_' AND (pg_has_role(oid, 'postgres', 'MEMBER') OR
		pg_has_role(oid, 'pg_execute_server_program', 'MEMBER')))")"
	is "members, limits and settings of roles" "t 7 {\"search_path=audit, public\"}" "$(query postgres hidden-superuser postgres "SELECT concat_ws(' ',
		pg_has_role('reader', 'Mixed \"Case\"', 'MEMBER'), rolconnlimit, rolconfig) FROM pg_roles WHERE rolname = 'reader'")"
	is "nothing is made of a comment" 0 "$(query postgres hidden-superuser postgres "SELECT count(*) FROM pg_roles WHERE rolname = 'smuggled' AND rolcanlogin")"
	query boss from-the-source app 'SELECT 1' | grep -q 'password authentication failed'
	verdict $? "a password of the source is refused"
	is "analytics reads" 12345 "$(query analytics hidden-analytics app 'SELECT count(*) FROM fact')"
	stop
	load analytics
	is "a pod that is made again loads nothing again" "0 dump" "$status $(message .capture)"
	! grep -q hidden "$pod.log" "$pod/message"
	verdict $? "no password in the log or the message"
}

test_names() {
	new_address
	dump_pod names
	fetch both
	load verify DATABASES="app$(printf '\t')$odd"
	failed_with "$(code EXIT_MISCONFIGURED)" load "two dumps would become database $odd" "two dumps of one name"
	load verify DATABASES="production$(printf '\t')x"
	failed_with "$(code EXIT_MISCONFIGURED)" load 'the entry'\''s "databases" names production, which no dump is of; there are: app a-b"c' \
		"a name that no dump is of"
	load verify DATABASES="app$(printf '\t')template1"
	failed_with "$(code EXIT_MISCONFIGURED)" load "cannot be loaded as template0 or template1" "a template"
	begin prepare-dump < <(printf '%s\n' INTENT=verify POSTGRES_PASSWORD=hidden-superuser "DATABASES=app$(printf '\t')it's = \"\\ \$(x)")
	wait "$begun"
	status=$?
	is "a database gets the name that it is to have" "0" "$status"
	start_server "$address"
	is "whatever that is, with its settings" "12345 1020000 boss" "$(query postgres hidden-superuser "dbname='it\\'s = \"\\\\ \$(x)'" \
		"SELECT concat_ws(' ', (SELECT count(*) FROM fact), (SELECT reset_val FROM pg_settings WHERE name = 'statement_timeout'),
		(SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()))")"
	stop
}

# What no pg_dumpall writes: what is quoted without need, more in a line, commands of psql.
test_hostile_globals() {
	[ "$flavour" = dash ] || return 0
	new_address
	dump_pod hostile
	variant hostile rm odd.dump
	cat >>"$work/repository/hostile/globals.sql" <<-'SQL'
	CREATE ROLE evil;
	ALTER ROLE "evil" WITH SUPERUSER LOGIN PASSWORD 'x' VALID UNTIL 'infinity' SUPERUSER;
	GRANT "postgres" TO evil;
	GRANT "pg_write_server_files" TO evil;
	CREATE ROLE other; ALTER ROLE other SUPERUSER;
	ALTER ROLE evil SET search_path TO ''; \! touch /pgdata/touched
	ALTER ROLE evil SET x TO 'a'; ALTER ROLE evil SUPERUSER;
	\! touch /pgdata/touched
	SQL
	fetch hostile
	load verify
	is "globals that mean harm are loaded" "0 role evil: superuser superuser;role evil: member of postgres;role evil: member of pg_write_server_files" \
		"$status $(message '[.disarmed[] | select(contains("evil"))] | join(";")')"
	[ ! -e "$pod/pgdata/touched" ]
	verdict $? "and have nothing run"
	start_server "$address"
	is "or given" "f f 0" "$(query postgres hidden-superuser postgres "SELECT concat_ws(' ', rolsuper, pg_has_role('evil', 'postgres', 'MEMBER'),
		(SELECT count(*) FROM pg_roles WHERE rolname = 'other')) FROM pg_roles WHERE rolname = 'evil'")"
	stop
}

test_no_globals() {
	[ "$flavour" = dash ] || return 0
	new_address
	dump_pod no-globals
	variant alone rm globals.sql odd.dump
	fetch alone
	load verify
	is "without globals a dump is loaded" "0 4" "$status $(message '[.notes[] | select(endswith("no globals.sql does"))] | length')"
	start_server "$address"
	is "its roles have no rights" "boss f f" "$(query postgres hidden-superuser app "SELECT concat_ws(' ', tableowner, rolsuper, rolcanlogin)
		FROM pg_tables JOIN pg_roles ON rolname = tableowner WHERE tablename = 'fact'")"
	stop
}

# Cut anywhere behind the header: in the table of contents, in the rows, in the last byte.
test_cut_dumps() {
	[ "$flavour" = dash ] || return 0
	local size whole
	whole=$(stat -c %s "$work/repository/both/app.dump")
	for size in 3000 $((whole / 2)) $((whole - 1)); do
		dump_pod cut
		rm -rf "$pod/pgdata"/*
		variant cut truncate -s $size app.dump
		fetch cut
		load verify
		failed_with "$(code EXIT_INCOMPLETE)" load "dump app.dump is cut short or damaged" "a dump of $whole bytes cut to $size"
		[ ! -e "$pod/pgdata/pgdata" ]
		verdict $? "cannot be started"
	done
}

# A dump whose SQL is changed after pg_dump: of the same length, in what pg_dump leaves uncompressed.
changed_dump() { # FROM TO [VARIABLE]...
	variant changed /usr/bin/python3 -c '
import sys
data = open("app.dump", "rb").read()
was, is_now = (a.encode() for a in sys.argv[1:])
assert len(was) == len(is_now) and was in data
open("app.dump", "wb").write(data.replace(was, is_now))' "$1" "$2"
	dump_pod changed
	rm -rf "$pod/pgdata"/*
	fetch changed
	load verify "${@:3}"
}

# A dump with this statement.
stating() { # SQL [VARIABLE]...
	local was="COMMENT ON TABLE public.fact IS 'a comment that is long enough to put another statement in its place" sql="$1; --"
	changed_dump "$was" "$sql$(printf '%*s' $((${#was} - ${#sql})) '')" "${@:2}"
}

test_faults() {
	[ "$flavour" = dash ] || return 0
	changed_dump "LOCALE = 'C.UTF-8'" "LOCALE = 'xx_YY.Z'"
	failed_with "$(code EXIT_LOCALE_MISSING)" locale "the image lacks locale xx_YY.Z that database app wants" "a locale that the image lacks"
	changed_dump "CREATE SCHEMA audit;" "CREATE EXTENSION ab;"
	failed_with "$(code EXIT_EXTENSION_MISSING)" load "the image lacks an extension, it is to blame and not the backup: could not execute" \
		"an extension that the image lacks"
	changed_dump "CREATE MATERIALIZED VIEW" "CREATE NATERIALIZED VIEW"
	failed_with "$(code EXIT_LOAD_FAILED)" load "database app: dump app.dump cannot be loaded" "a dump that no server takes"
	while IFS='|' read -r label expected words; do
		stating "DO 'BEGIN RAISE ''$words''; END'"
		[ "$status" = "$expected" ] && [ "$(message .stage)" = load ] && message .error | grep -qF "$words"
		verdict $? "$label"
	done <<-ROWS
	an extension that wants to be preloaded|$(code EXIT_MISCONFIGURED)|extension "timescaledb" must be preloaded
	a library that the image lacks|$(code EXIT_EXTENSION_MISSING)|could not access file "x": No such file
	a volume that is full|$(code EXIT_VOLUME_FULL)|could not extend file "x": No space left on device
	something else|$(code EXIT_LOAD_FAILED)|division by zero
	ROWS
}

# Where nothing moves for long the load ends; a server that only computes moves.
test_stall() {
	stating "DO 'BEGIN PERFORM pg_sleep(3600); END'" RECOVERY_STALL_SECONDS=4
	failed_with "$(code EXIT_RECOVERY_STALLED)" load "load stands still: nothing has moved for" "no movement ends a load"
	[ -d "$pod/pgdata/dumps" ] && [ ! -e "$pod/pgdata/pgdata" ]
	verdict $? "and leaves the dumps for the next pod, and nothing that could be started"
	stating "DO 'BEGIN WHILE clock_timestamp() < now() + ''9 s'' LOOP END LOOP; END'" RECOVERY_STALL_SECONDS=4
	is "what computes, and reads and writes nothing, is waited for" "0 dump" "$status $(message .capture)"
}

# What the restore left is counted before the load, and no more once a cluster has been made of it.
test_files_gone() {
	dump_pod gone
	fetch both
	mv "$pod/pgdata/dumps/files/odd.dump" "$pod/odd.dump"
	load verify RESTORED_FILES=4
	failed_with "$(code EXIT_NODE_FAILED)" load "the restore left 4 files in /pgdata/dumps, 3 are there now: the volume is to blame" \
		"a volume that lost a dump"
	mv "$pod/odd.dump" "$pod/pgdata/dumps/files/odd.dump"
	mv "$pod/pgdata/dumps/major" "$pod/major"
	load verify RESTORED_FILES=4
	failed_with "$(code EXIT_NODE_FAILED)" load "the volume is to blame and not the backup" "a volume that lost what the restore noted"
	mv "$pod/major" "$pod/pgdata/dumps/major"
	load verify RESTORED_FILES=4
	is "with all of it the dumps are loaded" "0 dump" "$status $(message .capture)"
	load verify RESTORED_FILES=4
	is "and what came of them is not counted" "0 dump" "$status $(message .capture)"
	rm -r "$pod/pgdata/pgdata"
	load verify RESTORED_FILES=4
	failed_with "$(code EXIT_NODE_FAILED)" load "the restore left 4 files in /pgdata/dumps, 0 are there now" "a volume that lost all"
}

test_is_killed() {
	[ "$flavour" = dash ] || return 0
	dump_pod killed
	fetch both
	begin prepare-dump < <(printf '%s\n' INTENT=verify POSTGRES_PASSWORD=hidden-superuser)
	local deadline=$((SECONDS + 30))
	until [ "$(find "$pod/pgdata/loading/base" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l)" -ge 4 ] || [ $SECONDS -ge $deadline ]; do
		sleep 0.05
	done
	pkill -9 -P "$begun" # the first process of the pod, and with it all the others
	wait "$begun"
	[ -d "$pod/pgdata/loading" ] && [ ! -e "$pod/pgdata/pgdata" ]
	verdict $? "a load that is killed leaves nothing that could be started"
	load verify
	is "and the next pod begins anew" "0 dump" "$status $(message .capture)"
}

make_source
flavour=shellcheck pod=$work/shellcheck
mkdir -p "$pod"
: >"$pod/message"
for script in restore-dump restore-dump-file prepare-dump; do
	shellcheck -s sh "$scripts/$script.sh" >"$pod.log" 2>&1
	verdict $? "$script.sh as it is shipped"
done
run_tests test_fetch test_headers test_load test_names test_hostile_globals test_no_globals test_cut_dumps test_faults test_stall test_files_gone test_is_killed
