#!/bin/bash
# The data path end to end: restores that outlive their keys and an absence of the broker, from a store that checks every signature and
# lets sessions end after 20 s; and a look at the whole run for secrets that are where they do not belong. Speaks TAP; needs root.
#
# usage: data_path.sh BUILD_FOLDER
# environment: DATA_PATH_MB (200): what cannot be compressed in the snapshot; DATA_PATH_SECONDS (45): how long the store takes to send
# that. With 2000 and 120 it is the restore of 2 GB.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh" "$1" e2e-data-path

readonly MB=${DATA_PATH_MB:-200} SENDING_S=${DATA_PATH_SECONDS:-45}
readonly KEYS_LIVE_S=20 AWAY_S=60
# For a restore: the store's time, an absence, and as much again for all else that a busy machine does.
readonly PATIENCE_S=$((2 * SENDING_S + AWAY_S + 120))
HERE=$(cd "$(dirname "$0")" && pwd)

# --- the parts

# Random to restic, and the same in every run. Rows of 8 KiB: TOAST keeps them whole.
add_noise()
{
	source_sql pgbench "CREATE TABLE noise (id int PRIMARY KEY, data bytea);
		ALTER TABLE noise ALTER data SET STORAGE EXTERNAL;
		INSERT INTO noise SELECT i, (SELECT string_agg(sha512(convert_to((i::bigint * 128 + j)::text, 'UTF8')), ''::bytea)
			FROM generate_series(0, 127) j) FROM generate_series(1, $MB * 1000000 / 8192) i;"
}
readonly NOISE_SUM="SELECT count(*) || ' ' || md5(string_agg(md5(data), '' ORDER BY id)) FROM noise"

start_throttle()
{
	spawn throttle /usr/bin/python3 "$HERE/throttle.py" "$WORK/throttle.port" "${S3_ENDPOINT#http://}" $((MB * 1000000 / SENDING_S)) \
		"$WORK/log/throttle"
	wait_for 20 throttle [ -s "$WORK/throttle.port" ] || return 1
	THROTTLED=http://127.0.0.1:$(cat "$WORK/throttle.port")
}

# What came through the throttle so far.
passed() { tail -n 1 "$WORK/log/throttle" | cut -d ' ' -f 2; }
passed_since() { [ $(($(passed) - $1)) -ge "$2" ]; }

write_large_settings()
{
	cat >"$WORK/understory.yaml" <<-EOC
		engines: {tamanu-postgres: restic}
		intents:
		  analytics: {storageSize: 16Gi, storageSizeMaximum: 16Gi}
		  disaster-recovery: {storageSize: 16Gi, storageSizeMaximum: 16Gi}
	EOC
}

start_throttled_operator() { start_operator "S3_ENDPOINT=$THROTTLED"; }

# --- questions

restore_pods() { api "/api/v1/namespaces/$1/pods?labelSelector=app.kubernetes.io/component=restore"; }
number_of_pods() { restore_pods "$1" | python3 -c 'import json, sys; print(len(json.load(sys.stdin)["items"]))'; }

# log_of CONTAINER NAMESPACE: of the restore pod.
log_of() { cat "$WORK/node/$2"/restore-*/"$1"*.log; }
proxy_generations() { log_of proxy "$1" | grep -c 'msg=credentials generation='; }

# The proxy counts every 30 s, through the broker.
page_says_received() { curl -fsS -m 5 "$METRICS/status.json" | grep -Eq '"received_bytes":[1-9][0-9]{6}'; }

# report_has FIELD MINIMUM: of the one report.
report_has() { [ "$(curl -fsS -m 20 "$CANOPY/_reports" | field 0 body "$1")" -ge "$2" ]; }
# As the engine's script says in its termination message.
restore_seconds() { restore_pods "$1" | python3 -c '
import json, sys
statuses = json.load(sys.stdin)["items"][0]["status"]["containerStatuses"]
print(json.loads([s for s in statuses if s["name"] == "restore"][0]["state"]["terminated"]["message"])["seconds"])'; }
core_limit_is_zero() { grep -Eq '^Max core file size +0 +0 ' "/proc/$1/limits"; }
# Others on this machine may have proxies too.
pid_of_proxy()
{
	local pid
	for pid in $(pgrep -x understory-prox); do # the kernel keeps 15 characters
		! grep -qF "https://$BROKER" "/proc/$pid/environ" || echo "$pid"
	done
}
pid_of() { cut -d ' ' -f 1 "$WORK/run/$1.pid"; }

# --- what is shown

# what_came_back NAMESPACE: the same for both.
what_came_back()
{
	check "one report landed, and it is healthy" comes 30 landed healthy 1
	check "once" never landed_twice
	check "the rows are those of the snapshot" test "$(replica_sql "$1" analytics pgbench "$NOISE_SUM")" = "$SUM"
	check "by one pod of one Job" test "$(number_of_pods "$1")" = 1
	check "the payload that came from the store is in the report" report_has s3_received_payload_bytes $((MB * 1000000))
	check "and what it took on the wire" report_has s3_received_raw_bytes \
		"$(curl -fsS -m 20 "$CANOPY/_reports" | field 0 body s3_received_payload_bytes)"
	check "and what was sent" report_has s3_sent_raw_bytes 1
	check "no key and no password in objects and logs" /usr/bin/python3 "$HERE/leaks.py" look "$WORK"
}

outlives_its_keys()
{
	local ns before
	API_OPTIONS=(--minor 30) # the proxy is a native sidecar
	setting_up "$(entry $ANALYTICS analytics "$SNAPSHOT")" --credentials-life $KEYS_LIVE_S
	before=$(passed)
	ulimit -S -c "$(ulimit -H -c)" # as much as may be: the operator must refuse it
	start_throttled_operator
	check "the operator leaves no core" core_limit_is_zero "$(pid_of operator)"
	check "bytes flow" comes 60 passed_since "$before" 1000000
	ns=$(namespace_of $ANALYTICS)
	check "the proxy leaves none either" core_limit_is_zero "$(pid_of_proxy)"
	check "and no other process of its user may look into it" test "$(stat -c %u "/proc/$(pid_of_proxy)/environ")" = 0
	check "in its middle the store refuses the first set and takes the newest" comes $((2 * KEYS_LIVE_S)) \
		/usr/bin/python3 "$HERE/leaks.py" expired "$WORK"
	check "then it is still restoring" state_is $ANALYTICS restoring
	check "the status page says how far it is" comes 40 page_says_received
	check "the replica becomes active" comes $PATIENCE_S state_is $ANALYTICS active
	what_came_back "$ns"
	check "the restore took longer than its keys live" test "$(restore_seconds "$ns")" -gt $((KEYS_LIVE_S + 5))
	check "canopy was asked for keys several times" test "$(asked /restore-credentials)" -ge $((1 + SENDING_S / KEYS_LIVE_S))
	check "the proxy signed with several sets" test "$(proxy_generations "$ns")" -ge $((SENDING_S / KEYS_LIVE_S))
	say_figures "$ns" "outlives its keys"
}

broker_away()
{
	local ns before gone_at
	API_OPTIONS=(--minor 28) # the proxy is a second container
	setting_up "$(entry $RECOVERY disaster-recovery "$SNAPSHOT")" --credentials-life $KEYS_LIVE_S
	before=$(passed)
	start_throttled_operator
	check "a quarter has come" comes 90 passed_since "$before" $((MB * 250000))
	ns=$(namespace_of $RECOVERY)
	stop operator KILL
	gone_at=$SECONDS
	check "the operator is gone" is_ended operator
	sleep $((KEYS_LIVE_S + 10)) # the keys have ended, and what was in flight with them has come
	before=$(passed)
	sleep $((AWAY_S - KEYS_LIVE_S - 10))
	check "without keys nothing comes" never passed_since "$before" 100000
	check "the restore has not come through" test "$(log_of proxy "$ns" | grep -c msg=totals)" = 0
	start_throttled_operator
	check "the broker was away for $AWAY_S s" test $((SECONDS - gone_at)) -ge $AWAY_S
	check "with keys it goes on" comes 60 passed_since "$before" 1000000
	check "the replica becomes active" comes $PATIENCE_S state_is $RECOVERY active
	what_came_back "$ns"
	check "it is still the first round" test_annotation "$ns" attempt 1
	say_figures "$ns" "broker away"
}

# For people, as a comment of TAP.
say_figures()
{
	echo "# $2: $MB MB, restore $(restore_seconds "$1") s, keys asked for $(asked /restore-credentials) times, sets used by the proxy" \
		"$(proxy_generations "$1"), payload received $(curl -fsS -m 20 "$CANOPY/_reports" | field 0 body s3_received_payload_bytes)"
}

secrets_of_the_run()
{
	stop watch
	check "no key and no password in arguments, environments and objects of the whole run" test_watch
	sed 's/^/# /' "$WORK/watched"
}

# One line, that which says how much was looked at.
test_watch()
{
	cat "$WORK/watched" && [ "$(wc -l <"$WORK/watched")" = 1 ] &&
		grep -Eq '[1-9][0-9]* engines, [1-9][0-9]* proxies' "$WORK/watched"
}

cleaning_up()
{
	stop watch
	stop_all
	stop throttle
	rm -rf "$WORK"
}

trap cleaning_up EXIT
if [ "$SENDING_S" -le $((2 * KEYS_LIVE_S)) ]; then
	echo "Bail out! DATA_PATH_SECONDS is $SENDING_S, allowed: more than twice the $KEYS_LIVE_S s that keys live"
	exit 1
fi
if ! { begin && start_s3 && start_source && add_noise && start_throttle; }; then
	echo "Bail out! the real parts did not start"
	exit 1
fi
SUM=$(source_sql pgbench "$NOISE_SUM")
read -r SNAPSHOT _ <<<"$(backup base)"
check "a snapshot of $MB MB" test -n "$SNAPSHOT" -a -n "$SUM"
write_large_settings
spawn watch /usr/bin/python3 "$HERE/leaks.py" watch "$WORK" "$WORK/watched"
play outlives_its_keys broker_away
scenario=secrets_of_the_run
secrets_of_the_run
tap_end
