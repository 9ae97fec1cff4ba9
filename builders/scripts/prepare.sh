# shellcheck shell=sh
# From restored files to a database that is recovered, disarmed and has our users; the server of this phase has no network. A pod that
# is made again does it again: every step finds done what is done.
stage=capture
find_server
check_server
[ ! -s /pgdata/damaged ] || fail "$EXIT_RECOVERY_FAILED" recovery "$(cat /pgdata/damaged)"
check_files
check_control_file
classify
check_wal
find_written
check_tablespace_map

# From here on no restore may write this volume.
touch /pgdata/prepared
mend_mode
disarm_files
make_directories
write_config

stage=recovery
started_at=$(date +%s)
[ -z "${lost_wal:-}" ] || reset_wal "$lost_wal"
ask_for_archive_recovery
start_server
recovered

stage=roles
set_session_options
need_superuser
stage='locale'
connect_everywhere
check_tablespaces
stage=rows
find_lost_ends
stage=collation
mend_databases
stage=roles
set_up_roles >/tmp/disarmed || roles_failed
while IFS= read -r what; do
	disarm "$what"
done </tmp/disarmed
if [ "$INTENT" != verify ]; then
	set_up_analytics || roles_failed
	grant_analytics || roles_failed
fi
stop_server
printf '{"postgres_version":"%s"%s}\n' "$major" "$(findings)" >/dev/termination-log
