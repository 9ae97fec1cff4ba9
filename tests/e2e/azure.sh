#!/bin/bash
# Backups in Azure Blob end to end, by a SAS from a Secret: a base backup and a dump come up side by side, while the SAS of a third
# replica has ended and the container of a fourth is not there. rclone is real, the store is a double (tests/support/blob_store.py); a
# workload identity wants Microsoft's host names and is left to builders/script_azure. Speaks TAP; needs root.
#
# usage: azure.sh BUILD_FOLDER
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh" "$1" e2e-azure
# shellcheck source=tests/e2e/backups.sh
. "$(dirname "$0")/backups.sh"
# shellcheck source=tests/support/certificate.sh
. "$(dirname "$0")/../support/certificate.sh"

readonly NOWHERE=11111111-0000-4000-8000-000000000004
readonly SUMS="SELECT concat_ws(' ', (SELECT concat_ws(' ', count(*), sum(id), sum(length(notes))) FROM patient),
	(SELECT concat_ws(' ', count(*), sum(id), sum(weight)) FROM visit))"

# --- the parts

make_backups()
{
	source_sql postgres 'DROP DATABASE pgbench'
	base_backup "$WORK/blobs/$BUCKET/$PREFIX/base" 2026-11-20T00:00:00Z && dump "$WORK/blobs/$BUCKET/$PREFIX/dumps" clinic &&
		ROWS=$(source_sql clinic "$SUMS")
}

# By an address: an account is a part of the path there.
start_store()
{
	mkdir "$WORK/tls"
	make_certificate "$WORK/tls" IP:127.0.0.1 || return 1
	BLOB_ACCOUNT=hospital BLOB_KEY=$(head -c 32 /dev/urandom | base64)
	export BLOB_ACCOUNT BLOB_KEY
	spawn blobs "$ROOT/tests/support/blob_store.py" serve "$WORK/blobs" "$WORK/tls/store.crt" "$WORK/tls/store.key"
	wait_for 20 blobs grep -q '^port ' "$WORK/log/blobs.log" || return 1
	ENDPOINT=https://127.0.0.1:$(sed -n 's/^port //p' "$WORK/log/blobs.log")/hospital
}

# put_sas NAME MINUTES: a Secret with a SAS that ends then.
put_sas()
{
	local sas
	sas=$("$ROOT/tests/support/blob_store.py" sas rl "$2")
	SIGNATURES+=("${sas##*sig=}")
	api_create /api/v1/namespaces/$OPERATOR_NAMESPACE/secrets "{\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"metadata\":
		{\"name\": \"$1\"}, \"stringData\": {\"sasToken\": \"$sas\"}}"
}
SIGNATURES=()

write_settings()
{
	cat >"$WORK/understory.yaml" <<-EOC
		retry: {limit: 1}
		intents:
		  verify: {storageSize: 1Gi}
		  analytics: {storageSize: 1Gi}
	EOC
}

# in_azure ENGINE SECRET: the entry on stdin.
in_azure()
{
	sed -e "s/^- {/- {engine: $1, account: hospital, endpoint: '${ENDPOINT//\//\\/}', secret: $2, /" -e 's/storage: s3/storage: azure/' \
		-e 's/region: us-east-1/region: ""/'
}

write_worklist()
{
	{
		entry $ANALYTICS analytics base 'nauru base' | in_azure basebackup in-order
		entry $RECOVERY analytics dumps 'nauru dumps' | in_azure dump in-order
		entry $VERIFY verify base | in_azure basebackup ended
		entry $NOWHERE verify dumps 'nauru nowhere' | in_azure dump in-order | sed "s/bucket: $BUCKET/bucket: nowhere/"
	} >"$WORK/desired.yaml"
}

# --- questions

# report_of REPLICA_ID KEY...
report_of() { annotation "$(namespace_of "$1")" last-report | field "${@:2}"; }
pods() { api "/api/v1/namespaces/$(namespace_of "$1")/pods"; }
shows_a_signature()
{
	local all
	all=$(find "$WORK" -name '*.log' -exec cat {} + && pods $ANALYTICS && pods $RECOVERY && pods $VERIFY)
	printf '%s\n' "${SIGNATURES[@]}" >"$WORK/signatures"
	grep -qF -f "$WORK/signatures" <<<"$all"
}

# comes_up REPLICA_ID ENGINE
comes_up()
{
	check "$2: the replica becomes active" comes 90 state_is "$1" active
	check "$2: its report is healthy" comes 30 test_healthy "$1" true
	check "$2: it names the engine" says "^$2" report_of "$1" health_details engine
	check "$2: every row is there" test "$(replica_sql "$(namespace_of "$1")" analytics clinic "$SUMS")" = "$ROWS"
}
test_healthy() { [ "$(report_of "$1" replica_healthy)" = "$2" ]; }

# fails REPLICA_ID WHAT OWNER CAUSE
fails()
{
	check "$2: its report is unhealthy" comes 60 test_healthy "$1" false
	check "$2: whose fault it is" test "$(report_of "$1" health_details grade) $(report_of "$1" health_details owner)" = "inconclusive $3"
	check "$2: and why" says "$4" report_of "$1" health_details cause
}

azure()
{
	may_read in-order ended
	setting_up '[]'
	put_sas in-order 60
	put_sas ended -1
	write_worklist
	start_operator CANOPY_BASE_URL= WORKLIST_FILE="$WORK/desired.yaml" S3_CA_FILE="$WORK/tls/ca.crt"
	comes_up $ANALYTICS basebackup
	comes_up $RECOVERY dump
	fails $VERIFY "a SAS that has ended" credentials '^the SAS has ended at 20'
	fails $NOWHERE "a container that is not there" canopy '^there is no container nowhere in storage account hospital'
	check "no signature of a SAS is in a pod or a log" never shows_a_signature
}

trap 'stop_all; stop blobs; rm -rf "$WORK"' EXIT
if ! { begin && start_source && make_backups && start_store; }; then
	echo "Bail out! the real parts did not start"
	exit 1
fi
play azure
tap_end
