#!/bin/bash
# What prepare does in every database before anybody may connect: locales, collations, what acts by itself, what is not there. A version
# of a collation that has moved is one that is written into the catalog. TAP on stdout.
# usage: test_script_databases.sh DIRECTORY_OF_SHIPPED_SCRIPTS
scripts=$1
# shellcheck source=tests/builders/script_lib.sh
. "$(dirname "$0")/script_lib.sh"

# $work/moved: a database of ICU whose collations were of other versions, with a trap in whatever a session may set or fire.
make_moved() {
	new_cluster "$work/moved"
	source_start "$work/moved"
	source_sql postgres <<-'SQL'
	CREATE DATABASE "the app" TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US';
	\c "the app"
	CREATE COLLATION german (provider = icu, locale = 'de');
	CREATE COLLATION steady (provider = icu, locale = 'fr');
	CREATE TABLE person (id int, name text, "Nick Name" text COLLATE german, note text COLLATE "C", other text COLLATE steady);
	INSERT INTO person SELECT i, 'n' || i, 'k' || i, 'x', 'y' FROM generate_series(1, 50) i;
	CREATE UNIQUE INDEX by_name ON person (name);
	CREATE INDEX "by Nick" ON person ("Nick Name");
	CREATE INDEX by_expression ON person (length(note COLLATE german));
	CREATE INDEX by_note ON person (note);
	CREATE INDEX by_other ON person (other);
	CREATE INDEX by_id ON person (id);
	CREATE TABLE visit (name text COLLATE german) PARTITION BY RANGE (name);
	CREATE TABLE "a to m" PARTITION OF visit FOR VALUES FROM ('a') TO ('m');
	CREATE TABLE ward (name text COLLATE german) PARTITION BY LIST (name);
	CREATE TABLE unmoved (name text COLLATE steady) PARTITION BY RANGE (name);
	CREATE SCHEMA tools;
	CREATE FUNCTION tools.helper(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT upper($1)';
	CREATE FUNCTION public.indexed(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN helper($1); END';
	SET search_path = tools, public;
	CREATE INDEX by_function ON person (public.indexed(name));
	CREATE FUNCTION public.never() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'an event trigger ran'; END $$;
	CREATE EVENT TRIGGER never ON ddl_command_start EXECUTE FUNCTION public.never();
	ALTER DATABASE "the app" SET statement_timeout = 1;
	ALTER DATABASE "the app" SET search_path = tools, public;
	CREATE ROLE nobody;
	ALTER ROLE postgres SET role = nobody;
	UPDATE pg_collation SET collversion = '1.0' WHERE collname = 'german';
	UPDATE pg_database SET datcollversion = '1.1' WHERE datname = 'the app';
	SQL
	source_stop "$work/moved" fast
}

# SQL in a database of $pod, asked of a server that listens on nothing else.
ask() { # DATABASE SQL
	chown -R postgres "$data"
	source_start "$data" -c "config_file=$work/socket/empty"
	echo "$2" | source_sql "$1" 2>&1
	source_stop "$data" fast
	chown -R 999:999 "$pod/pgdata"
}

test_collations() {
	pod_with moved "$work/moved"
	prepare verify
	is "indexes of collations that have moved are rebuilt" 0 "$status"
	local german default
	german=$(message '.repaired[]' | sed -n 's/.*german 1.0 -> \([0-9.]*\)$/\1/p' | head -n 1)
	default=$(message '.repaired[]' | sed -n 's/.*default 1.1 -> \([0-9.]*\)$/\1/p' | head -n 1)
	is "those and no others" "database the app: index public.\"by Nick\" rebuilt for collation german 1.0 -> $german
database the app: index public.by_expression rebuilt for collation german 1.0 -> $german
database the app: index public.by_function rebuilt for collation default 1.1 -> $default
database the app: index public.by_name rebuilt for collation default 1.1 -> $default" "$(message '.repaired[]')"
	is "and it is said which versions were written" "collation versions of database the app brought up to date: default 1.1 -> $default and 1 more" \
		"$(message '.notes[]' | grep versions)"
	is "what no index mends is noted" "database the app: range partitions of public.visit are bounded by collation german, which has moved: \
a row may lie where it is not looked for" "$(message '.notes[]' | grep partitions)"
	prepare verify
	is "a pod that is made again says the same" "0 4" "$status $(message '.repaired | length')"
	is "the versions are those of the image" "$default|$german" "$(ask "the app" "SELECT datcollversion || '|' ||
		(SELECT collversion FROM pg_collation WHERE collname = 'german') FROM pg_database WHERE datname = current_database()")"
}

test_broken_index() {
	pod_with duplicates "$work/moved"
	ask "the app" "SET session_replication_role = replica; UPDATE pg_index SET indisunique = false, indislive = true WHERE indexrelid = 'public.by_name'::regclass;
		DROP EVENT TRIGGER never; INSERT INTO public.person VALUES (51, 'n1'), (52, 'hidden-patient'), (53, 'hidden-patient');
		UPDATE pg_index SET indisunique = true WHERE indexrelid = 'public.by_name'::regclass" >/dev/null
	prepare verify
	failed_with "$(code EXIT_COLLATION_FAILED)" collation 'index public.by_name of database the app cannot be rebuilt from its table for the collation of this image: ERROR: could not create unique index "by_name"' \
		"duplicates in a unique index are the backup's"
	! grep -q hidden-patient "$pod.log" "$pod/message"
	verdict $? "and no row of them is said"
	is "the version stays what it was" 1.1 "$(ask postgres "SELECT datcollversion FROM pg_database WHERE datname = 'the app'")"

	pod_with no-function "$work/moved"
	ask "the app" "DROP EVENT TRIGGER never; UPDATE pg_proc SET proname = 'gone' WHERE proname = 'helper'" >/dev/null
	prepare verify
	is "a function that is not there is nobody's damage" \
		"0 index public.by_function of database the app was not rebuilt for another collation version: ERROR: function helper(text) does not exist" \
		"$status $(message '.notes[]' | grep function)"
	is "but the version stays" 1.1 "$(ask postgres "SELECT datcollversion FROM pg_database WHERE datname = 'the app'")"
}

test_long_lists() {
	pod_with many "$work/moved"
	ask "the app" "DROP EVENT TRIGGER never; SELECT format('CREATE INDEX \"a \"\"quoted\"\" index with a long name %s\" ON public.person (name)', i)
		FROM generate_series(1, 60) i \\gexec" >/dev/null
	prepare verify
	is "a long list is cut with a count" "0 64 yes" \
		"$status $(message '(.repaired | length) + .repaired_more') $([ "$(wc -c <"$pod/message")" -le 4000 ] && echo yes)"
}

test_locales() {
	pod_with locale "$work/moved"
	ask postgres "CREATE DATABASE stranger; CREATE DATABASE guest; UPDATE pg_database SET datcollate = 'en_AU.UTF-8', datctype = 'en_AU.UTF-8'
		WHERE datname = 'stranger'; UPDATE pg_database SET datcollate = 'English_Australia.1252' WHERE datname = 'guest'" >/dev/null
	prepare verify
	failed_with "$(code EXIT_LOCALE_MISSING)" locale "the image lacks locale English_Australia.1252 that database guest wants, locale en_AU.UTF-8 that \
database stranger wants: the image is to blame, not the backup" "databases whose locale the image lacks are named"

	pod_with every-locale "$work/moved"
	ask postgres "UPDATE pg_database SET datcollate = 'de_CH.UTF-8'" >/dev/null
	prepare verify
	failed_with "$(code EXIT_LOCALE_MISSING)" locale "the image lacks locale de_CH.UTF-8 that database template1 wants" "also where it is all of them"
}

test_surroundings() {
	pod_with around "$work/moved"
	ask "the app" "DROP EVENT TRIGGER never; UPDATE pg_extension SET extname = 'pg_cron'; CREATE DATABASE half; UPDATE pg_database SET datconnlimit = -2
		WHERE datname = 'half'" >/dev/null
	prepare verify
	is "background jobs are disarmed" "0 background jobs of extension pg_cron in database the app" \
		"$status $(message '.disarmed[] | select(startswith("background"))')"
	message '.notes[]' | grep -qxF "extensions the image lacks: pg_cron (database the app)"
	verdict $? "extensions that the image lacks are noted"
	message '.notes[]' | grep -qxF "databases that a DROP DATABASE has half removed: half"
	verdict $? "a database that is half removed is noted"

	pod_with damaged "$work/moved"
	rm "$data/base/$(ask postgres "SELECT oid FROM pg_database WHERE datname = 'the app'")/pg_filenode.map"
	prepare verify
	is "a database that cannot be connected to is for the checks" "0 no connection to database the app" \
		"$status $(message '.notes[0]' | cut -c 1-33)"

	pod_with space "$work/moved"
	mkdir -m 0777 "$work/socket/space-$flavour"
	chown postgres "$work/socket/space-$flavour"
	ask postgres "CREATE TABLESPACE fast LOCATION '$work/socket/space-$flavour'" >/dev/null
	rm "$data"/pg_tblspc/*
	prepare verify
	failed_with "$(code EXIT_INCOMPLETE)" capture "(fast)" "a tablespace that has lost its link"
}

# $work/counted: tables whose pages are counted.
make_counted() {
	new_cluster "$work/counted"
	source_start "$work/counted" -c autovacuum=off
	source_sql postgres <<-'SQL'
	CREATE DATABASE "the app";
	\c "the app"
	CREATE TABLE account (id int PRIMARY KEY, "the Name" text, notes text);
	ALTER TABLE account ALTER notes SET STORAGE EXTERNAL;
	INSERT INTO account SELECT i, 'n' || i, repeat('x', CASE WHEN i % 50 = 0 THEN 9000 ELSE 50 END) FROM generate_series(1, 1000) i;
	CREATE TABLE bare AS SELECT * FROM account;
	CREATE TABLE sorted (name text COLLATE "en-x-icu");
	INSERT INTO sorted SELECT 'n' || i FROM generate_series(1, 2000) i;
	CREATE INDEX ON sorted (name);
	VACUUM ANALYZE;
	UPDATE pg_collation SET collversion = '1.0' WHERE collname = 'en-x-icu';
	SQL
	toast=$(echo "SELECT reltoastrelid::regclass FROM pg_class WHERE relname = 'account'" | source_sql "the app")
	while read -r name; do
		file[$name]=$(echo "SELECT pg_relation_filepath('$name')" | source_sql "the app")
	done <<<"account
bare
sorted
$toast"
	source_stop "$work/counted" fast
}
declare -A file

# PostgreSQL has to be asked for the row: the file reads well up to its end.
test_lost_ends() {
	local label name bytes found
	while IFS='|' read -r label name bytes found; do
		pod_with "short-$bytes-${name#*.}" "$work/counted"
		truncate -s "-$bytes" "$data/${file[$name]}"
		prepare verify
		failed_with "$(code EXIT_INCOMPLETE)" rows "$found" "$label"
	done <<-ROWS
	a page of a table|account|8192|database the app: the file of table public.account has lost its end: ERROR: could not read block
	a part of a page|account|1000|has lost its end: ERROR: could not read block
	of values beside|$toast|8192|the file of table $toast has lost its end: ERROR: could not read block
	of a table whose index would be built anew|sorted|8192|the file of table public.sorted has lost its end: ERROR: could not read block
	ROWS

	pod_with short-bare "$work/counted"
	truncate -s -8192 "$data/${file[bare]}"
	prepare analytics
	is "without an index it is noted" \
		"0 database the app: public.bare has fewer pages than its statistics say, and no index tells whether its end is missing" \
		"$status $(message '.notes[]' | grep bare)"

	pod_with statistics "$work/counted"
	ask "the app" "UPDATE pg_class SET relpages = 9999 WHERE relname = 'account'" >/dev/null
	prepare verify
	is "statistics of another time are no damage" "0 " "$status $(message '.notes[]' | grep account)"
}

make_moved
make_counted
: >"$work/socket/empty"
run_tests test_lost_ends test_collations test_broken_index test_long_lists test_locales test_surroundings
