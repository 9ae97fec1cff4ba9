#!/bin/bash
# The script of engine pgbackrest with the real pgBackRest, over TLS, from an S3 server that checks signatures (radosgw) and from a double
# of Azure Blob (tests/support/blob_store.py). TAP on stdout. A double of pgBackRest, in $work/doubles, records each command line before it runs the real one, or says what a test has put into its
# mouth.
# usage: test_script_pgbackrest.sh DIRECTORY_OF_SHIPPED_SCRIPTS RADOSGW.SH
scripts=$1
radosgw=$2
blob_store=$(dirname "$0")/../support/blob_store.py
# shellcheck source=tests/builders/script_lib.sh
. "$(dirname "$0")/script_lib.sh"
# shellcheck source=tests/builders/pgbackrest_lib.sh
. "$(dirname "$0")/pgbackrest_lib.sh"
# shellcheck source=tests/support/certificate.sh
. "$(dirname "$0")/../support/certificate.sh"

for needed in pgbackrest rclone radosgw openssl; do
	command -v "$needed" >/dev/null || { echo "1..0 # SKIP $needed is not installed"; exit 0; }
done

free_port() {
	/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

make_certificates() {
	make_certificate "$work" DNS:localhost,DNS:hospital.blob.core.windows.net
	cp -p "$work/ca.crt" "$work/repository/ca.crt"
}

end_store() {
	"$radosgw" stop "$work/s3"
	clean_up
}

start_store() {
	port=$(free_port)
	trap end_store EXIT
	"$radosgw" start "$work/s3" "$(free_port)" --mon-port "$(free_port)" --tls-port "$port" --tls-cert "$work/store.crt" \
		--tls-key "$work/store.key"
	# shellcheck disable=SC1091
	. "$work/s3/env"
	# shellcheck disable=SC1091
	. "$work/s3/keys/backup.key"
	store mkdir store:backups
}

# Its container is a directory, which the source sees as a repository of its own.
start_blob_store() {
	install -d -o postgres "$work/blobs/backups"
	BLOB_ACCOUNT=hospital BLOB_KEY=$(head -c 32 /dev/urandom | base64)
	export BLOB_ACCOUNT BLOB_KEY
	"$blob_store" serve "$work/blobs" "$work/store.crt" "$work/store.key" >"$work/blobs.port" 2>"$work/blobs.log" &
	local deadline=$((SECONDS + 20))
	until blob_port=$(sed -n 's/^port //p' "$work/blobs.port") && [ -n "$blob_port" ]; do
		[ $SECONDS -lt $deadline ] || return 1
		sleep 0.1
	done
	sed '1i 127.0.0.1 hospital.blob.core.windows.net' /etc/hosts >"$work/hosts"
}

# rclone, for what a backup tool would not do.
store() { # ARGUMENT...
	env RCLONE_CONFIG=/dev/null RCLONE_CONFIG_STORE_TYPE=s3 RCLONE_CONFIG_STORE_PROVIDER=Ceph \
		RCLONE_CONFIG_STORE_ENDPOINT="$S3_ENDPOINT" RCLONE_CONFIG_STORE_ACCESS_KEY_ID="$AWS_ACCESS_KEY_ID" \
		RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY="$AWS_SECRET_ACCESS_KEY" rclone --log-level ERROR "$@"
}

make_repository() {
	make_certificates
	start_store
	store_options="repo1-type=s3
repo1-path=/at/night
repo1-s3-bucket=backups
repo1-s3-endpoint=https://localhost:$port
repo1-s3-uri-style=path
repo1-s3-region=us-east-1
repo1-s3-key=$AWS_ACCESS_KEY_ID
repo1-s3-key-secret=$AWS_SECRET_ACCESS_KEY
repo1-storage-ca-file=$work/repository/ca.crt
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass=hidden-cipher
repo2-path=$work/blobs/backups/at/night"
	start_blob_store || return
	make_stanza
	make_backups
	pgbackrest_at_source backup --repo=2 --type=full
	blob=$(labels 2)
	archive_wal
	source_stops
}

make_double() {
	mkdir -p "$work/doubles"
	cat >"$work/doubles/pgbackrest" <<-'DOUBLE'
	#!/bin/bash
	[ "$1" != version ] || exec /usr/bin/pgbackrest version
	printf '%s\n' "pgbackrest $*" >>/pgdata/commands
	printf '%s\n' "$PGBACKREST_PROCESS_MAX $PGBACKREST_REPO1_PATH" >>/pgdata/environment
	case " $* " in
	*" ${DOUBLE_FAILS:-none} "*) printf '%b\n' "$DOUBLE_SAYS"; exit "${DOUBLE_STATUS:-0}" ;;
	esac
	# by which name its workers are started too
	exec -a pgbackrest /usr/bin/pgbackrest "$@"
	DOUBLE
	chmod 755 "$work/doubles/pgbackrest"
}

# The environment that the builder makes for storage s3 with CREDENTIALS=direct.
restore() { # BACKUP [VARIABLE]...
	run restore-pgbackrest < <(printf '%s\n' "SNAPSHOT_ID=$1" STANZA=main S3_ENDPOINT="https://localhost:$port" S3_BUCKET=backups \
		S3_PREFIX=at/night/ S3_REGION=us-east-1 PGBACKREST_IO_TIMEOUT=1 PGBACKREST_JOB_RETRY=0 S3_CA_FILE=/repository/ca.crt REPOSITORY_PASSWORD=hidden-cipher CPU_LIMIT=2 \
		AWS_ACCESS_KEY_ID="$AWS_ACCESS_KEY_ID" AWS_SECRET_ACCESS_KEY="$AWS_SECRET_ACCESS_KEY" AWS_SESSION_TOKEN= "${@:2}")
}

test_restore() {
	new_address
	new_pod incremental
	mkdir -p "$pod/pgdata/restore/left/over" "$pod/pgdata/pgdata"
	chown -R 999:999 "$pod/pgdata"
	restore "$incremental"
	is "a backup is restored" "0 15 pgbackrest 2.45 plain" \
		"$status $(message '.postgres_version + " " + .engine + " " + .layout')"
	is "its tablespace lies on the volume" "/pgdata/tablespaces/" "$(readlink "$pod/pgdata/pgdata/pg_tblspc/"* | tr -d '0-9')"
	is "pgBackRest's own signal is gone" "" "$(find "$pod/pgdata/pgdata" -name "*.signal")"
	is "process-max and path come by the environment" "2 /at/night" "$(sort -u "$pod/pgdata/environment")"
	grep -q -- '--set=' "$pod/pgdata/commands" && grep -q 'restore:local' "$pod/pgdata/commands" &&
		! grep -qF -e hidden-cipher -e "$AWS_SECRET_ACCESS_KEY" -e "$AWS_ACCESS_KEY_ID" "$pod/pgdata/commands" "$pod.log" "$pod/message"
	verdict $? "no secret in an argument, of its workers neither, the log or the message"
	is "with the WAL of the archive all rows are there" "1230|12" "$(rows_of_restored)"

	[ "$flavour" = dash ] || return 0
	new_pod full
	restore "$full" CPU_LIMIT=
	is "an older backup comes to the same end" "1230|12" "$(rows_of_restored)"
	is "without a CPU limit by one process" "1 /at/night" "$(sort -u "$pod/pgdata/environment")"
}

# The environment that the builder makes for storage azure with a SAS.
restore_blobs() { # PERMISSIONS MINUTES [VARIABLE]...
	sas=$("$blob_store" sas "$1" "$2")
	run restore-pgbackrest < <(printf '%s\n' "SNAPSHOT_ID=$blob" STANZA=main AZURE_ACCOUNT=hospital S3_PREFIX=at/night AZURE_CONTAINER=backups \
		AZURE_ENDPOINT="https://hospital.blob.core.windows.net:$blob_port" AZURE_SAS_TOKEN="$sas" S3_CA_FILE=/repository/ca.crt \
		REPOSITORY_PASSWORD= PGBACKREST_IO_TIMEOUT=1 PGBACKREST_JOB_RETRY=0 CPU_LIMIT=2 "${@:3}")
}

test_azure() {
	new_address
	new_pod azure
	cp "$work/hosts" "$pod/hosts"
	restore_blobs rl 60
	is "azure: a backup is restored" "0 15 pgbackrest 2.45" "$status $(message '.postgres_version + " " + .engine')"
	! grep -qF "${sas##*sig=}" "$pod/pgdata/commands" "$pod.log" "$pod/message"
	verdict $? "azure: no SAS in an argument, the log or the message"
	is "azure: all rows are there" "1230|12" "$(rows_of_restored)"

	[ "$flavour" = dash ] || return 0
	new_pod azure-failures
	cp "$work/hosts" "$pod/hosts"
	while IFS='|' read -r label expected permissions minutes text variables; do
		# shellcheck disable=SC2086
		restore_blobs "$permissions" "$minutes" $variables
		failed_with "$expected" restore "$text" "azure: $label"
	done <<-ROWS
	a SAS that has ended|$(code EXIT_CREDENTIALS_EXPIRED)|rl|-1|the SAS has ended at 20
	a SAS of nobody|$(code EXIT_ACCESS_REFUSED)|rl|60|signature.): AuthorizationFailure|AZURE_SAS_TOKEN=?sv=2020-12-06&sp=rl&sig=x
	a SAS that may write only|$(code EXIT_ACCESS_REFUSED)|w|60|AuthorizationPermissionMismatch; hint: a SAS needs the permissions r and l
	no such container|$(code EXIT_REPOSITORY_GONE)|rl|60|(The specified container does not exist.): ContainerNotFound|AZURE_CONTAINER=nowhere
	no such account|$(code EXIT_REPOSITORY_GONE)|rl|60|unable to get address for 'school.blob.core.invalid': [-2]|AZURE_ACCOUNT=school AZURE_ENDPOINT=https://school.blob.core.invalid
	stanza gone|$(code EXIT_REPOSITORY_GONE)|rl|60|missing stanza path|STANZA=other
	a password where there is none|$(code EXIT_WRONG_PASSWORD)|rl|60|cipher header|REPOSITORY_PASSWORD=needless
	ROWS
}

test_latest() {
	new_pod latest
	restore latest
	is "latest is the newest backup" "0 1" "$status $(grep -c -- "restore --set=$incremental" "$pod/pgdata/commands")"
	new_pod pinned
	echo "$full" >"$pod/pgdata/backup"
	restore latest
	is "a later pod stays with what an earlier one took" "0 1" "$status $(grep -c -- "restore --set=$full" "$pod/pgdata/commands")"
	new_pod round
	restore LATEST BACKUP_NAME="$full"
	is "a later round stays with what an earlier one took" "0 1" "$status $(grep -c -- "restore --set=$full" "$pod/pgdata/commands")"
}

# label, exit code, what its error holds, variables.
test_failures() {
	new_pod failures
	while IFS='|' read -r label expected text variables; do
		# shellcheck disable=SC2086
		restore "$full" $variables
		failed_with "$expected" restore "$text" "$label"
	done <<-ROWS
	wrong password|$(code EXIT_WRONG_PASSWORD)|outside of section: not decrypted|REPOSITORY_PASSWORD=wrong
	encrypted, and no password|$(code EXIT_WRONG_PASSWORD)|outside of section: not decrypted|REPOSITORY_PASSWORD=
	backup gone|$(code EXIT_SNAPSHOT_GONE)|stanza main holds no backup "20200101-000000F"|SNAPSHOT_ID=20200101-000000F
	stanza gone|$(code EXIT_REPOSITORY_GONE)|missing stanza path|STANZA=other
	nothing at the prefix|$(code EXIT_REPOSITORY_GONE)|missing stanza path|S3_PREFIX=elsewhere
	no such bucket|$(code EXIT_REPOSITORY_GONE)|HTTP request failed with 404 (Not Found): NoSuchBucket|S3_BUCKET=nowhere
	unknown key|$(code EXIT_ACCESS_REFUSED)|HTTP request failed with 403 (Forbidden): AccessDenied|AWS_ACCESS_KEY_ID=nobody
	wrong secret|$(code EXIT_ACCESS_REFUSED)|HTTP request failed with 403 (Forbidden): AccessDenied|AWS_SECRET_ACCESS_KEY=wrong
	a token of nobody|$(code EXIT_ACCESS_REFUSED)|HTTP request failed with 403 (Forbidden): AccessDenied|AWS_SESSION_TOKEN=garbage
	nobody listens|1|unable to connect to 'localhost:1': [111] Connection refused|S3_ENDPOINT=https://localhost:1
	another CA|1|unable to verify certificate presented by|S3_CA_FILE=/etc/ssl/certs/ca-certificates.crt
	ROWS
	[ ! -e "$pod/pgdata/pgdata" ]
	verdict $? "nothing that failed can be started"
}

# What the store lost or changed, in copies of the repository.
test_damage() {
	new_pod damage
	restore "$full" S3_PREFIX=changed
	failed_with "$(code EXIT_INCOMPLETE)" restore "cipher header missing" "a file that was changed in the store is the backup's fault"
	restore "$full" S3_PREFIX=lost
	failed_with "$(code EXIT_INCOMPLETE)" restore "unable to open missing file" "so is one that is gone"
	restore "$full" S3_PREFIX=no-wal
	failed_with "$(code EXIT_INCOMPLETE)" capture "which is not in the archive" "so is WAL that the archive lost"
}

make_damage() {
	local copy label=$full
	for copy in changed lost no-wal; do store copy store:backups/at/night "store:backups/$copy"; done
	echo nonsense | store rcat "store:backups/changed/backup/main/$label/pg_data/base/1/1259.gz"
	store deletefile "store:backups/lost/backup/main/$label/pg_data/base/1/1259.gz"
	store delete "store:backups/no-wal/archive/main/15-1/0000000100000000"
}

# As S3 says it of keys that have ended, which radosgw does with AccessDenied.
test_words() {
	new_pod words
	restore "$full" DOUBLE_FAILS=info DOUBLE_SAYS='[{"archive":[],"backup":[],"name":"main","repo":[{"cipher":"none","key":1,"status":{"code":99,"message":"[ProtocolError] HTTP request failed with 400 (Bad Request):\\n*** Response Content ***:\\n<?xml version=\\"1.0\\"?>\\n<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"}}],"status":{"code":99,"message":"other"}}]'
	failed_with "$(code EXIT_CREDENTIALS_EXPIRED)" restore "HTTP request failed with 400 (Bad Request): ExpiredToken" "expired keys"
	while IFS='|' read -r label expected part words; do
		restore "$full" "DOUBLE_FAILS=$part" DOUBLE_STATUS=99 "DOUBLE_SAYS=$words"
		failed_with "$expected" restore "$words" "$label"
	done <<-ROWS
	expired in the middle|$(code EXIT_CREDENTIALS_EXPIRED)|restore|ERROR: [039]: the provided token has expired
	volume full|$(code EXIT_VOLUME_FULL)|restore|ERROR: [082]: unable to write '/pgdata/x': [28] No space left on device
	another major|$(code EXIT_WRONG_MAJOR)|archive-get|ERROR: [032]: unexpected control version = 1700 and catalog version = 202406281
	ROWS
}

test_stop() {
	new_pod stopped
	begin restore-pgbackrest < <(printf '%s\n' SNAPSHOT_ID=x STANZA=main S3_ENDPOINT=https://localhost:1 S3_BUCKET=b S3_PREFIX= \
		S3_REGION=r AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b)
	local deadline=$((SECONDS + 20))
	until [ -s "$pod/pgdata/commands" ] || [ $SECONDS -ge $deadline ]; do sleep 0.1; done
	stop
	status=$?
	failed_with 1 restore "" "SIGTERM ends it, which is worth another pod"
}

# Why something failed is said by way of sed, awk and grep: once, with those of busybox.
test_failing() {
	[ "$flavour" = busybox ] || return 0
	test_failures
	test_damage
	test_words
	test_stop
}

make_repository >&2 || { echo "Bail out! no repository"; exit 1; }
make_damage >&2
make_double
shellcheck -s sh "$scripts/restore-pgbackrest.sh" >&2
shell_checked=$?
flavour=shellcheck pod=$work
: >"$work/message"
: >"$work.log"
verdict $shell_checked "restore-pgbackrest.sh as it is shipped"
run_tests test_restore test_azure test_latest test_failing
