#!/bin/bash
# The engine pgbackrest end to end: Debian's pgBackRest backs a running server up into a real S3 store, over TLS with a CA of its own;
# canopy names a backup by its label; the operator, whose keys go by the proxy but for this backup type, restores it with keys from the
# round's Secret. Then an incremental backup, a stanza that does not exist, and a backup type that no setting allows. Speaks TAP; needs
# root.
#
# usage: pgbackrest.sh BUILD_FOLDER
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh" "$1" e2e-pgbackrest
# shellcheck source=tests/support/certificate.sh
. "$(dirname "$0")/../support/certificate.sh"

readonly SUMS="SELECT concat_ws(' ', (SELECT concat_ws(' ', count(*), sum(id), sum(length(notes))) FROM patient),
	(SELECT concat_ws(' ', count(*), sum(id), sum(weight)) FROM visit))"

# --- the parts

# The store speaks TLS too; pgBackRest knows no IP addresses in certificates.
start_store()
{
	local ports
	mkdir "$WORK/tls"
	make_certificate "$WORK/tls" DNS:localhost || return 1
	read -ra ports <<<"$(free_ports 3)"
	"$ROOT/fixtures/s3/radosgw.sh" start "$WORK/s3" "${ports[0]}" --mon-port "${ports[1]}" --tls-port "${ports[2]}" \
		--tls-cert "$WORK/tls/store.crt" --tls-key "$WORK/tls/store.key" || return 1
	# shellcheck disable=SC1091
	. "$WORK/s3/env"
	TLS_ENDPOINT=https://localhost:${ports[2]}
}

make_bucket()
{
	# shellcheck disable=SC1091
	(. "$WORK/s3/keys/backup.key" && env RCLONE_CONFIG=/dev/null RCLONE_CONFIG_STORE_TYPE=s3 RCLONE_CONFIG_STORE_PROVIDER=Ceph \
		"RCLONE_CONFIG_STORE_ENDPOINT=$S3_ENDPOINT" RCLONE_CONFIG_STORE_ENV_AUTH=true "AWS_ACCESS_KEY_ID=$AWS_ACCESS_KEY_ID" \
		"AWS_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY" rclone mkdir "store:$BUCKET") 2>>"$WORK/log/rclone.log"
}

pgbackrest_at_source()
{
	(cd / && exec setpriv --reuid=postgres --regid=postgres --init-groups pgbackrest "--config=$SOURCE/pgbackrest.conf" --stanza=main "$@")
}

write_configuration()
{
	cp "$WORK/tls/ca.crt" "$SOURCE/ca.crt"
	(
		umask 077
		# shellcheck disable=SC1091
		. "$WORK/s3/keys/backup.key"
		cat >"$SOURCE/pgbackrest.conf" <<-EOC
			[global]
			repo1-type=s3
			repo1-path=/$PREFIX
			repo1-s3-bucket=$BUCKET
			repo1-s3-endpoint=$TLS_ENDPOINT
			repo1-s3-uri-style=path
			repo1-s3-region=us-east-1
			repo1-s3-key=$AWS_ACCESS_KEY_ID
			repo1-s3-key-secret=$AWS_SECRET_ACCESS_KEY
			repo1-storage-ca-file=$SOURCE/ca.crt
			repo1-cipher-type=aes-256-cbc
			repo1-cipher-pass=$(cat "$SOURCE/repository.password")
			lock-path=$SOURCE/run
			log-level-file=off
			log-level-console=error
			repo1-retention-full=9
			start-fast=y
			archive-timeout=120
			compress-type=gz
			compress-level=1
			process-max=2
			[main]
			pg1-path=$SOURCE/data
			pg1-socket-path=$SOURCE/run
		EOC
	)
	chown postgres "$SOURCE/pgbackrest.conf"
}

# One of its databases is enough to be backed up twice.
start_archiving()
{
	write_configuration
	source_sql postgres 'DROP DATABASE pgbench'
	cat >>"$SOURCE/data/postgresql.conf" <<-EOC
		archive_mode = on
		archive_command = 'pgbackrest --config=$SOURCE/pgbackrest.conf --stanza=main archive-push %p'
	EOC
	"$ROOT/fixtures/source/source.sh" stop "$SOURCE" && "$ROOT/fixtures/source/source.sh" start "$SOURCE" &&
		pgbackrest_at_source stanza-create
}

# take_backup TYPE: prints its label.
take_backup()
{
	pgbackrest_at_source backup --type="$1" && pgbackrest_at_source info --output=json | field 0 backup | python3 -c '
import json, sys
print(json.load(sys.stdin)[-1]["label"])'
}

write_settings()
{
	cat >"$WORK/understory.yaml" <<-EOC
		engines: {tamanu-postgres: pgbackrest, other: pgbackrest}
		directCredentials: [tamanu-postgres]
		intents:
		  verify: {storageSize: 1Gi}
		  analytics: {storageSize: 1Gi, cpuLimit: 2, depth: deep, switchoverGrace: 5s}
		  disaster-recovery: {storageSize: 1Gi}
	EOC
}

# stanza NAME: of the entry on stdin.
stanza() { sed "s/params: {}/params: {}, stanza: $1/"; }

# --- questions

reported_for() { captured_reports | grep -q " unhealthy $1 "; }
round_of() { annotation "$(namespace_of "$1")" round; }
said_last() { annotation "$(namespace_of "$1")" last-error; }
verdict_is() { test_annotation "$(namespace_of "$1")" last-verdict "$2"; }
keys_of_round() { api "/api/v1/namespaces/$1/secrets/restore-$(annotation "$1" round)" | field data | python3 -c '
import json, sys
print(*sorted(json.load(sys.stdin)))'; }

# --- what is shown

with_pgbackrest()
{
	a_backup_comes_up
	a_newer_one_follows
	faults_have_owners
}

a_backup_comes_up()
{
	local ns
	setting_up "$(entry $ANALYTICS analytics "$FULL" | stanza main)"
	start_operator S3_ENDPOINT="$TLS_ENDPOINT" S3_CA_FILE="$WORK/tls/ca.crt" PGBACKREST_IMAGE=registry.invalid/pgbackrest:2.45
	check "the replica becomes active" comes 90 state_is $ANALYTICS active
	check "its report is healthy" comes 30 landed healthy 1
	ns=$(namespace_of $ANALYTICS)
	check "its keys came by the round's Secret, which the settings allow" test "$(keys_of_round "$ns")" = \
		'accessKeyId caCertificate repositoryPassword restore.sh secretAccessKey sessionToken'
	check "the report names the engine" says '"engine": *"pgbackrest 2.45"' curl -fsS -m 20 "$CANOPY/_reports"
	check "every row is there" test "$(replica_sql "$ns" analytics clinic "$SUMS")" = "$ROWS"
}

a_newer_one_follows()
{
	local ns label
	source_sql clinic "UPDATE patient SET notes = 'moved away' WHERE id % 10 = 0; DELETE FROM visit WHERE id % 11 = 0"
	label=$(take_backup incr)
	ROWS=$(source_sql clinic "$SUMS")
	entry $ANALYTICS analytics "$label" | stanza main | put_worklist
	ns=$(namespace_of $ANALYTICS)
	check "an incremental backup is a refresh" comes 90 test_annotation "$ns" last-restored-snapshot-id "$label"
	check "which is reported too" comes 30 landed healthy 2
	check "the changed rows are there" test "$(replica_sql "$ns" analytics clinic "$SUMS")" = "$ROWS"
}

# One entry names a stanza that nobody made, one a backup type that is not among those whose keys may lie in a Secret.
faults_have_owners()
{
	{
		entry $ANALYTICS analytics "$FULL" | stanza main
		entry $VERIFY verify "$FULL" | stanza nobody
		entry $RECOVERY disaster-recovery "$FULL" | stanza main | sed 's/type: tamanu-postgres/type: other/'
	} | put_worklist
	check "a stanza that does not exist is reported" comes 60 reported_for $VERIFY
	check "as a fault of what canopy declares" verdict_is $VERIFY 'inconclusive restore canopy'
	check "with its name" says 'missing stanza path' said_last $VERIFY
	check "a backup type that the settings do not allow its keys in a Secret is reported too" comes 30 reported_for $RECOVERY
	check "as a fault of the settings" verdict_is $RECOVERY 'inconclusive restore settings'
	check "with what to do" says 'hint: allow that by directCredentials: \["other"\]' said_last $RECOVERY
	check "and it was given no keys" is_gone "/api/v1/namespaces/$(namespace_of $RECOVERY)/secrets/restore-$(round_of $RECOVERY)"
}

trap 'stop_all; rm -rf "$WORK"' EXIT
if ! { begin && start_store && start_source && make_bucket && start_archiving && FULL=$(take_backup full); }; then
	echo "Bail out! the real parts did not start"
	exit 1
fi
ROWS=$(source_sql clinic "$SUMS")
play with_pgbackrest
tap_end
