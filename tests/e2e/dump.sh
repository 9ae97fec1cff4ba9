#!/bin/bash
# Dumps end to end: pg_dump to S3, rclone through the credential proxy, a new cluster, pg_restore, the checks, the report. Speaks TAP;
# needs root.
#
# usage: dump.sh BUILD_FOLDER
# One replica whose pod is taken away while it loads, one whose dump is cut short, one whose names do not fit, side by side.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh" "$1" e2e-dump
# shellcheck source=tests/e2e/backups.sh
. "$(dirname "$0")/backups.sh"
readonly ODD='a-b"c'

# --- backups

store()
{
	(
		set -a
		# shellcheck disable=SC1091
		. "$WORK/s3/keys/backup.key"
		exec env RCLONE_CONFIG=/dev/null RCLONE_CONFIG_STORE_TYPE=s3 RCLONE_CONFIG_STORE_PROVIDER=Other \
			RCLONE_CONFIG_STORE_ENV_AUTH=true "RCLONE_CONFIG_STORE_ENDPOINT=$S3_ENDPOINT" \
			RCLONE_CONFIG_STORE_FORCE_PATH_STYLE=true rclone "$@"
	) 2>>"$WORK/log/rclone.log"
}

make_dumps()
{
	mkdir -p "$WORK/dumps/cut"
	source_sql postgres 'CREATE ROLE keeper SUPERUSER LOGIN PASSWORD '"'from-the-source'"
	source_sql clinic 'ALTER TABLE patient OWNER TO keeper'
	dump "$WORK/dumps/night" pgbench clinic || return 1
	head -c -1000 "$WORK/dumps/night/clinic.dump" >"$WORK/dumps/cut/clinic.dump"
	store mkdir "store:$BUCKET"
	store copy "$WORK/dumps" "store:$BUCKET/$PREFIX"
}

write_settings()
{
	cat >"$WORK/understory.yaml" <<-EOC
		engines: {tamanu-postgres: dump}
		intents:
		  verify: {storageSize: 1Gi}
		  analytics: {storageSize: 1Gi, cpuLimit: 2, depth: deep}
		  disaster-recovery: {storageSize: 1Gi}
	EOC
}

# mapped FROM TO: an entry on stdin whose database gets another name.
mapped() { sed "s/params: {}/params: {}, databases: {'$1': '$2'}/"; }

# --- questions

# report_of REPLICA_ID KEY...: of health_details, in the one report.
report_of()
{
	curl -fsS -m 20 "$CANOPY/_reports" | python3 -c '
import json, sys
for row in json.load(sys.stdin):
    if row["body"].get("replica_id") == sys.argv[1]:
        value = row["body"]["health_details"]
        for key in sys.argv[2:]:
            value = value.get(key) if value else None
        print(value if isinstance(value, str) else json.dumps(value))' "$@"
}
prepare_logs() { cat "$WORK/node/$1"/postgres-*/prepare*.log 2>/dev/null; }
is_loading() { prepare_logs "$1" | grep -q 'ready to accept connections'; }
take_pods_away()
{
	local pod
	for pod in $(api "/api/v1/namespaces/$1/pods?labelSelector=app.kubernetes.io/component=database" | python3 -c '
import json, sys
print(*(pod["metadata"]["name"] for pod in json.load(sys.stdin)["items"]))'); do
		api_delete "/api/v1/namespaces/$1/pods/$pod"
	done
}
began_twice() { [ "$(prepare_logs "$1" | grep -c 'database system was shut down at')" -ge 2 ]; }
containers_of_job() { api "/apis/batch/v1/namespaces/$1/jobs" | python3 -c '
import json, sys
pod = json.load(sys.stdin)["items"][0]["spec"]["template"]["spec"]
print(*sorted(c["name"] for c in pod["containers"] + pod.get("initContainers", [])))'; }

# --- what is shown

dumps()
{
	dumps_come_up
	faults_have_owners
}

dumps_come_up()
{
	local ns
	setting_up "$(entry $ANALYTICS analytics night | mapped clinic "$ODD"; entry $VERIFY verify cut
		entry $RECOVERY disaster-recovery night | mapped production clinic)"
	start_operator
	check "the dumps are brought" comes 60 state_is $ANALYTICS starting
	ns=$(namespace_of $ANALYTICS)
	check "by rclone through the proxy" test "$(containers_of_job "$ns")" = 'proxy restore'
	check "they are being loaded" comes 30 is_loading "$ns"
	check "which why says, and how much that is" comes 30 says 'Progress .*iB of dumps, for .*; how much is left is not known' \
		"$UNDERSTORY" why "$ns"
	take_pods_away "$ns"
	check "a pod that goes meanwhile is followed by one that begins anew" comes 30 began_twice "$ns"
	check "the replica becomes active" comes 90 state_is $ANALYTICS active
	check "its report is healthy" comes 30 landed healthy 1
	check "the rows are there" test "$(replica_sql "$ns" analytics pgbench 'SELECT count(*) FROM pgbench_accounts')" = 1000000
	check "also in the database of an odd name" test "$(replica_sql "$ns" analytics "dbname='$ODD'" \
		'SELECT count(*) FROM visit')" = 40000
	check "of the owner that they had, who is no superuser" test "$(replica_sql "$ns" postgres "dbname='$ODD'" \
		"SELECT rolname || ' ' || rolsuper FROM pg_class JOIN pg_roles r ON r.oid = relowner WHERE relname = 'patient'")" = 'keeper false'
	check "the report says so" says 'role keeper: superuser' report_of $ANALYTICS disarmed
	check "and that it was a dump, without warnings" test "$(report_of $ANALYTICS capture) $(report_of $ANALYTICS load_warnings)" = 'dump 0'
	check "and the engine" test "$(report_of $ANALYTICS engine) $(report_of $ANALYTICS layout)" = 'dump dump'
	check "every row and index was checked" test "$(report_of $ANALYTICS stage) $(report_of $ANALYTICS checksums)" = 'service on'
}

faults_have_owners()
{
	check "both failures are reported" comes 60 landed unhealthy 2
	check "a dump cut short is the backup's fault" test "$(report_of $VERIFY grade) $(report_of $VERIFY owner) $(report_of $VERIFY stage)" = \
		'failed backup load'
	check "and is named" says 'dump clinic.dump is cut short or damaged' report_of $VERIFY cause
	check "a name that no dump is of is the settings'" test "$(report_of $RECOVERY grade) $(report_of $RECOVERY owner)" = \
		'inconclusive settings'
	check "with those that there are" says 'names production, which no dump is of; there are: clinic pgbench' report_of $RECOVERY cause
	check "no key and no password in objects and logs" /usr/bin/python3 "$ROOT/tests/e2e/leaks.py" look "$WORK"
}

trap 'stop_all; rm -rf "$WORK"' EXIT
if ! { begin && start_s3 && start_source && make_dumps; }; then
	echo "Bail out! the real parts did not start"
	exit 1
fi
play dumps
tap_end
