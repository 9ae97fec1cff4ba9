# shellcheck shell=sh
# The configuration that PostgreSQL runs with: ours, outside PGDATA, so that nothing of the source's is read.

# Recovery compares five settings with those of the source and refuses lower ones.
at_least() { # FIELD FLOOR
	value=$(control "$1 setting" | tr -cd '0-9')
	if [ "${value:-0}" -gt "$2" ]; then printf '%s' "$value"; else printf '%s' "$2"; fi
}

# Quarantine: no foreign code but what the settings name for this flavour of the server, no jobs, no traffic of its own; no commit waits
# for a standby; no statement with a password in the log.
# max_replication_slots also bounds the replication origins that recovery finds (from 18 a setting of its own), else a PANIC.
write_config() {
	cat >"$run/postgresql.conf" <<-CONF
	hba_file = '$run/pg_hba.conf'
	ident_file = '$run/pg_ident.conf'
	listen_addresses = ''
	port = 5432
	unix_socket_directories = '$run'
	password_encryption = 'scram-sha-256'
	ssl = off
	shared_preload_libraries = '${PRELOAD:-}'
	session_preload_libraries = ''
	local_preload_libraries = ''
	max_logical_replication_workers = 0
	archive_mode = off
	synchronous_standby_names = ''
	wal_level = replica
	max_replication_slots = 256
	hot_standby = off
	max_connections = $(at_least max_connections 100)
	max_worker_processes = $(at_least max_worker_processes 8)
	max_wal_senders = $(at_least max_wal_senders 10)
	max_prepared_transactions = $(at_least max_prepared_xacts 0)
	max_locks_per_transaction = $(at_least max_locks_per_xact 64)
	huge_pages = off
	dynamic_shared_memory_type = posix
	lc_messages = 'C'
	log_destination = 'stderr'
	logging_collector = off
	log_line_prefix = '%m [%p] '
	log_timezone = 'UTC'
	log_statement = 'none'
	log_min_error_statement = panic
	log_min_duration_statement = -1
	CONF
	# Nothing but the checks works on what is only proven.
	[ "$INTENT" != verify ] || printf 'autovacuum = off\n' >>"$run/postgresql.conf"
	[ "$major" -lt 18 ] || printf 'max_active_replication_origins = 256\n' >>"$run/postgresql.conf"

	write_hba ''
	: >"$run/pg_ident.conf"
}
