#!/bin/bash
# The operator end to end on real parts: S3 with STS, restic, PostgreSQL, pods as processes. Speaks TAP; needs root.
#
# usage: scenarios.sh BUILD_FOLDER [SCENARIO...]
# One S3 server and two snapshots serve all scenarios; each has an API server, a canopy and an operator of its own.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh" "$1" e2e-work
shift

plan() { env CANOPY_BASE_URL="$CANOPY" UNDERSTORY_CONFIG="$WORK/understory.yaml" "$UNDERSTORY" plan -o json; }

happy_path()
{
	local ns held
	setting_up "$(entry $VERIFY verify "$SNAPSHOT_1"; entry $ANALYTICS analytics "$SNAPSHOT_1")"
	start_operator
	check "the operator starts" is_running operator
	# Its life after that is short: it is reported, discarded, and canopy dispatches it no more.
	check "verify becomes active" comes 90 log_has 'msg=active namespace=nauru-verify'
	check "analytics becomes active" comes 90 state_is $ANALYTICS active
	check "both reports land" comes 30 landed healthy 2
	ns=$(namespace_of $ANALYTICS)
	check "the Namespace has its name" test "${ns%-*}" = nauru-analytics
	for label in managed-by=pgro-canopy "declaration-id=$ANALYTICS" "group=$GROUP" "server=$SERVER" type=tamanu-postgres \
		intent=analytics; do
		check "label $label" test "$(api "/api/v1/namespaces/$ns" | field metadata labels "pgro.bes.au/${label%%=*}")" = "${label#*=}"
	done
	check "annotation last-restored-snapshot-id" test "$(annotation "$ns" last-restored-snapshot-id)" = "$SNAPSHOT_1"
	check "annotation attempt" test "$(annotation "$ns" attempt)" = 1
	check "annotation last-verification-reported-round is the active round" \
		test "$(annotation "$ns" last-verification-reported-round)" = "$(annotation "$ns" active-round)"
	check "no report is owed" never annotation "$ns" report
	check "the Job has the restore container and its proxy" test "$(containers_of_job "$ns" | sort | paste -s -d ' ')" = 'proxy restore'
	check "the rows are those of the snapshot" test "$(replica_sql "$ns" analytics pgbench 'select count(*) from pgbench_accounts')" = 1000000
	check "nobody comes in without TLS" says 'no pg_hba.conf entry' plain_sql "$ns"
	check "people are told how to come in" test "$(secret_of "$ns" analytics-credentials sslmode) $(
		secret_of "$ns" analytics-credentials host)" = "verify-full postgres.$ns.svc"
	check "the certificate is the replica's own" says 'DNS:postgres, DNS:postgres.'"$ns, DNS:postgres.$ns.svc, DNS:postgres.$ns.svc.cluster.local" \
		certificate_of "$ns"
	since=$(annotation "$ns" tls-renew-at)
	api_delete "/api/v1/namespaces/$ns/secrets/postgres-tls"
	api_patch "/api/v1/namespaces/$ns" '{"metadata": {"annotations": {"pgro.bes.au/tls-renew-at": "2026-01-01T00:00:00Z"}}}'
	check "a certificate whose time has come is renewed" comes 30 is_renewed "$ns" "$since"
	check "the report says how long each phase took" test "$(report_of $ANALYTICS durations | keys)" = 'checks recovery restore start'
	check "and what took part in it" test "$(report_of $ANALYTICS versions | keys)" = 'engine image image_id operator server'
	check "the analytics user may not write" never replica_sql "$ns" analytics pgbench 'delete from pgbench_accounts'
	check "the Service follows the active round" test "$(api "/api/v1/namespaces/$ns/services/postgres" |
		field spec selector pgro.bes.au/round)" = "$(annotation "$ns" active-round)"
	check "the report says by what URL people come in" test "$(report_of $ANALYTICS url)" = \
		"postgresql://analytics@postgres.$ns.svc:5432/postgres?sslmode=verify-full"
	check "the way in was the last stage" test "$(report_of $ANALYTICS stage)" = service
	check "verify is discarded after its report" log_has "swept namespace=nauru-verify.* kind=PersistentVolumeClaim"
	check "and its Namespace goes when canopy dispatches it no more" comes 30 never namespace_of $VERIFY
	check "an Event says Active" event_is Active
	check "a pass in sync has nothing to do" exits 0 plan
	check "metrics count the reports" metric_is 'understory_reports_total{result="landed"} 2'

	{ entry $ANALYTICS analytics "$SNAPSHOT_2"; } | put_worklist
	ns=$(namespace_of $ANALYTICS)
	check "the newer snapshot is restored" comes 90 test_annotation "$ns" last-restored-snapshot-id "$SNAPSHOT_2"
	check "its report lands" comes 30 landed healthy 3
	check "the Service has moved" test "$(api "/api/v1/namespaces/$ns/services/postgres" |
		field spec selector pgro.bes.au/round)" = "$(annotation "$ns" active-round)"
	check "the old round is swept" comes 60 one_round_left "$ns"
	check "with the Service that it was tested by" comes 30 has_services "$ns" "postgres postgres-$(annotation "$ns" active-round)"
	echo '[]' | put_worklist
	check "an empty worklist is held" comes 30 event_is TeardownHeld
	check "and the replica serves on" test "$(replica_sql "$ns" analytics pgbench 'select 1')" = 1
	check "the hold is kept in the cluster" comes 30 hold_lasts 1
	held=$(brake heldMs)
	stop operator KILL
	start_operator
	check "the next operator holds it too" comes 30 metric_is 'understory_teardowns_held 1'
	check "and does not begin anew" hold_lasts "$held"
	check "no report landed twice" never landed_twice
	check "SIGTERM ends the operator in order" stop_in_order
}

has_services() { [ "$(api "/api/v1/namespaces/$1/services" | python3 -c '
import json, sys
print(*sorted(service["metadata"]["name"] for service in json.load(sys.stdin)["items"]))')" = "$2" ]; }

# The Service is of the type that the settings say, its address is waited for and reported. Where none comes, the cluster is to blame,
# and who worked on the old round goes on.
by_load_balancer()
{
	local ns address round
	rm -f "$WORK/understory.yaml"
	write_settings
	sed -i 's|analytics: {|&serviceType: LoadBalancer, serviceAnnotations: {example.org/pool: internal}, |' "$WORK/understory.yaml"
	API_OPTIONS=(--load-balancer 3s)
	setting_up "$(entry $ANALYTICS analytics "$SNAPSHOT_1")"
	start_operator
	check "the replica is reported" comes 90 landed healthy 1
	ns=$(namespace_of $ANALYTICS)
	address=$(api "/api/v1/namespaces/$ns/services/postgres" | field status loadBalancer ingress 0 ip)
	check "the address of its load balancer is in the report" test "$(report_of $ANALYTICS url)" = \
		"postgresql://analytics@$address:5432/postgres?sslmode=verify-ca"
	secret_of "$ns" analytics-credentials ca.crt >"$WORK/run/$ns.ca.crt"
	check "people come in by it" test "$(PGPASSWORD=$(secret_of "$ns" analytics-credentials password) \
		PGSSLROOTCERT=$WORK/run/$ns.ca.crt psql -X -q -A -t -c 'select count(*) from pgbench_accounts' "$(
		report_of $ANALYTICS url | sed 's|/postgres?|/pgbench?|')")" = 1000000
	check "the Service has the annotation" test "$(api "/api/v1/namespaces/$ns/services/postgres" |
		field metadata annotations example.org/pool)" = internal

	rm -f "$WORK/understory.yaml"
	write_settings
	API_OPTIONS=(--load-balancer never)
	setting_up "$(entry $ANALYTICS analytics "$SNAPSHOT_1")"
	start_operator
	check "within the cluster no load balancer is needed" comes 90 landed healthy 1
	ns=$(namespace_of $ANALYTICS)
	round=$(annotation "$ns" active-round)
	stop operator
	sed -i 's|analytics: {|&serviceType: LoadBalancer, serviceTimeout: 3s, |' "$WORK/understory.yaml"
	{ entry $ANALYTICS analytics "$SNAPSHOT_2"; } | put_worklist
	start_operator
	check "where none comes the next round fails" comes 90 landed unhealthy 1
	check "and the cluster is to blame" test "$(report_of $ANALYTICS grade) $(report_of $ANALYTICS owner) $(
		report_of $ANALYTICS stage)" = 'inconclusive cluster service'
	check "it is said what is missing" says 'has no address of a load balancer' report_of $ANALYTICS cause
	check "the old round is the active one" test_annotation "$ns" active-round "$round"
	check "the Service leads to it" test "$(api "/api/v1/namespaces/$ns/services/postgres" |
		field spec selector pgro.bes.au/round)" = "$round"
	check "and people go on with it" test "$(replica_sql "$ns" analytics pgbench 'select count(*) from pgbench_accounts')" = 1000000
	API_OPTIONS=()
	rm -f "$WORK/understory.yaml"
}

# plain_sql NAMESPACE [PASSWORD]
plain_sql() { PGHOSTADDR=$(api "/api/v1/namespaces/$1/pods?labelSelector=app.kubernetes.io/component=database" |
	field items 0 status podIP) PGSSLMODE=disable PGPASSWORD=${2-x} psql -U analytics -d postgres -X -q -A -t -c 'select 1'; }
is_renewed() { [[ $(annotation "$1" tls-renew-at) > "$2" ]] && certificate_of "$1"; }
secret_has() { api "/api/v1/namespaces/$1/secrets/$2" | field data "$3"; }
certificate_of() { secret_of "$1" postgres-tls tls.crt | openssl x509 -noout -ext subjectAltName; }
# report_of REPLICA_ID KEY...: of health_details of the last report that landed for it.
report_of()
{
	curl -fsS -m 20 "$CANOPY/_reports" | python3 -c '
import json, sys
bodies = [row["body"] for row in json.load(sys.stdin) if row["body"].get("replica_id") == sys.argv[1]]
print(json.dumps(bodies[-1]["health_details"]))' "$1" | field "${@:2}"
}
keys() { python3 -c 'import json, sys; print(*sorted(json.load(sys.stdin)))'; }

hold_lasts() { [ "$(brake heldMs)" -ge "$1" ]; }
brake() { api "/api/v1/namespaces/$OPERATOR_NAMESPACE/configmaps/understory-brake" | field data "$1"; }
one_round_left() { [ "$(api "/api/v1/namespaces/$1/persistentvolumeclaims" | grep -c '"name": *"pgdata-')" = 1 ] &&
	[ "$(api "/apis/apps/v1/namespaces/$1/deployments" | grep -c '"name": *"postgres-[0-9a-f]\{8\}"')" -ge 1 ]; }
stop_in_order() { stop operator && log_has 'msg=stopped'; }

credentials_refused()
{
	setting_up "$(entry $VERIFY verify "$SNAPSHOT_1")"
	faults '[{"path": "/restore-credentials", "status": 403, "title": "forbidden", "detail": "the grant was withdrawn"}]'
	start_operator
	check "the round fails" comes 30 state_is $VERIFY failed
	check "with canopy's words" test "$(replica $VERIFY "$SERVER" last_error | grep -c 'the grant was withdrawn')" = 1
	check "an Event says so" event_is CredentialsRefused
	check "no report is owed" report_is $VERIFY none
	sleep 4 # four passes
	check "it is not tried again at once" test "$(asked /restore-credentials)" = 1
	check "no Job was made" never has_job "$(namespace_of $VERIFY)"
}

has_job() { api "/apis/batch/v1/namespaces/$1/jobs" | grep '"uid"'; }

report_round_trip()
{
	setting_up "$(entry $VERIFY verify "$SNAPSHOT_1")"
	faults '[{"path": "/restore-verification", "times": 2, "status": 502, "title": "bad gateway"}]'
	start_operator
	check "a report that cannot be sent is owed" comes 90 report_is $VERIFY owed
	check "and says why" comes 30 test_error "bad gateway"
	check "it lands later, as one row" comes 60 landed healthy 1
	check "once" never landed_twice
}

test_error() { annotation "$(namespace_of $VERIFY)" last-verification-error | grep "$1"; }

worklist_fails()
{
	setting_up "$(entry $RECOVERY disaster-recovery "$SNAPSHOT_1"; entry $ANALYTICS analytics "$SNAPSHOT_1")"
	start_operator
	check "both become active" comes 90 both_active
	for fault in '"status": 500, "title": "boom"' '"garbage": true' '"half": true' '"reset": true' '"body": "{}"' '"body": "[{}]"' \
		'"status": 404, "title": "gone"' '"body": "null"'; do
		faults "[{\"path\": \"/restore-worklist\", $fault}]"
		sleep 3
		check "nothing is torn down while the worklist answers $fault" both_there
	done
	faults '[]'
	check "afterwards it goes on" comes 30 exits 0 plan
	check "nothing was torn down" both_there
}

both_active() { state_is $RECOVERY active && state_is $ANALYTICS active; }
both_there() { namespace_of $RECOVERY >/dev/null && namespace_of $ANALYTICS >/dev/null && never log_has 'replica torn down'; }

failed_round()
{
	rm -f "$WORK/understory.yaml"
	write_settings
	echo 'retry: {backoff: [3s, 3s, 3s], limit: 3}' >>"$WORK/understory.yaml"
	setting_up "$(entry $VERIFY verify deadbeefdeadbeef)"
	start_operator
	check "a snapshot that is not there fails the round" comes 60 state_is $VERIFY failed
	check "the cause is named" test "$(replica $VERIFY "$SERVER" last_error | grep -c deadbeefdeadbeef)" = 1
	check "it is reported as a failure" comes 30 landed unhealthy 1
	check "it is tried again" comes 60 landed unhealthy 2
	entry $VERIFY verify "$SNAPSHOT_1" | put_worklist
	check "a good snapshot heals it" comes 90 landed healthy 1
	check "no report landed twice" never landed_twice
	rm -f "$WORK/understory.yaml"
}

# What no further try can mend is known at once, not when the time-out of half an hour is over; and it is known whose fault it is.
broken_backup()
{
	local snapshot
	read -r snapshot _ <<<"$(backup without-wal)"
	setting_up "$(entry $VERIFY verify "$snapshot")"
	start_operator
	check "a backup without its log fails its round" comes 60 state_is $VERIFY failed
	check "it is reported as a failure" comes 30 landed unhealthy 1
	check "the backup is to blame" test "$(report_of $VERIFY grade) $(report_of $VERIFY owner)" = 'failed backup'
	check "the WAL file is named" says 'WAL file .* not in the backup' report_of $VERIFY cause
	check "PostgreSQL's pod had not been given up by then" test "$(report_of $VERIFY restore_duration_sec)" -lt 60
}

# The amounts of CPU and memory reach the database that serves, without a new round and without a request beyond the one. There are
# two volumes at once, the one that serves and the next; a third waits until one has gone.
standing()
{
	local ns
	setting_up "$(with '' "$SNAPSHOT_1")"
	start_operator
	check "the replica is reported" comes 90 report_is $ANALYTICS landed
	ns=$(namespace_of $ANALYTICS)
	with 'memory_limit: 2147483648' "$SNAPSHOT_1" | put_worklist
	check "a new limit reaches the Deployment" comes 30 test_limit "$ns" 2147483648
	check "an Event says so" comes 30 event_is Resized
	check "the database comes up with it" comes 60 serves_one_pod "$ns" 2147483648
	check "the rows are those of the snapshot" test "$(replica_sql "$ns" analytics pgbench 'select count(*) from pgbench_accounts')" = 1000000
	check "in the same round" test "$(annotation "$ns" attempt)" = 1
	check "by one request" metric_is 'understory_kube_requests_total{verb="patch",resource="deployments",code="200"} 1'
	with 'switchover_grace: 3600' "$SNAPSHOT_1" | put_worklist
	check "without the parameter the limit goes" comes 30 test_limit "$ns" none
	check "the database comes up again" comes 60 serves_one_pod "$ns" none
	check "nothing more was asked for" metric_is 'understory_kube_requests_total{verb="patch",resource="deployments",code="200"} 2'
	check "one report landed" landed healthy 1

	with 'switchover_grace: 3600' "$SNAPSHOT_2" | put_worklist
	check "a second snapshot is restored beside it" comes 90 landed healthy 2
	with 'switchover_grace: 3600' "$SNAPSHOT_1" | put_worklist
	check "a third waits, and an Event says so" comes 30 event_is VolumesInUse
	check "status says what it waits for" says 'the volumes of two rounds are there' replica $ANALYTICS "$SERVER" waits_for
	check "the second snapshot serves" test_annotation "$ns" last-restored-snapshot-id "$SNAPSHOT_2"
	with '' "$SNAPSHOT_1" | put_worklist
	check "with the old volume gone it begins" comes 90 landed healthy 3
	check "there are two" test "$(api "/api/v1/namespaces/$ns/persistentvolumeclaims" | grep -o '"name": *"pgdata-' | wc -l)" -le 2
}

with() { entry $ANALYTICS analytics "$2" | sed "s/params: {}/params: {$1}/"; }
limits_of() { python3 -c '
import json, sys
spec = json.load(sys.stdin)
spec = spec["items"][0]["spec"] if "items" in spec else spec
containers = spec["initContainers"] + spec["containers"]
limits = {c.get("resources", {}).get("limits", {}).get("memory", "none") for c in containers}
print(*limits)'; }
test_limit() { [ "$(api "/apis/apps/v1/namespaces/$1/deployments" | python3 -c '
import json, sys
print(json.dumps(json.load(sys.stdin)["items"][0]["spec"]["template"]["spec"]))' | limits_of)" = "$2" ]; }
serves_one_pod() {
	[ "$(api "/api/v1/namespaces/$1/pods?labelSelector=app.kubernetes.io/component=database" | limits_of)" = "$2" ] &&
		[ "$(replica_sql "$1" analytics pgbench 'select 1')" = 1 ]
}


restarted_in_the_middle()
{
	local run
	setting_up "$(entry $ANALYTICS analytics "$SNAPSHOT_1")"
	start_operator
	check "the restore begins" comes 30 log_has 'msg="restore started"'
	run=$(replica $ANALYTICS "$SERVER" run_id)
	stop operator KILL
	start_operator
	check "the restore is finished by the next operator" comes 90 report_is $ANALYTICS landed
	check "in the same round" test "$(replica $ANALYTICS "$SERVER" run_id)" = "$run"
	check "with one Job" test "$(api "/apis/batch/v1/namespaces/$(namespace_of $ANALYTICS)/jobs" | grep -c '"job-tracking\|"uid"')" -ge 1
	check "one report landed" landed healthy 1
	check "once" never landed_twice
	entry $ANALYTICS analytics "$SNAPSHOT_1" "another name" | put_worklist
	sleep 3
	check "a renamed declaration keeps its Namespace" test "$(namespace_of $ANALYTICS | cut -d- -f1,2)" = nauru-analytics
}

# Desired state from a file: credentials from a Secret, the report kept as an annotation.
worklist_file()
{
	local ns key
	may_read nauru
	setting_up '[]'
	# shellcheck disable=SC1091
	. "$WORK/s3/keys/backup.key"
	api_create /api/v1/namespaces/$OPERATOR_NAMESPACE/secrets "{\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"metadata\":
		{\"name\": \"nauru\"}, \"stringData\": {\"repositoryPassword\": \"$(cat "$SOURCE/repository.password")\",
		\"accessKeyId\": \"$AWS_ACCESS_KEY_ID\", \"secretAccessKey\": \"$AWS_SECRET_ACCESS_KEY\"}}"
	entry $ANALYTICS analytics "$SNAPSHOT_1" | sed 's/^- {/- {secret: nauru, engine: restic, /' >"$WORK/desired.yaml"
	start_operator CANOPY_BASE_URL= WORKLIST_FILE="$WORK/desired.yaml"
	check "the replica becomes active" comes 60 state_is $ANALYTICS active
	check "its report is not owed to anybody" comes 30 report_is $ANALYTICS landed
	ns=$(namespace_of $ANALYTICS)
	check "it is kept as an annotation" test_healthy "$ns"
	check "and as an Event" event_is Reported
	check "canopy was never asked" test "$(curl -fsS -m 20 "$CANOPY/_captured")" = '[]'
	check "the replica says what it is" test "$(annotation "$ns" flavour) $(annotation "$ns" last-report | field health_details flavour)" = \
		'stock stock'
	echo '- {replica_id: nonsense}' >"$WORK/desired.yaml"
	check "a bad file is named by line" comes 30 log_has 'desired.yaml:1:'
	check "and tears nothing down" namespace_of $ANALYTICS
}

# What was backed up as a flavour of the server comes up as that, and its roles keep their passwords where that is asked for: then the
# way in is tried with one of them.
as_it_was()
{
	local ns
	rm -f "$WORK/understory.yaml"
	write_settings
	cat >>"$WORK/understory.yaml" <<-EOC
		flavours:
		  acme: {image: registry.example.org/acme/postgres, pullSecret: registry, preload: [pg_stat_statements]}
	EOC
	may_read nauru login registry
	setting_up '[]'
	# shellcheck disable=SC1091
	. "$WORK/s3/keys/backup.key"
	make_secret nauru "\"repositoryPassword\": \"$(cat "$SOURCE/repository.password")\",
		\"accessKeyId\": \"$AWS_ACCESS_KEY_ID\", \"secretAccessKey\": \"$AWS_SECRET_ACCESS_KEY\""
	make_secret login '"username": "clinic", "password": "not-the-one", "database": "pgbench"'
	make_secret registry '".dockerconfigjson": "{}"' kubernetes.io/dockerconfigjson
	desire 'flavour: other, '
	start_operator CANOPY_BASE_URL= WORKLIST_FILE="$WORK/desired.yaml"
	check "a flavour that nobody knows fails the round" comes 30 state_is $ANALYTICS failed
	ns=$(namespace_of $ANALYTICS)
	check "before anything is fetched" never has_job "$ns"
	check "it is said what is known" says 'the settings know stock, pg_durable, acme' replica $ANALYTICS "$SERVER" last_error
	check "the settings are to blame" test "$(annotation "$ns" last-report | field health_details owner)" = settings

	desire 'flavour: acme, passwords: source, sourceSecret: login, '
	sleep 3 # until a pass has read it
	force_refresh "$ns"
	check "a password that is not the source's fails the round" comes 90 says 'login of the source was refused' \
		replica $ANALYTICS "$SERVER" last_error
	check "the credentials are to blame" test "$(annotation "$ns" last-report | field health_details owner)" = credentials
	api_patch "/api/v1/namespaces/$OPERATOR_NAMESPACE/secrets/login" "{\"stringData\": {\"password\": \"$CLINIC_PASSWORD\"}}"
	force_refresh "$ns"
	check "with the right one the replica becomes active" comes 90 state_is $ANALYTICS active
	check "its report is settled" comes 30 report_is $ANALYTICS landed
	check "the flavour is in it" test "$(annotation "$ns" last-report | field health_details flavour)" = acme
	check "and stays with the replica" test_annotation "$ns" flavour acme
	check "its image and its pull secret are the flavour's" test "$(api "/apis/apps/v1/namespaces/$ns/deployments/postgres-$(
		annotation "$ns" active-round)" | field spec template spec | python3 -c '
import json, sys
spec = json.load(sys.stdin)
print(spec["containers"][0]["image"], spec["imagePullSecrets"][0]["name"])')" = 'registry.example.org/acme/postgres:15 image-pull'
	check "the pull secret is there" test "$(secret_of "$ns" image-pull .dockerconfigjson)" = '{}'
	check "its library is loaded" test "$(replica_sql "$ns" postgres pgbench 'show shared_preload_libraries')" = pg_stat_statements
	check "a role of the source comes in as it did there" test "$(PGPASSWORD=$CLINIC_PASSWORD PGSSLMODE=require \
		PGHOST=$(api "/api/v1/namespaces/$ns/services/postgres" | field spec clusterIP) psql -U clinic -d pgbench -X -q -A -t -c 'select 1')" = 1
	check "its password is nowhere to be read" never password_is_shown
	rm -f "$WORK/understory.yaml"
}

# desire FIELDS: of the one entry of the file.
desire() { entry $ANALYTICS analytics "$SNAPSHOT_1" | sed "s/^- {/- {secret: nauru, engine: restic, $1/" >"$WORK/desired.yaml"; }
# make_secret NAME MEMBERS [TYPE]: in the operator's Namespace.
make_secret()
{
	api_create "/api/v1/namespaces/$OPERATOR_NAMESPACE/secrets" "{\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"metadata\":
		{\"name\": \"$1\"}, \"type\": \"${3:-Opaque}\", \"stringData\": {$2}}"
}
force_refresh() { api_patch "/api/v1/namespaces/$1" '{"metadata": {"annotations": {"pgro.bes.au/force-refresh": "now"}}}'; }
# In anything but Secrets, in logs or arguments.
password_is_shown() {
	{ cat "$WORK/log/operator.log" "$WORK"/node/*/*/*.log
	for kind in namespaces pods services events; do api "/api/v1/$kind"; done
	api /apis/events.k8s.io/v1/events && api /apis/apps/v1/deployments && api /apis/batch/v1/jobs; } 2>/dev/null | grep -F "$CLINIC_PASSWORD"
	grep -aF "$CLINIC_PASSWORD" /proc/[0-9]*/cmdline
}

test_healthy() { annotation "$1" last-report | field replica_healthy | grep true; }
api_faults() { kube -o /dev/null "$API/_faults" -d "$1"; }

# What is in the way in the cluster: a foreign Namespace, a right that is missing, a Namespace that does not go.
bad_cluster()
{
	local ns before
	setting_up "$(entry $VERIFY verify "$SNAPSHOT_1"; entry $ANALYTICS analytics "$SNAPSHOT_1")"
	ns=nauru-analytics-63af0b39 # what design.md's rule makes of the name and the two ids
	api_create /api/v1/namespaces "{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"$ns\"}}"
	before=$(api "/api/v1/namespaces/$ns" | field metadata resourceVersion)
	api_faults '[{"verb": "create", "path": "/apis/batch/v1/*", "status": 403, "reason": "Forbidden"}]'
	start_operator
	check "a foreign Namespace is said to be one" comes 30 event_is ForeignNamespace
	check "and counted" comes 30 metric_is 'understory_foreign_namespaces 1'
	check "and left alone" test "$(api "/api/v1/namespaces/$ns" | field metadata resourceVersion)" = "$before"
	check "a right that is missing is named" comes 30 log_has 'replica not brought forward.*jobs'
	check "the round waits for it" state_is $VERIFY restoring
	check "plan says 2: there is something to do" exits 2 plan
	check "the operator is ready all the same" curl -fsS -m 5 "$METRICS/readyz"
	api_faults '[]'
	check "with the right it goes on" comes 90 landed healthy 1
	check "once" never landed_twice
	setting_up "$(entry $ANALYTICS analytics "$SNAPSHOT_1")"
	start_operator
	check "a replica is restored" comes 60 state_is $ANALYTICS active
	ns=$(namespace_of $ANALYTICS)
	api_patch "/api/v1/namespaces/$ns" '{"metadata": {"finalizers": ["example.org/stays"]}}'
	api_delete "/api/v1/namespaces/$ns"
	check "a Namespace that stays Terminating is shown as such" comes 30 state_is $ANALYTICS terminating
	sleep 3
	check "its finalizer is not stripped" test "$(api "/api/v1/namespaces/$ns" | field metadata finalizers 0)" = example.org/stays
	api_patch "/api/v1/namespaces/$ns" '{"metadata": {"finalizers": null}}'
	check "when it is gone the replica is made anew" comes 90 state_is $ANALYTICS active
}

# A person's mistakes at an API server with TLS and tokens, as all scenarios have it.
over_tls()
{
	setting_up "$(entry $ANALYTICS analytics "$SNAPSHOT_1")"
	check "TLS and token are accepted" exits 0 "$UNDERSTORY" status
	openssl rand -hex 16 >"$WORK/wrong.token"
	write_kubeconfig "$KUBECONFIG" wrong.token
	check "a wrong token is refused" exits 1 "$UNDERSTORY" status
	check "and named" says Unauthorized "$UNDERSTORY" status
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=stub -keyout "$WORK/other.key" -out "$WORK/other.crt" \
		-days 2 2>>"$WORK/log/openssl.log"
	write_kubeconfig "$KUBECONFIG" admin.token other.crt
	check "another CA is refused" exits 1 "$UNDERSTORY" status
}

# One leads, the other waits; the leader is stopped in the middle of a restore for longer than its Lease lasts, then goes on.
two_operators()
{
	local second pid stopped _
	setting_up "$(entry $ANALYTICS analytics "$SNAPSHOT_1")"
	start_operator CREDENTIALS=direct # each would have a broker of its own, and pods know the address of one
	check "the first leads" comes 30 metric_is 'understory_leader 1'
	check "and says so by an Event" comes 30 event_is LeaderElection
	second=127.0.0.1:$(free_ports 1)
	spawn second env "CANOPY_BASE_URL=$CANOPY" "KUBECONFIG=$OPERATOR_KUBECONFIG" CREDENTIALS=direct "S3_ENDPOINT=$S3_ENDPOINT" \
		CANOPY_RECONCILE_INTERVAL_SECS=1 "METRICS_ADDR=$second" "OPERATOR_NAMESPACE=$OPERATOR_NAMESPACE" \
		"UNDERSTORY_CONFIG=$WORK/understory.yaml" "$UNDERSTORY" run
	check "the second is ready" wait_for 20 second curl -fsS -m 2 -o /dev/null "http://$second/readyz"
	check "and does not lead" second_says 'understory_leader 0'
	check "the restore begins" comes 30 log_has 'msg="restore started"'
	read -r pid _ <"$WORK/run/operator.pid"
	kill -STOP "$pid"
	stopped=$SECONDS
	check "the second takes over" comes 40 second_says 'understory_leader 1'
	check "and finishes the round" comes 60 report_is $ANALYTICS landed
	sleep $((stopped + 60 - SECONDS > 0 ? stopped + 60 - SECONDS : 0)) # far beyond its Lease
	kill -CONT "$pid"
	check "the first no longer leads" comes 30 metric_is 'understory_leader 0'
	sleep 3
	check "one report landed" landed healthy 1
	check "once" never landed_twice
	check "there is one Job" test "$(api "/apis/batch/v1/namespaces/$(namespace_of $ANALYTICS)/jobs" |
		python3 -c 'import json,sys; print(len(json.load(sys.stdin)["items"]))')" = 1
	check "credentials were asked for once" test "$(asked /restore-credentials)" = 1
	stop second
	# Sooner than the Lease would run out.
	check "a leader that ends hands over at once" comes 8 metric_is 'understory_leader 1'
}

second_says() { curl -fsS -m 5 "http://$second/metrics" | grep -xF "$1"; }

# The restore through broker and proxy, as all are: no key of the store in the Secret of the round.
through_proxy()
{
	local ns key
	setting_up "$(entry $ANALYTICS analytics "$SNAPSHOT_1")"
	start_operator
	check "the replica becomes active" comes 60 state_is $ANALYTICS active
	check "its report lands" comes 30 landed healthy 1
	ns=$(namespace_of $ANALYTICS)
	key=$(annotation "$ns" active-round)
	check "the rows are those of the snapshot" test "$(replica_sql "$ns" analytics pgbench 'select count(*) from pgbench_accounts')" = 1000000
	check "the Secret of the round holds no keys" test "$(api "/api/v1/namespaces/$ns/secrets/restore-$key" |
		python3 -c 'import json,sys; print(sorted(k for k in json.load(sys.stdin)["data"] if "ccess" in k or "oken" in k))')" = '[]'
	check "the report says how much was read" test "$(curl -fsS "$CANOPY/_reports" | field 0 body s3_received_payload_bytes)" -gt 1000000
	check "the broker's CA is kept" api "/api/v1/namespaces/$OPERATOR_NAMESPACE/secrets/understory-ca"
	check "its audit line names who got keys" log_has "$ns"
	check "a caller without a token is refused" test "$(curl -sk -m 5 -o /dev/null -w '%{http_code}' \
		"https://$BROKER/internal/restore-creds" -d '{}')" = 401
	check "no report landed twice" never landed_twice
}

# CREDENTIALS=direct: the keys are in the Secret of the round, and there is neither proxy nor broker. Here without TLS too.
direct_credentials()
{
	local ns
	setting_up "$(entry $ANALYTICS analytics "$SNAPSHOT_1")"
	start_operator CREDENTIALS=direct CANOPY_PROXY_IMAGE= POSTGRES_TLS=off
	check "the replica becomes active" comes 60 state_is $ANALYTICS active
	check "its report lands" comes 30 landed healthy 1
	ns=$(namespace_of $ANALYTICS)
	check "the Secret of the round holds the keys" test "$(api "/api/v1/namespaces/$ns/secrets/restore-$(annotation "$ns" active-round)" |
		field data sessionToken | wc -c)" -gt 100
	check "the Job has the restore container alone" test "$(containers_of_job "$ns")" = restore
	check "no certificate was made" is_gone "/api/v1/namespaces/$ns/secrets/postgres-tls"
	check "people are not told of any" never secret_has "$ns" analytics-credentials sslmode
	check "they come in with their password" test "$(plain_sql "$ns" "$(secret_of "$ns" analytics-credentials password)")" = 1

	stop operator
	{ entry $ANALYTICS analytics "$SNAPSHOT_2"; } | put_worklist
	start_operator CREDENTIALS=direct CANOPY_PROXY_IMAGE=
	check "with the next round TLS comes" comes 90 test_annotation "$ns" last-restored-snapshot-id "$SNAPSHOT_2"
	check "its report lands" comes 30 landed healthy 2
	check "people are told then" comes 30 secret_has "$ns" analytics-credentials sslmode
	check "and come in with it" test "$(replica_sql "$ns" analytics pgbench 'select 1')" = 1
}

# The names of all its containers, a line each.
containers_of_job()
{
	api "/apis/batch/v1/namespaces/$1/jobs" | python3 -c '
import json, sys
spec = json.load(sys.stdin)["items"][0]["spec"]["template"]["spec"]
print(*(c["name"] for c in spec.get("initContainers", []) + spec["containers"]), sep="\n")'
}

# What a person meets at the command line.
command_line()
{
	local file=$WORK/bad.yaml
	setting_up "$(entry $VERIFY verify "$SNAPSHOT_1")"
	echo 'reconcileIntervall: 5' >"$file"
	check "an unknown key is an error" exits 1 env UNDERSTORY_CONFIG="$file" CANOPY_BASE_URL="$CANOPY" "$UNDERSTORY" check-config
	check "with file and line" says "$file:1:" env UNDERSTORY_CONFIG="$file" CANOPY_BASE_URL="$CANOPY" "$UNDERSTORY" check-config
	check "a bad value is an error" says 'CANOPY_RECONCILE_INTERVAL_SECS' env CANOPY_RECONCILE_INTERVAL_SECS=soon \
		CANOPY_BASE_URL="$CANOPY" "$UNDERSTORY" check-config
	check "a missing file is an error" says '/nowhere' env UNDERSTORY_CONFIG=/nowhere "$UNDERSTORY" check-config
	check "no worklist is an error" exits 1 "$UNDERSTORY" run
	check "an unknown command is an error" exits 1 "$UNDERSTORY" tidy
	check "without an image for the proxy run does not start" exits 1 env CANOPY_BASE_URL="$CANOPY" "$UNDERSTORY" run
	check "and says what to do" says 'CANOPY_PROXY_IMAGE is not set.*CREDENTIALS=direct' env CANOPY_BASE_URL="$CANOPY" "$UNDERSTORY" run
	check "plan does without" exits 0 env CANOPY_BASE_URL="$CANOPY" "$UNDERSTORY" plan
	check "good settings are printed" exits 0 env CANOPY_BASE_URL="$CANOPY" "$UNDERSTORY" check-config
	check "plan without canopy is an error" exits 1 env CANOPY_BASE_URL=http://127.0.0.1:1 "$UNDERSTORY" plan
	check "status of an empty cluster is a heading" says NAMESPACE "$UNDERSTORY" status
}

cleaning_up()
{
	stop second
	stop_all
	rm -rf "$WORK"
}

trap cleaning_up EXIT
if ! { begin && start_s3 && start_source; }; then
	echo "Bail out! the real parts did not start"
	exit 1
fi
CLINIC_PASSWORD=$(openssl rand -hex 16)
psql -h "$SOURCE/run" -U postgres -d pgbench -X -q <<<"CREATE ROLE clinic LOGIN PASSWORD '$CLINIC_PASSWORD'"
read -r SNAPSHOT_1 _ <<<"$(backup base)"
"$ROOT/fixtures/source/source.sh" change "$SOURCE"
read -r SNAPSHOT_2 _ <<<"$(backup crashed)"
check "two snapshots" test -n "$SNAPSHOT_1" -a -n "$SNAPSHOT_2" -a "$SNAPSHOT_1" != "$SNAPSHOT_2"
[ $# -gt 0 ] || set -- happy_path credentials_refused report_round_trip worklist_fails failed_round broken_backup standing \
	restarted_in_the_middle worklist_file bad_cluster over_tls two_operators through_proxy direct_credentials as_it_was by_load_balancer command_line
MAY_BE_REFUSED=bad_cluster
play "$@"
tap_end
