#!/bin/bash
# The engine basebackup end to end: pg_basebackup -Ft -z -X stream of a real server, into a real S3 store and onto a volume; a YAML
# worklist; restored through the credential proxy, and from the volume; checked, active, its rows there. And "latest" that moves between
# two attempts. Speaks TAP; needs root.
#
# usage: basebackup.sh BUILD_FOLDER
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh" "$1" e2e-basebackup
# shellcheck source=tests/e2e/backups.sh
. "$(dirname "$0")/backups.sh"

readonly SUM="SELECT count(*) || ' ' || sum(id) FROM elsewhere"

# --- the parts

# A table in a tablespace of its own: its archive is OID.tar.gz.
add_tablespace()
{
	install -d -o postgres "$SOURCE/space"
	source_sql pgbench "CREATE TABLESPACE space LOCATION '$SOURCE/space'"
	source_sql pgbench "CREATE TABLE elsewhere TABLESPACE space AS SELECT generate_series(1, 5000) AS id"
}

# put_backup NAME: into the bucket.
put_backup()
{
	# shellcheck disable=SC1091
	(. "$WORK/s3/keys/backup.key" && : >"$WORK/rclone.conf" && env RCLONE_CONFIG="$WORK/rclone.conf" RCLONE_CONFIG_STORE_TYPE=s3 \
		RCLONE_CONFIG_STORE_PROVIDER=Other RCLONE_CONFIG_STORE_ENV_AUTH=true "RCLONE_CONFIG_STORE_ENDPOINT=$S3_ENDPOINT" \
		RCLONE_CONFIG_STORE_FORCE_PATH_STYLE=true "AWS_ACCESS_KEY_ID=$AWS_ACCESS_KEY_ID" \
		"AWS_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY" rclone copy "$WORK/backups/nauru/$1" "store:$BUCKET/$PREFIX/$1")
}

# Without a password: a folder of archives has none.
put_keys()
{
	# shellcheck disable=SC1091
	. "$WORK/s3/keys/backup.key"
	api_create /api/v1/namespaces/$OPERATOR_NAMESPACE/secrets "{\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"metadata\":
		{\"name\": \"nauru\"}, \"stringData\": {\"accessKeyId\": \"$AWS_ACCESS_KEY_ID\",
		\"secretAccessKey\": \"$AWS_SECRET_ACCESS_KEY\"}}"
}

write_short_retries()
{
	cat >"$WORK/understory.yaml" <<-EOC
		retry: {backoff: [1s, 1s, 1s], limit: 5}
		intents:
		  verify: {storageSize: 1Gi, storageSizeMaximum: 4Gi}
		  analytics: {storageSize: 1Gi, storageSizeMaximum: 4Gi, switchoverGrace: 5s, minimumTtl: 0s}
	EOC
}

# desire SNAPSHOT SED_SCRIPT: one entry of a YAML worklist.
desire() { entry $ANALYTICS analytics "$1" | sed -e 's/^- {/- {engine: basebackup, /' -e "$2" >"$WORK/desired.yaml"; }

begin_with()
{
	may_read nauru
	setting_up '[]'
	put_keys
	desire "$@"
	start_operator CANOPY_BASE_URL= WORKLIST_FILE="$WORK/desired.yaml"
}

# --- questions

report() { annotation "$1" last-report | field "${@:2}"; }
message_of() { api "/api/v1/namespaces/$1/pods?labelSelector=app.kubernetes.io/component=restore"; }
has_failed() { [ "$(annotation "$(namespace_of $ANALYTICS)" failures)" -ge "$1" ]; }

# what_came_back NAMESPACE BACKUP
what_came_back()
{
	check "its report is healthy" test "$(report "$1" replica_healthy)" = true
	check "the verdict is clean" says '^clean ' annotation "$1" last-verdict
	check "it names engine and backup" test "$(report "$1" health_details engine) $(report "$1" health_details backup)" = "basebackup $2"
	check "the backup is pinned" test_annotation "$1" backup "$2"
	check "the rows are there, those of the tablespace too" test "$(replica_sql "$1" analytics pgbench "$SUM")" = "$ROWS"
	check "nothing of the recovery is left" test "$(replica_sql "$1" postgres postgres \
		"SELECT pg_is_in_recovery() || current_setting('restore_command') || current_setting('recovery_target_timeline')")" = falselatest
}

# What the restores said, as a comment of TAP.
say_restores() { tail -n 3 "$WORK/node/$1"/restore-*/*.log 2>/dev/null | sed 's/^/# /'; }

# --- scenarios

through_the_proxy()
{
	local ns
	API_OPTIONS=(--minor 30)
	begin_with 2026-11-19 's/^- {/- {secret: nauru, /'
	check "the replica becomes active" comes 90 state_is $ANALYTICS active
	ns=$(namespace_of $ANALYTICS)
	check "the report is kept" comes 30 annotation "$ns" last-report
	what_came_back "$ns" 2026-11-19
	check "the proxy carried it and refused nothing" grep -rqE 'msg=totals .*refused=0( |$)' "$WORK/node/$ns"
}

# The volume is where an administrator has put it; its claim comes late, and the restore waits for it.
from_a_volume()
{
	local ns
	begin_with latest 's/storage: s3, bucket: [^,]*, prefix: [^,]*,/storage: file, bucket: nfs, prefix: nauru,/'
	comes 30 namespace_of $ANALYTICS >/dev/null
	ns=$(namespace_of $ANALYTICS)
	ln -s "$WORK/backups" "$WORK/node/.volumes/nfs"
	check "the restore waits for its volume" comes 30 says 'persistentvolumeclaim \\"nfs\\" not found' message_of "$ns"
	api_create "/api/v1/namespaces/$ns/persistentvolumeclaims" '{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata":
		{"name": "nfs"}, "spec": {"accessModes": ["ReadOnlyMany"], "volumeName": "nfs", "storageClassName": "",
		"resources": {"requests": {"storage": "1Gi"}}}}'
	check "the replica becomes active" comes 90 state_is $ANALYTICS active
	check "the report is kept" comes 30 annotation "$ns" last-report
	what_came_back "$ns" 2026-11-19
	check "no proxy was made" never says understory-proxy message_of "$ns"
	check "the backup is as it was" sh -c "cd $WORK/backups/nauru/2026-11-19 && sha256sum -c --quiet checksum.txt"
}

# The newest is damaged. While it is tried again, a sound one comes: the attempts go on with the one that they began with.
latest_moves()
{
	local ns
	base_backup "$WORK/backups/nauru/2026-11-20" 2026-11-20T00:00:00Z
	sed -i '/ base.tar.gz/s/^..../0000/' "$WORK/backups/nauru/2026-11-20/checksum.txt"
	put_backup 2026-11-20
	begin_with latest 's/^- {/- {secret: nauru, /'
	check "the newest fails" comes 60 has_failed 1
	ns=$(namespace_of $ANALYTICS)
	check "by its name" says '2026-11-20: base.tar.gz has another sum than checksum.txt says' annotation "$ns" last-error
	check "which is pinned" test_annotation "$ns" backup 2026-11-20
	mv "$WORK/backups/nauru/2026-11-19" "$WORK/backups/nauru/2026-11-21"
	sed -i 's/"2026-11-19T/"2026-11-21T/' "$WORK/backups/nauru/2026-11-21/metadata.json"
	put_backup 2026-11-21
	check "a later attempt goes on with it, though latest has moved" comes 60 has_failed 3
	has_failed 3 || say_restores "$ns"
	check "and names it" says 'backup 2026-11-20: base.tar.gz has another sum' annotation "$ns" last-error
	api_patch "/api/v1/namespaces/$ns" '{"metadata": {"annotations": {"pgro.bes.au/force-refresh": "1"}}}'
	check "a new round that a person asks for takes the newest" comes 90 state_is $ANALYTICS active
	check "and says so" test_annotation "$ns" backup 2026-11-21
}

cleaning_up()
{
	stop_all
	rm -rf "$WORK"
}

trap cleaning_up EXIT
if ! { begin && start_s3 && start_source && add_tablespace && base_backup "$WORK/backups/nauru/2026-11-19" 2026-11-19T00:00:00Z && put_backup 2026-11-19; }; then
	echo "Bail out! the real parts did not start"
	exit 1
fi
ROWS=$(source_sql pgbench "$SUM")
write_short_retries
play through_the_proxy from_a_volume latest_moves
tap_end
