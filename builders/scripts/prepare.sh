# shellcheck shell=sh
# From restored files to a database that is recovered, disarmed and has our users; the server of this phase has no network. A pod that
# is made again does it again: every step finds done what is done.
stage=capture
find_server
check_server
chmod 0700 "$pgdata"
check_control_file
check_wal
check_tablespace_map

# From here on no restore may write this volume.
touch /pgdata/prepared
disarm_files
write_config

stage=recovery
started_at=$(date +%s)
start_server
recovery_seconds=$(($(date +%s) - started_at))

stage=roles
need_superuser
set_up_roles >/tmp/disarmed || roles_failed
while IFS= read -r what; do
	disarm "$what"
done </tmp/disarmed
if [ "$INTENT" != verify ]; then
	set_up_analytics || roles_failed
	grant_analytics || roles_failed
fi
stop_server

items=
while IFS= read -r what; do
	items="$items${items:+,}\"$(json_text "$(printf '%s' "$what" | cut -c 1-300)")\""
done </pgdata/prepared
printf '{"postgres_version":"%s","disarmed":[%s],"recovery_seconds":%d}\n' "$major" "$items" "$recovery_seconds" \
	>/dev/termination-log
