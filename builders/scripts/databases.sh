# shellcheck shell=sh
# What every database is looked at for, before anybody may connect: can this image serve its locale, do its indexes fit the image's
# collations, what in it acts by itself, what of it the image lacks.
in_database() { # NAME; SQL on stdin
	PGDATABASE=$1 sql
}

# Answers the locale that a connection failed for, if it did.
missing_locale() { # FILE
	sed -n -e 's/.*initialized with LC_[A-Z]* "\([^"]*\)".*/\1/p' -e 's/.*could not create locale "\([^"]*\)".*/\1/p' \
		-e 's/.*could not open collator for locale "\([^"]*\)".*/\1/p' "$1" | head -n 1
}

locale_failed() { # TEXT
	fail "$EXIT_LOCALE_MISSING" locale "the image lacks $1: the image is to blame, not the backup"
}

# Those that can be connected to, into /tmp/databases. One that cannot for another reason is for the checks to judge.
connect_everywhere() {
	echo "SELECT datname FROM pg_database WHERE datallowconn AND datconnlimit <> -2 ORDER BY 1" | sql >/tmp/names || roles_failed
	: >/tmp/databases
	lacking=
	while IFS= read -r database; do
		if echo 'SELECT 1' | in_database "$database" >/dev/null; then
			printf '%s\n' "$database" >>/tmp/databases
			continue
		fi
		locale=$(missing_locale /tmp/psql.err)
		if [ -n "$locale" ]; then
			lacking="$lacking${lacking:+, }locale $locale that database $database wants"
		else
			note "no connection to database $database: $(psql_error)"
		fi
	done </tmp/names
	[ -z "$lacking" ] || locale_failed "$lacking"
}

# --- tables whose file has lost its end ---

# Such a file reads well up to there, and amcheck asks whether rows are in the index, not whether the index' entries have rows. What
# tells: the pages that the last VACUUM, ANALYZE or CREATE INDEX counted (relpages). That is a suspicion and no proof, since a vacuum that
# was cut off, or statistics that were loaded, leave a count that is too high. Unlogged tables are emptied by recovery; shared catalogs are
# counted in one database only. One a line: the table, a tab, a column by which an index leads to each row, if there is one.
short_tables() { # DATABASE
	in_database "$1" <<-'SQL'
	SELECT format('%I.%I', n.nspname, c.relname) || chr(9) || coalesce((SELECT quote_ident(a.attname) FROM pg_index i
		JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am m ON m.oid = ic.relam
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] AND a.attcollation = i.indcollation[0]
		JOIN pg_opclass o ON o.oid = i.indclass[0]
		WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND m.amname = 'btree' AND o.opcdefault AND i.indoption[0] IN (0, 3)
		ORDER BY i.indisprimary DESC, i.indexrelid LIMIT 1), '')
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'm', 't') AND c.relpersistence = 'p' AND NOT c.relisshared AND c.relam < 16384
		AND c.relpages > pg_relation_size(c.oid) / current_setting('block_size')::bigint ORDER BY 1;
	SQL
}

# An index scan and no other way: an index-only scan does not go to the rows, and from 17 on IS NOT NULL of a column that cannot be NULL is
# no reason to use an index, while an order always is.
follow_index() { # DATABASE TABLE COLUMN
	in_database "$1" <<-SQL >/dev/null
	\\set VERBOSITY verbose
	SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off; SET enable_sort = off;
	SELECT count(*) FROM (SELECT 1 FROM ONLY $2 t ORDER BY t.$3 OFFSET 0) f;
	SQL
}

find_lost_end() { # DATABASE TABLE COLUMN
	[ -n "$3" ] || {
		note "database $1: $2 has fewer pages than its statistics say, and no index tells whether its end is missing"
		return
	}
	! follow_index "$@" || return 0
	case $(sqlstate) in
	XX00[12]) fail "$EXIT_INCOMPLETE" rows "database $1: the file of table $2 has lost its end: $(psql_error)" ;;
	esac
	note "database $1: whether the file of table $2 is whole is not known: $(psql_error)"
}

# Once: before an index is built anew from what is left of its table, and before anything counts the pages again.
find_lost_ends() {
	[ ! -e /pgdata/ends ] || return 0
	while IFS= read -r database; do
		short_tables "$database" >/tmp/short || roles_failed
		while IFS='	' read -r table column; do
			find_lost_end "$database" "$table" "$column"
		done </tmp/short
	done </tmp/databases
	touch /pgdata/ends
}

# --- collations ---

# SQL: the collations that the image has in another version than the indexes were built with. Which one a database's default had is
# known from 15 on.
moved() {
	cat <<-'SQL'
	WITH moved AS (SELECT c.oid, format('%I', collname) AS name, format('ALTER COLLATION %I.%I', nspname, collname) AS change,
		collversion AS was, pg_collation_actual_version(c.oid) AS here
		FROM pg_collation c JOIN pg_namespace n ON n.oid = collnamespace
		WHERE collversion <> pg_collation_actual_version(c.oid)
		AND collencoding IN (-1, (SELECT encoding FROM pg_database WHERE datname = current_database()))
	SQL
	[ "$major" -lt 15 ] || cat <<-'SQL'
	UNION ALL SELECT 100, 'default', format('ALTER DATABASE %I', datname), datcollversion, pg_database_collation_actual_version(oid)
		FROM pg_database WHERE datname = current_database() AND datcollversion <> pg_database_collation_actual_version(oid)
	SQL
	echo ')'
}

# One a line: the index, a tab, for what. An index that was not valid is left as it is.
affected_indexes() { # DATABASE
	{
		moved
		cat <<-'SQL'
		, affected AS (SELECT indexrelid AS id, name, was, here
			FROM pg_index CROSS JOIN LATERAL unnest(indcollation::oid[]) AS used JOIN moved ON moved.oid = used
			UNION SELECT objid, name, was, here FROM pg_depend JOIN moved ON moved.oid = refobjid
			WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_collation'::regclass)
		SELECT format('%I.%I', nspname, relname) || chr(9) || string_agg(format('%s %s -> %s', name, was, here), ', ' ORDER BY name)
			FROM affected JOIN pg_index ON indexrelid = id JOIN pg_class c ON c.oid = id JOIN pg_namespace n ON n.oid = relnamespace
			WHERE relkind = 'i' AND indisvalid AND relpersistence <> 't' GROUP BY nspname, relname ORDER BY 1;
		SQL
	} | in_database "$1"
}

# A function in an index may count on the search_path that sessions have here. Duplicates and damage are the backup's; that a function or a library is not
# there is the image's.
rebuild_index() { # DATABASE INDEX
	printf '\\set VERBOSITY verbose\nREINDEX INDEX %s;\n' "$2" | PGOPTIONS=$usual_path in_database "$1" && return
	case $(sqlstate) in
	23* | XX001 | XX002) fail "$EXIT_COLLATION_FAILED" collation "index $2 of database $1 cannot be rebuilt from its table for the collation of \
this image: $(psql_error)" ;;
	53100) fail "$EXIT_VOLUME_FULL" collation "the volume is full: index $2 of database $1: $(psql_error)" ;;
	08* | 57* | 53*) fail "$EXIT_NODE_FAILED" collation "index $2 of database $1: $(psql_error)" ;;
	'') fail "$EXIT_NODE_FAILED" collation "the connection was lost while index $2 of database $1 was rebuilt" ;;
	esac
	note "index $2 of database $1 was not rebuilt for another collation version: $(psql_error)"
	return 1
}

# Rows do not move to where another order would have them.
note_partitions() { # DATABASE
	{
		moved
		cat <<-'SQL'
		SELECT format('range partitions of %I.%I are bounded by collation %s, which has moved: a row may lie where it is not looked for',
			nspname, relname, string_agg(DISTINCT name, ', '))
			FROM pg_partitioned_table CROSS JOIN LATERAL unnest(partcollation::oid[]) AS used JOIN moved ON moved.oid = used
			JOIN pg_class c ON c.oid = partrelid JOIN pg_namespace n ON n.oid = relnamespace
			WHERE partstrat = 'r' GROUP BY nspname, relname ORDER BY 1;
		SQL
	} | in_database "$1" >/tmp/partitions || roles_failed
	while IFS= read -r text; do
		note "database $1: $text"
	done </tmp/partitions
}

# Rebuild, then say it is done: never the other way round, and only where all went well.
mend_collations() { # DATABASE
	note_partitions "$1"
	affected_indexes "$1" >/tmp/indexes || roles_failed
	all_well=yes
	while IFS='	' read -r index versions; do
		if rebuild_index "$1" "$index"; then
			find_out repaired "database $1: index $index rebuilt for collation $versions"
		else
			all_well=no
		fi
	done </tmp/indexes
	[ "$all_well" = yes ] || return 0
	{
		moved
		echo "SELECT format('collation versions of database %s brought up to date: %s', current_database(), min(name || ' ' || was || ' -> ' || here))
			|| CASE WHEN count(*) > 1 THEN format(' and %s more', count(*) - 1) ELSE '' END FROM moved HAVING count(*) > 0;"
	} | in_database "$1" >/tmp/refreshed || roles_failed
	[ ! -s /tmp/refreshed ] || note "$(cat /tmp/refreshed)"
	{
		moved
		echo "SELECT change || CASE oid WHEN 100 THEN ' REFRESH COLLATION VERSION' ELSE ' REFRESH VERSION' END FROM moved \\gexec"
	} | in_database "$1" || roles_failed
	[ "$major" -ge 15 ] || unknown_versions "$1"
}

unknown_versions() { # DATABASE
	unknown=$(echo "SELECT datcollate FROM pg_database WHERE datname = current_database() AND datcollate !~ '^(C|POSIX)(\\.|\$)'" |
		in_database "$1") || roles_failed
	[ -z "$unknown" ] || note "database $1: PostgreSQL $major keeps no version of its default collation $unknown, whether its indexes fit is for the checks"
}

# --- what acts by itself, and what is not there ---

look_around() { # DATABASE
	{
		cat <<-'SQL'
		SELECT 'disarm', format('background jobs of extension %s in database %s', extname, current_database()) FROM pg_extension
			WHERE extname IN ('pg_cron', 'pgagent', 'pg_net', 'timescaledb', 'pg_partman', 'pg_background', 'pglogical', 'citus');
		SELECT 'note', format('extensions the image lacks: %s (database %s)', string_agg(extname, ' ' ORDER BY extname), current_database())
			FROM pg_extension WHERE extname NOT IN (SELECT name FROM pg_available_extensions) HAVING count(*) > 0;
		SQL
		[ "$major" -lt 17 ] || cat <<-'SQL'
		SELECT 'note', format('event triggers at login in database %s: %s', current_database(), string_agg(evtname, ' ' ORDER BY evtname))
			FROM pg_event_trigger WHERE evtevent = 'login' AND evtenabled <> 'D' HAVING count(*) > 0;
		SQL
	} | in_database "$1" >/tmp/around || roles_failed
	while IFS='|' read -r list text; do
		"$list" "$text"
	done </tmp/around
}

# In every database, and the mark on template0, which nobody connects to and which has no index of its own for it.
mend_databases() {
	while IFS= read -r database; do
		look_around "$database"
		mend_collations "$database"
	done </tmp/databases
	[ "$major" -lt 15 ] || echo "SELECT format('ALTER DATABASE %I REFRESH COLLATION VERSION', datname) FROM pg_database
		WHERE datname = 'template0' AND datcollversion <> pg_database_collation_actual_version(oid) \\gexec" | sql || roles_failed
	find_invalid_databases
}

# What a DROP DATABASE that was cut off leaves.
find_invalid_databases() {
	echo "SELECT string_agg(quote_ident(datname), ' ') FROM pg_database WHERE datconnlimit = -2 HAVING count(*) > 0" | sql >/tmp/invalid ||
		roles_failed
	[ ! -s /tmp/invalid ] || note "databases that a DROP DATABASE has half removed: $(cat /tmp/invalid)"
}

# A tablespace whose link is not there, which a store without links loses.
check_tablespaces() {
	echo "SELECT oid, spcname FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')" | sql >/tmp/spaces || roles_failed
	lost=
	while IFS='|' read -r oid name; do
		[ -d "$pgdata/pg_tblspc/$oid/" ] || lost="$lost $oid ($name)"
	done </tmp/spaces
	[ -z "$lost" ] || fail "$EXIT_INCOMPLETE" capture "tablespaces that the backup does not hold:$lost"
}
