# shellcheck shell=bash
# A server of PostgreSQL 15 that keeps its backups and its WAL with pgBackRest, in a store that the caller has brought up. To be sourced
# after script_lib.sh. The caller sets, before make_stanza: $store_options, the lines of pgBackRest's configuration that lead to the store.
# shellcheck disable=SC2154,SC2034 # the caller's
origin=$work/origin

pgbackrest_at_source() { # ARGUMENT...
	as_postgres pgbackrest --config="$work/pgbackrest.conf" --stanza=main "$@"
}

make_stanza() {
	install -d -o postgres "$work/socket" "$origin" "$work/space" "$work/lock"
	cat >"$work/pgbackrest.conf" <<-CONF
	[global]
	$store_options
	lock-path=$work/lock
	spool-path=$work/lock
	log-level-file=off
	log-level-console=error
	start-fast=y
	archive-timeout=240
	compress-type=gz
	process-max=2
	[main]
	pg1-path=$origin/data
	pg1-socket-path=$work/socket
	CONF
	chown postgres "$work/pgbackrest.conf"
	chmod 600 "$work/pgbackrest.conf"
	new_cluster "$origin/data"
	source_start "$origin/data" -c archive_mode=on \
		-c "archive_command='pgbackrest --config=$work/pgbackrest.conf --stanza=main archive-push %p'"
	pgbackrest_at_source stanza-create
}

source_stops() { source_stop "$origin/data" fast; }

labels() { # REPOSITORY
	pgbackrest_at_source info --output=json | jq -r --argjson key "$1" '.[0].backup[] | select(.database."repo-key" == $key).label'
}

# Ends the WAL file in hand and waits until the archive has it. pg_stat_archiver knows the last one alone, which may be an older backup's mark.
archive_wal() {
	local file deadline=$((SECONDS + 240))
	file=$(source_sql postgres <<<'SELECT pg_walfile_name(pg_switch_wal())')
	until [ -e "$origin/data/pg_wal/archive_status/$file.done" ]; do
		[ $SECONDS -lt $deadline ] || return 1
		sleep 0.1
	done
}

# A full backup, an incremental one, and WAL after it; rows of a table, and of one in a tablespace, come in each of the three steps.
make_backups() {
	source_sql postgres <<-SQL
	CREATE TABLESPACE space LOCATION '$work/space';
	CREATE TABLE fact AS SELECT i, repeat('x', 100) AS text FROM generate_series(1, 1000) i;
	CREATE TABLE away TABLESPACE space AS SELECT * FROM generate_series(1, 10) i;
	SQL
	pgbackrest_at_source backup --repo=1 --type=full
	source_sql postgres <<<'INSERT INTO fact SELECT i FROM generate_series(1, 200) i; INSERT INTO away VALUES (11)'
	pgbackrest_at_source backup --repo=1 --type=incr
	source_sql postgres <<<'INSERT INTO fact SELECT i FROM generate_series(1, 30) i; INSERT INTO away VALUES (12)'
	archive_wal
	{ read -r full && read -r incremental; } < <(labels 1)
}

# Rows of both tables of what was restored, prepared and started in $pod.
rows_of_restored() {
	prepare analytics
	[ "$status" = 0 ] && start_server "$address" && query analytics hidden-analytics postgres \
		'SELECT (SELECT count(*) FROM fact), (SELECT count(*) FROM away)'
	stop
}
