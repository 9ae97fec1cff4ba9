#!/bin/bash
# What reads folders of Azure Blob, the engines basebackup and dump: with a SAS by the real rclone, by workload identity with azcopy. TAP
# on stdout.
# Without NODE_MODULES the store is a double (tests/support/blob_store.py) and so is azcopy (it copies from a directory, and says what the
# real one was heard to say). With NODE_MODULES, where npm has put azurite and @azure-tools/azcopy-linux, both are real, and Microsoft
# Entra alone is a double (tests/support/entra.py).
# usage: test_script_azure.sh DIRECTORY_OF_SHIPPED_SCRIPTS [NODE_MODULES]
scripts=$1
modules=${2:-}
# shellcheck source=tests/builders/script_lib.sh
. "$(dirname "$0")/script_lib.sh"
# shellcheck source=tests/builders/pgbackrest_lib.sh
. "$(dirname "$0")/pgbackrest_lib.sh"
# shellcheck source=tests/support/certificate.sh
. "$(dirname "$0")/../support/certificate.sh"
support=$here/../support
for needed in rclone openssl curl; do
	command -v "$needed" >/dev/null || { echo "1..0 # SKIP $needed is not installed"; exit 0; }
done
unset SSL_CERT_FILE CURL_CA_BUNDLE

make_certificates() {
	make_certificate "$work" DNS:hospital.blob.core.windows.net,DNS:login.microsoftonline.com
	cp -p "$work/ca.crt" "$work/repository/ca.crt"
}

# Only for Azurite: builders/script_pgbackrest has the double.
make_pgbackrest_repository() {
	[ -n "$modules" ] || return 0
	install -d -o postgres "$work/blobs" "$work/blobs/backups"
	store_options=repo1-path=$work/blobs/backups/pgbackrest
	make_stanza
	make_backups
	source_stops
}

# The folders nights/new and dumps/new of container backups: a base backup and a dump of a small cluster, as the maker of backups leaves
# them.
make_backup() {
	local folder=$work/blobs/backups/nights/new dumps=$work/blobs/backups/dumps/new
	new_cluster "$work/source"
	source_start "$work/source"
	source_sql postgres <<<'CREATE TABLE fact AS SELECT generate_series(1, 1000) AS id'
	install -d -o postgres "$folder"
	as_postgres $bin/pg_basebackup -h "$work/socket" -U postgres -D "$folder" -Ft -z -X stream -c fast --no-sync
	mkdir -p "$dumps"
	as_postgres $bin/pg_dump -h "$work/socket" -U postgres -Fc postgres >"$dumps/postgres.dump"
	as_postgres $bin/pg_dumpall -h "$work/socket" -U postgres --globals-only >"$dumps/globals.sql"
	echo '{"backup_time": "2026-11-20T02:00:00Z"}' >"$dumps/metadata.json"
	source_stop "$work/source" fast
	(cd "$folder" && sha256sum -- * >checksum.txt &&
		echo '{"source_instance": "hospital", "backup_time": "2026-11-20T22:00:00Z", "postgres_version": "15"}' >metadata.json)
	chmod -R a+rX "$work/blobs"
}

await_line() { # PATTERN FILE
	local deadline=$((SECONDS + 30))
	until grep -qs "$1" "$2"; do
		[ $SECONDS -lt $deadline ] || return 1
		sleep 0.1
	done
}

sas() { "$support/blob_store.py" sas "$@"; } # PERMISSIONS MINUTES

start_double() {
	"$support/blob_store.py" serve "$work/blobs" "$work/store.crt" "$work/store.key" >"$work/store.log" 2>&1 &
	await_line '^port ' "$work/store.log" && endpoint=https://hospital.blob.core.windows.net:$(sed -n 's/^port //p' "$work/store.log")
}

start_azurite() {
	AZURITE_ACCOUNTS="$BLOB_ACCOUNT:$BLOB_KEY" node "$modules/azurite/dist/src/blob/main.js" --blobHost 127.0.0.9 --blobPort 443 \
		--location "$work/azurite" --silent --disableTelemetry --skipApiVersionCheck --cert "$work/store.crt" --key "$work/store.key" \
		--oauth basic >"$work/store.log" 2>&1 &
	await_line 'successfully listens' "$work/store.log" || return
	"$support/entra.py" 127.0.0.8 "$work/store.crt" "$work/store.key" >"$work/entra.log" 2>&1 &
	endpoint=https://hospital.blob.core.windows.net # azcopy knows no other port for Azure
	curl -sf --cacert "$work/repository/ca.crt" --resolve hospital.blob.core.windows.net:443:127.0.0.9 -X PUT -d '' \
		"$endpoint/backups?restype=container&$(sas rwlc 60)" || return
	# rclone has no --resolve
	mkdir -p "$work/upload"
	pod_new "$work/upload"
	cp "$work/hosts" "$work/upload/hosts"
	cp -r "$work/blobs" "$work/upload/pgdata/blobs"
	pod_path=/usr/bin
	(pod "$work/upload" rclone copy /pgdata/blobs/backups store:backups <<-ENVIRONMENT
	RCLONE_CONFIG=/dev/null
	RCLONE_CA_CERT=/repository/ca.crt
	RCLONE_CONFIG_STORE_TYPE=azureblob
	RCLONE_CONFIG_STORE_SAS_URL=$endpoint/backups?$(sas rwlc 60)
	ENVIRONMENT
	)
}

start_store() {
	BLOB_ACCOUNT=hospital BLOB_KEY=$(head -c 32 /dev/urandom | base64)
	export BLOB_ACCOUNT BLOB_KEY
	local address=127.0.0.1
	[ -z "$modules" ] || address=127.0.0.9
	sed -e "1i $address hospital.blob.core.windows.net" -e '1i 127.0.0.8 login.microsoftonline.com' /etc/hosts >"$work/hosts"
	if [ -n "$modules" ]; then start_azurite; else start_double; fi
}

# Records command lines and the identity's variables, then runs azcopy.
make_azcopy() {
	mkdir -p "$work/doubles"
	cat >"$work/doubles/azcopy" <<-'DOUBLE'
	#!/bin/sh
	printf '%s\n' "azcopy $*" >>/pgdata/commands
	printf '%s\n' "$AZCOPY_AUTO_LOGIN_TYPE ${AZCOPY_SAYS:+double}" >>/pgdata/environment
	case "$1 ${AZCOPY_SAYS:-}" in
	"${AZCOPY_FAILS:-none} "?*) printf '%b\n' "$AZCOPY_SAYS"; exit 1 ;;
	esac
	[ ! -x /recorders/azcopy_linux_amd64 ] || exec /recorders/azcopy_linux_amd64 "$@"
	case $1 in
	--version) echo "azcopy version 10.32.2" ;;
	login) echo "INFO: Login with Workload Identity succeeded" ;;
	list | copy)
		path=${2#https://*/}
		[ "${path%%/*}" = backups ] || { printf 'RESPONSE 404: 404 The specified container does not exist.\nERROR CODE: ContainerNotFound\n'; exit 1; }
		cd "/repository/blobs/${path%"*"}" 2>/dev/null || exit 0
		[ "$1" = copy ] || { for file in *; do echo "$file; Content Length: 1"; done; exit 0; }
		for argument; do
			[ "${before:-}" != --include-pattern ] || names=$(echo "$argument" | tr ';' ' ')
			before=$argument
		done
		find . -type f | while read -r file; do
			for name in $names; do
				case ${file##*/} in
				$name) mkdir -p "$3/${file%/*}" && cp "$file" "$3/$file" ;;
				esac
			done
		done ;;
	esac
	DOUBLE
	if [ -n "$modules" ]; then
		install -m 755 "$modules/@azure-tools/azcopy-linux/dist/bin/azcopy_linux_amd64" "$work/doubles/azcopy_linux_amd64"
	else
		cp -r "$work/blobs" "$work/repository/blobs"
	fi
	chmod 755 "$work/doubles/"*
}

# --- by a SAS ---

environment() { # SNAPSHOT_ID [VARIABLE]...
	printf '%s\n' "SNAPSHOT_ID=$1" "AZURE_ENDPOINT=$endpoint" AZURE_ACCOUNT=hospital \
		AZURE_CONTAINER=backups S3_PREFIX=/nights/ S3_CA_FILE=/repository/ca.crt CPU_LIMIT=2 "${@:2}"
}

by_sas() { # PERMISSIONS MINUTES [VARIABLE]...
	token=$(sas "$1" "$2")
	run restore-basebackup-azure < <(environment new AZURE_SAS_TOKEN="?$token" RCLONE_RETRIES=1 RCLONE_LOW_LEVEL_RETRIES=1 "${@:3}")
}

azure_pod() { # LABEL
	new_pod "$1"
	cp "$work/hosts" "$pod/hosts"
}

prepare_base() { prepare verify; }
prepare_dumps() { run prepare-dump < <(printf '%s\n' INTENT=verify POSTGRES_PASSWORD=hidden-superuser CPU_LIMIT=2); }

rows() { # PREPARE
	new_address
	"$1"
	[ "$status" = 0 ] && start_server "$address" && query postgres hidden-superuser postgres 'SELECT count(*) FROM fact'
	stop
}

test_sas() {
	azure_pod sas
	by_sas rl 60
	is "by a SAS a backup is restored" "0 15 new" "$status $(message '.postgres_version + " " + .backup')"
	! grep -qF "${token##*sig=}" "$pod.log" "$pod/message"
	verdict $? "the SAS is not in the log or the message"
	is "its rows are there" 1000 "$(rows prepare_base)"

	azure_pod sas-latest
	by_sas rl 60 SNAPSHOT_ID=latest
	is "latest is the newest folder that is finished" "0 new" "$status $(message .backup)"
}

# Not twice: rclone asks for the name of an account for half a minute.
test_sas_failures() {
	[ "$flavour" = busybox ] || return 0
	azure_pod sas-failures
	while IFS='|' read -r label expected permissions minutes text variables; do
		# shellcheck disable=SC2086
		by_sas "$permissions" "$minutes" $variables
		failed_with "$expected" restore "$text" "$label"
		! grep -qF "${token##*sig=}" "$pod.log" "$pod/message"
		verdict $? "$label: the SAS is not in the log or the message"
	done <<-ROWS
	a SAS that has ended|$(code EXIT_CREDENTIALS_EXPIRED)|rl|-1|the SAS has ended at 20
	a SAS of nobody|$(code EXIT_ACCESS_REFUSED)|rl|60|Azure Blob refuses: AuthorizationFailure|AZURE_SAS_TOKEN=sv=2020-12-06&sp=rl&sig=x
	a SAS that may write only|$(code EXIT_ACCESS_REFUSED)|w|60|Azure Blob refuses: AuthorizationPermissionMismatch; hint: a SAS needs the permissions r and l
	no such container|$(code EXIT_REPOSITORY_GONE)|rl|60|there is no container nowhere in storage account hospital|AZURE_CONTAINER=nowhere
	no such account|$(code EXIT_REPOSITORY_GONE)|rl|60|there is no storage account school|AZURE_ACCOUNT=school AZURE_ENDPOINT=https://school.blob.core.invalid
	no such folder|$(code EXIT_SNAPSHOT_GONE)|rl|60|backups holds nothing in folder nights/old|SNAPSHOT_ID=old
	ROWS
}

# PostgreSQL's images know their user; those with rclone and azcopy need not.
dump_pod() { # LABEL
	azure_pod "$1"
	echo 'postgres:x:999:999::/:/bin/sh' >"$pod/passwd"
}

test_dump() {
	dump_pod dump
	token=$(sas rl 60)
	run restore-dump-azure < <(environment latest S3_PREFIX=dumps AZURE_SAS_TOKEN="$token" POSTGRES_NEWEST_MAJOR=15)
	is "a dump is fetched by a SAS" "0 15 dump new 3" "$status $(message '.postgres_version + " " + .layout + " " + .backup + " " + (.files | tostring)')"
	! grep -qF "${token##*sig=}" "$pod.log" "$pod/message"
	verdict $? "the SAS is not in the log or the message of its restore"
	is "it is loaded, and its rows are there" 1000 "$(rows prepare_dumps)"

	dump_pod dump-failures
	run restore-dump-azure < <(environment old S3_PREFIX=dumps AZURE_SAS_TOKEN="$token" POSTGRES_NEWEST_MAJOR=15)
	failed_with "$(code EXIT_SNAPSHOT_GONE)" restore "backups holds nothing in folder dumps/old" "a folder without dumps"
	run restore-dump-azure < <(environment new S3_PREFIX=dumps AZURE_SAS_TOKEN="$(sas rl -1)" POSTGRES_NEWEST_MAJOR=15)
	failed_with "$(code EXIT_CREDENTIALS_EXPIRED)" restore "the SAS has ended at 20" "a dump, and a SAS that has ended"
}

test_pgbackrest() {
	[ -n "$modules" ] || return 0
	azure_pod pgbackrest
	run restore-pgbackrest < <(environment "$incremental" AZURE_SAS_TOKEN="$(sas rl 60)" STANZA=main S3_PREFIX=/pgbackrest \
		REPOSITORY_PASSWORD=)
	is "pgBackRest restores" "0 15 pgbackrest 2.45" "$status $(message '.postgres_version + " " + .engine')"
	new_address
	is "pgBackRest: all rows are there" "1230|12" "$(rows_of_restored)"
}

# --- by workload identity ---

by_identity() { # SNAPSHOT_ID [VARIABLE]...
	rm -f "$pod/pgdata/commands"
	cp "$work/token" "$pod/run/token"
	run "restore-${engine:-basebackup}-azure-identity" < <(environment "$1" AZURE_CLIENT_ID=11111111-1111-4111-8111-111111111111 \
		AZURE_TENANT_ID=22222222-2222-4222-8222-222222222222 AZURE_FEDERATED_TOKEN_FILE=/run/understory/token \
		AZURE_AUTHORITY_HOST=https://login.microsoftonline.com/ "${@:2}")
}

test_identity() {
	azure_pod identity
	by_identity new
	is "by an identity a backup is restored" "0 15 new" "$status $(message '.postgres_version + " " + .backup')"
	is "azcopy logs in by workload identity" "azcopy login --login-type=workload WORKLOAD " \
		"$(head -n 1 "$pod/pgdata/commands") $(sort -u "$pod/pgdata/environment")"
	! grep -q -e --identity -e federated "$pod/pgdata/commands"
	verdict $? "never as the machine, and with nothing secret in an argument"
	is "by an identity: its rows are there" 1000 "$(rows prepare_base)"

	dump_pod identity-dump
	engine=dump by_identity latest S3_PREFIX=/dumps POSTGRES_NEWEST_MAJOR=15
	is "by an identity a dump is fetched" "0 15 new 3" "$status $(message '.postgres_version + " " + .backup + " " + (.files | tostring)')"
	is "by an identity: it is loaded" 1000 "$(rows prepare_dumps)"

	azure_pod identity-latest
	by_identity latest
	is "by an identity: latest" "0 new" "$status $(message .backup)"
}

test_identity_failures() {
	azure_pod identity-failures
	by_identity new AZURE_FEDERATED_TOKEN_FILE=
	failed_with "$(code EXIT_ACCESS_REFUSED)" restore "the pod has no workload identity" "a pod without an identity"
	by_identity old
	failed_with "$(code EXIT_SNAPSHOT_GONE)" restore "backups holds nothing in folder nights/old" "by an identity: no such folder"
	by_identity new AZURE_CONTAINER=nowhere
	failed_with "$(code EXIT_REPOSITORY_GONE)" restore "there is no container nowhere" "by an identity: no such container"
	[ -z "$modules" ] || echo other >"$work/token"
	by_identity new AZCOPY_FAILS=login "${modules:+NONE=}AZCOPY_SAYS=Failed to perform login command: AADSTS700211: No matching federated identity record"
	failed_with "$(code EXIT_ACCESS_REFUSED)" restore "AADSTS700211: No matching federated identity record" "an identity that is not federated"
	echo federated >"$work/token"
	by_identity new AZCOPY_FAILS=copy "AZCOPY_SAYS=RESPONSE 403: 403 This request is not authorized\nERROR CODE: AuthorizationPermissionMismatch"
	failed_with "$(code EXIT_ACCESS_REFUSED)" restore "the role Storage Blob Data Reader for the container" "an identity without the role"
}

make_certificates
make_pgbackrest_repository >&2
make_backup >&2
start_store >&2 || { echo "Bail out! no store: $(cat "$work/store.log")"; exit 1; }
make_azcopy
echo federated >"$work/token"
flavour=shellcheck pod=$work
: >"$work/message"
: >"$work.log"
for script in restore-basebackup-azure restore-basebackup-azure-identity restore-dump-azure restore-dump-azure-identity; do
	shellcheck -s sh "$scripts/$script.sh" >&2
	verdict $? "$script.sh as it is shipped"
done
run_tests test_sas test_sas_failures test_dump test_pgbackrest test_identity test_identity_failures
