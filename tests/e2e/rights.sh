#!/bin/bash
# The rights of ops/install.yaml, which all end-to-end scripts run under, measured: a whole life on real parts, in which a binding counts
# some time after it was made, as in a cluster. Afterwards the API server's log is compared with the roles (rights.py): nothing missing,
# nothing too much. Speaks TAP; needs root.
#
# usage: rights.sh BUILD_FOLDER
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh" "$1" e2e-rights
readonly MANIFESTS=$ROOT/ops/install.yaml HERE=$ROOT/tests/e2e

# The answer to one create of each kind is lost, so that what is there already is looked at and adopted. Of Secrets it is one of a
# replica: the operator makes its CA before.
lose_answers()
{
	kube -o /dev/null "$API/_faults" -d "$(python3 -c '
import json
kinds = ["*/namespaces", "*/rolebindings", "*/serviceaccounts", "*/networkpolicies", "*/nauru-*/secrets", "*/persistentvolumeclaims",
    "*/jobs", "*/deployments"]
print(json.dumps([{"verb": "create", "path": kind, "times": 1, "reset": True, "applied": True} for kind in kinds]))')"
}

# The status that a GET with the operator's token gets.
as_operator() { curl -sS -m 20 --cacert "$WORK/ca.crt" -H "@$WORK/operator.header" -o /dev/null -w '%{http_code}' "$API$1"; }
may_list() { [ "$(as_operator /api/v1/namespaces)" = 200 ]; }
is_refused() { [ "$(as_operator "$1")" = 403 ]; }
one_round_left() { [ "$(api "/api/v1/namespaces/$1/persistentvolumeclaims" | grep -o '"name": *"pgdata-' | wc -l)" = 1 ]; }

# name_of REPLICA_ID SLUG: of its Namespace (design.md, "Identity").
name_of()
{
	python3 -c '
import hashlib, sys, uuid
replica, server, slug = sys.argv[1:]
print(slug + "-" + hashlib.sha256(uuid.UUID(replica).bytes + uuid.UUID(server).bytes).hexdigest()[:8])' "$1" "$SERVER" "$2"
}
foreign_is_a_series() { api /apis/events.k8s.io/v1/events | python3 -c '
import json, sys
events = [e for e in json.load(sys.stdin)["items"] if e["reason"] == "ForeignNamespace"]
sys.exit(len(events) != 1 or events[0].get("series", {}).get("count", 0) < 2)'; }
lasting_refusal() { grep 'is forbidden' "$WORK/log/operator.log" | grep -v kind=transient; }

whole_life()
{
	local ns
	setting_up "$(entry $VERIFY verify "$SNAPSHOT_1"; entry $ANALYTICS analytics "$SNAPSHOT_1"
		entry $RECOVERY disaster-recovery "$SNAPSHOT_1")"
	check "the operator's roles count" comes 30 may_list
	export KUBECONFIG=$OPERATOR_KUBECONFIG # status too, as it does in the operator's pod
	check "somebody else's Namespace has a replica's name" api_create /api/v1/namespaces \
		"{\"metadata\": {\"name\": \"$(name_of $RECOVERY nauru-disaster-recovery)\"}}"
	check "the API server enforces the roles of ops/" is_refused /api/v1/secrets
	lose_answers
	start_operator LOG_LEVEL=info
	check "verify becomes active" comes 120 log_has 'msg=active namespace=nauru-verify'
	[ $bad = 0 ] || return # nothing of what follows would come
	check "analytics becomes active" comes 120 state_is $ANALYTICS active
	check "both reports land" comes 30 landed healthy 2
	check "verify goes" comes 30 never namespace_of $VERIFY
	ns=$(namespace_of $ANALYTICS)
	{ entry $ANALYTICS analytics "$SNAPSHOT_1" | sed 's/params: {}/params: {memory_limit: 2147483648}/'
		entry $RECOVERY disaster-recovery "$SNAPSHOT_1"; } | put_worklist
	check "a new limit reaches the database that serves" comes 30 event_is Resized
	check "a Secret of another Namespace is refused" is_refused /api/v1/namespaces/default/secrets/any
	check "and one of its own that no setting names" is_refused "/api/v1/namespaces/$OPERATOR_NAMESPACE/secrets/any"
	{ entry $ANALYTICS analytics "$SNAPSHOT_2"; entry $RECOVERY disaster-recovery "$SNAPSHOT_1"; } | put_worklist
	check "the newer snapshot is restored" comes 120 test_annotation "$ns" last-restored-snapshot-id "$SNAPSHOT_2"
	check "its report lands" comes 30 landed healthy 3
	check "a foreign Namespace is said again and again as one Event" comes 30 foreign_is_a_series
	check "the old round is swept" comes 60 one_round_left "$ns"
	echo '[]' | put_worklist
	check "an empty worklist is held" comes 30 event_is TeardownHeld
	check "the hold is kept in the cluster" comes 30 api "/api/v1/namespaces/$OPERATOR_NAMESPACE/configmaps/understory-brake"
	stop operator KILL
	start_operator LOG_LEVEL=info
	check "the next operator goes on" comes 40 metric_is 'understory_teardowns_held 1'
	check "no report landed twice" never landed_twice
	check "a refusal is taken for the moment's" never lasting_refusal
	stop operator
	check "it ends in order" log_has 'msg=stopped'
}

trap 'stop_all; rm -rf "$WORK"' EXIT
if ! { begin && start_s3 && start_source; }; then
	echo "Bail out! the real parts did not start"
	exit 1
fi
read -r SNAPSHOT_1 _ <<<"$(backup base)"
"$ROOT/fixtures/source/source.sh" change "$SOURCE"
read -r SNAPSHOT_2 _ <<<"$(backup crashed)"
scenario=whole_life
API_OPTIONS=(--rbac-delay 2s)
whole_life
scenario=rights
while IFS=$'\t' read -r result what detail; do
	check "$what" sh -c "echo \"\$1\"; [ $result = ok ]" sh "$detail"
done < <(/usr/bin/python3 "$HERE/rights.py" "$MANIFESTS" "$WORK/requests.whole_life.log")
tap_end
