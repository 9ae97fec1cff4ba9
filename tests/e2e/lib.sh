# shellcheck shell=bash
# What the end-to-end scripts share: TAP lines, entries of a worklist, faults, and questions to the stand-ins.
#
# . lib.sh BUILD_FOLDER NAME: NAME becomes WORK, a folder of the script's own below the build folder. Sources fixtures/demo/lib.sh. A
# script sets $scenario before its checks and ends with tap_end.

BUILD=$(cd "$1" && pwd) || exit 1
export BUILD
WORK=$BUILD/$2
# shellcheck source=fixtures/demo/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../fixtures/demo/lib.sh"

count=0 bad=0 scenario=setup
readonly GROUP=0aa5b4b8-9f6a-4d1c-8a8e-1f2d3c4b5a69 SERVER=b0a7c0de-1111-4222-8333-444455556666
# shellcheck disable=SC2034 # for the scripts
readonly VERIFY=11111111-0000-4000-8000-000000000001 ANALYTICS=11111111-0000-4000-8000-000000000002 \
	RECOVERY=11111111-0000-4000-8000-000000000003

# --- TAP

# check WHAT COMMAND...: one TAP line; what the command printed is shown when it fails.
check()
{
	local what=$1 output
	shift
	count=$((count + 1))
	if output=$("$@" 2>&1); then
		echo "ok $count - $scenario: $what"
	else
		bad=$((bad + 1))
		echo "not ok $count - $scenario: $what"
		printf '%s\n' "$output" | tail -n 5 | sed 's/^/# /'
		tail -n 5 "$WORK/log/operator.log" 2>/dev/null | sed 's/^/# operator: /'
	fi
}

tap_end()
{
	echo "1..$count"
	[ $bad = 0 ]
}

# comes SECONDS COMMAND...: true once the command is.
comes() { wait_until "$@" || { echo "not within $1 s: ${*:2}"; return 1; }; }
never() { ! "$@"; }
exits() { local want=$1 rc=0; shift; "$@" >/dev/null 2>&1 || rc=$?; [ $rc = "$want" ]; }
# Whatever the command's exit status is.
says() { grep "$1" <<<"$("${@:2}" 2>&1)"; }

# --- what canopy is told

# entry REPLICA_ID INTENT SNAPSHOT [NAME]: one entry of the worklist.
entry()
{
	cat <<-EOC
		- {replica_id: $1, group_id: $GROUP, server_id: $SERVER, type: tamanu-postgres, intent: $2, name: "${4:-nauru $2}",
		   params: {}, storage: s3, bucket: $BUCKET, prefix: $PREFIX, region: us-east-1, snapshot_id: $3,
		   snapshot_at: "2026-11-20T00:00:00Z"}
	EOC
}

put_worklist() { cat >"$WORK/worklist.yaml"; }
faults() { curl -fsS -m 20 -o /dev/null "$CANOPY/_faults" -d "$1"; }

# setting_up WORKLIST [OPTION...]: stand-ins of its own for this scenario; the options are stub-canopy's, and those of API_OPTIONS
# stub-apiserver's. What the operator may read of OPERATOR_NAMESPACE beyond its own is what may_read said before, once.
setting_up()
{
	stop operator
	stop apiserver
	stop canopy
	rm -f "$WORK/log/operator.log"
	echo "$1" >"$WORK/worklist.yaml"
	write_settings
	start_canopy "${@:2}"
	start_apiserver --log "$WORK/requests.$scenario.log" "${API_OPTIONS[@]}"
	RIGHTS=
}
API_OPTIONS=()

# may_read SECRET...: the Role of ops/components/secrets with these names, for the scenario that comes next.
may_read()
{
	RIGHTS=$WORK/secret-rights.yaml
	sed "s/resourceNames: \[to-be-set\]/resourceNames: [$(echo "$*" | sed 's/ /, /g')]/" "$ROOT/ops/components/secrets/rights.yaml" >"$RIGHTS"
}

# play SCENARIO...: one after another. Under the roles of ops/ the operator may do all that it asks for.
play()
{
	for scenario in "$@"; do
		"$scenario"
		[[ " $MAY_BE_REFUSED " == *" $scenario "* ]] || check "the operator is refused nothing" none_refused
	done
}
MAY_BE_REFUSED= # scenarios that are about that

none_refused() { grep -q ' understory/' "$WORK/requests.$scenario.log" && never grep -E ' 403 [0-9]+ms understory/' "$WORK/requests.$scenario.log"; }

# --- what there is to see

state_is() { [ "$(replica "$1" "$SERVER" state)" = "$2" ]; }
report_is() { [ "$(replica "$1" "$SERVER" report)" = "$2" ]; }
namespace_of() { replica "$1" "$SERVER" namespace; }
annotation() { api "/api/v1/namespaces/$1" | field metadata annotations "pgro.bes.au/$2"; }
test_annotation() { [ "$(annotation "$1" "$2")" = "$3" ]; }
# landed healthy|unhealthy TIMES
landed() { [ "$(captured_reports | grep -c " $1 ")" = "$2" ]; }
landed_twice() { captured_reports | awk '$2 > 1' | grep .; }
is_gone() { ! api "$1" >/dev/null; }
log_has() { grep -q "$1" "$WORK/log/operator.log"; }
event_is() { api "/apis/events.k8s.io/v1/events" | grep "\"reason\": *\"$1\""; }
metric_is() { curl -fsS -m 5 "$METRICS/metrics" | grep -xF "$1"; }
# How often canopy was asked at this path.
asked() { curl -fsS -m 20 "$CANOPY/_captured" | python3 -c '
import json, sys
print(sum(1 for c in json.load(sys.stdin) if c["path"] == sys.argv[1]))' "$1"; }
