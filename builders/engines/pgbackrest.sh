# shellcheck shell=sh
# Restore a backup of a stanza with pgBackRest, and the WAL that its archive holds. All that pgBackRest is to know it finds in its
# environment, and so do the processes that it makes: no secret is an argument.
data=$target/data
password=${REPOSITORY_PASSWORD:-}
unset REPOSITORY_PASSWORD

# An option that is there and empty is an error to it.
set_up() {
	export PGBACKREST_STANZA="$STANZA" PGBACKREST_PG1_PATH="$data" PGBACKREST_PROCESS_MAX="${CPU_LIMIT:-1}" \
		PGBACKREST_LOCK_PATH=/tmp/pgbackrest PGBACKREST_SPOOL_PATH=/tmp/pgbackrest PGBACKREST_LOG_LEVEL_CONSOLE=warn \
		PGBACKREST_LOG_LEVEL_FILE=off PGBACKREST_LOG_LEVEL_STDERR=off
	PGBACKREST_REPO1_PATH=$(printf '/%s' "$S3_PREFIX" | sed -e 's|//*|/|g' -e 's|\(.\)/$|\1|')
	export PGBACKREST_REPO1_PATH
	[ -z "$password" ] || export PGBACKREST_REPO1_CIPHER_TYPE=aes-256-cbc PGBACKREST_REPO1_CIPHER_PASS="$password"
	[ -z "${S3_CA_FILE:-}" ] || export PGBACKREST_REPO1_STORAGE_CA_FILE="$S3_CA_FILE"
}

set_up_s3() {
	export PGBACKREST_REPO1_TYPE=s3 PGBACKREST_REPO1_S3_ENDPOINT="$S3_ENDPOINT" PGBACKREST_REPO1_S3_REGION="$S3_REGION" \
		PGBACKREST_REPO1_S3_BUCKET="$S3_BUCKET" PGBACKREST_REPO1_S3_URI_STYLE=path \
		PGBACKREST_REPO1_S3_KEY="$AWS_ACCESS_KEY_ID" PGBACKREST_REPO1_S3_KEY_SECRET="$AWS_SECRET_ACCESS_KEY"
	[ -z "${AWS_SESSION_TOKEN:-}" ] || export PGBACKREST_REPO1_S3_TOKEN="$AWS_SESSION_TOKEN"
}

# The account is the first label of the host, or the path.
set_up_azure() {
	check_sas
	export PGBACKREST_REPO1_TYPE=azure PGBACKREST_REPO1_AZURE_ACCOUNT="$AZURE_ACCOUNT" \
		PGBACKREST_REPO1_AZURE_CONTAINER="$AZURE_CONTAINER" PGBACKREST_REPO1_AZURE_KEY_TYPE=sas \
		PGBACKREST_REPO1_AZURE_KEY="${AZURE_SAS_TOKEN#\?}"
	case $AZURE_ENDPOINT in
	*"/$AZURE_ACCOUNT") export PGBACKREST_REPO1_AZURE_URI_STYLE=path PGBACKREST_REPO1_AZURE_ENDPOINT="${AZURE_ENDPOINT%/*}" ;;
	*) export PGBACKREST_REPO1_AZURE_ENDPOINT="https://${AZURE_ENDPOINT#*"//$AZURE_ACCOUNT."}" ;;
	esac
}

# Without the time; of a failed request, which fills a page, what it was and the store's word for it; of a file that it cannot decrypt
# not what it took for text.
shorten() {
	sed -e 's/^[-0-9]* [0-9:.]* P[0-9]* *//' -e 's/^ *//' | awk '{ sub(/ outside of section at line .*/, " outside of section: not decrypted") }
		/HTTP request failed with/ { sub(/:$/, ""); failed = $0 ": " }
		match($0, /<Code>[^<]*/) { $0 = failed substr($0, RSTART + 6, RLENGTH - 6) }
		/: AuthorizationPermissionMismatch$/ { $0 = $0 "; " hint }
		{ print }' hint="$permission_hint"
}

# Once the repository has been read its password is the right one, and what cannot be decrypted is damaged. A name that is not known
# ([-2]; [-3] may pass) is that of an account that there is not.
explain_engine() {
	shorten <"$log" >"$log.short"
	mv "$log.short" "$log"
	! grep -q '403 (' "$log" || check_sas
	explain <<-ROWS
	$EXIT_VOLUME_FULL no space left on device|disk quota exceeded
	$EXIT_CREDENTIALS_EXPIRED ExpiredToken|token (has|is) expired
	${is_read:-$EXIT_WRONG_PASSWORD} not decrypted|cipher header|unable to flush
	$EXIT_ACCESS_REFUSED AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|failed with 403 \(
	$EXIT_REPOSITORY_GONE NoSuchBucket|ContainerNotFound|: ResourceNotFound|missing stanza
	$EXIT_REPOSITORY_GONE unable to get address for '${AZURE_ACCOUNT:-//}[.].*\[-2\]
	$EXIT_SNAPSHOT_GONE backup set .* is not valid|no valid backups
	$EXIT_WRONG_MAJOR unexpected control version
	$EXIT_INCOMPLETE does not match expected checksum|unable to open missing file|zlib threw error
	ROWS
}

# What is wrong with the repository is in the answer, whose status is 0 all the same: [..."status":{"code":99,"message":"..."}}]...].
ask_repository() {
	# shellcheck disable=SC2016 # for the inner shell
	run_engine sh -c 'exec pgbackrest --no-config info --output=json >/tmp/info' || explain_engine
	! grep -q '"repo":\[{[^{]*"status":{"code":0,' /tmp/info || { is_read=$EXIT_INCOMPLETE && return; }
	sed -e 's/.*"repo":\[{[^{]*"status":{"code":[0-9]*,"message":"//' -e 's/"}}\],"status":.*//' -e 's/\\"/"/g' /tmp/info |
		awk '{ gsub(/\\n/, "\n"); print }' >"$log"
	explain_engine
}

# By pgBackRest's own order: the last.
newest_backup() {
	grep -o '"label":"[^"]*"' /tmp/info | tail -n 1 | cut -d '"' -f 4
}

set_up
if [ -n "${AZURE_ENDPOINT:-}" ]; then set_up_azure; else set_up_s3; fi
empty_target
mkdir "$data"
ask_repository
pin_backup newest_backup
grep -qF "\"label\":\"$backup\"" /tmp/info || fail "$EXIT_SNAPSHOT_GONE" restore "stanza $STANZA holds no backup \"$backup\""
run_engine pgbackrest --no-config restore --set="$backup" --type=none --tablespace-map-all="$target/tablespaces" || explain_engine
# Not the source's: pgBackRest makes it for PostgreSQL 12 and newer.
rm -f "$data/recovery.signal"

target=$data
fetch_wal pgbackrest --no-config archive-get
target=${data%/*}
finish "pgbackrest $(pgbackrest version | cut -d ' ' -f 2)"
