# shellcheck shell=sh
# Restore a snapshot with kopia. Keys and the password of the repository are in the environment, where kopia looks for them. What
# it writes down (configuration with the keys, cache, logs) is on the pod's own /tmp and goes with the pod.
KOPIA_CONFIG_PATH=/tmp/kopia/repository.config
KOPIA_CACHE_DIRECTORY=/tmp/kopia/cache
KOPIA_LOG_DIR=/tmp/kopia/log
KOPIA_CHECK_FOR_UPDATES=false
export KOPIA_CONFIG_PATH KOPIA_CACHE_DIRECTORY KOPIA_LOG_DIR KOPIA_CHECK_FOR_UPDATES

explain_kopia() {
	explain <<-ROWS
	$EXIT_VOLUME_FULL no space left on device
	$EXIT_CREDENTIALS_EXPIRED ExpiredToken|token (has|is) expired
	$EXIT_WRONG_PASSWORD invalid repository password
	$EXIT_ACCESS_REFUSED Access ?Denied|InvalidAccessKeyId|SignatureDoesNotMatch|does not exist in our records
	$EXIT_REPOSITORY_GONE repository not initialized in the provided storage|bucket.*does not exist
	$EXIT_SNAPSHOT_GONE can't parse object ID|unable to get filesystem entry|snapshot not found
	ROWS
}

empty_target
mkdir -p /tmp/kopia

# The endpoint is host:port to kopia, and its prefix is a plain beginning of keys: it keeps its slash.
set -- --bucket="$S3_BUCKET" --prefix="$S3_PREFIX" --region="$S3_REGION" --endpoint="${S3_ENDPOINT#*://}"
case $S3_ENDPOINT in
http://*) set -- "$@" --disable-tls ;;
esac
[ -z "${S3_CA_FILE:-}" ] || set -- "$@" --root-ca-pem-path="$S3_CA_FILE"
run_engine kopia repository connect s3 "$@" --readonly --no-check-for-updates --no-persist-credentials || explain_kopia

# Never --skip-existing: it takes what a killed restore left for whole.
run_engine kopia snapshot restore --skip-owners --parallel="${CPU_LIMIT:-8}" --no-ignore-permission-errors -- "$SNAPSHOT_ID" "$target" ||
	explain_kopia
ignored=$(grep -iE 'ignored [1-9][0-9]* error' "$log" | tail -n 1) || :
[ -z "$ignored" ] || fail 1 restore "$ignored"
counted=$(sed -n 's/.*Restored \([0-9][0-9]*\) files,.*/\1/p' "$log" | tail -n 1)
there=$(find "$target" -type f | wc -l | tr -d ' ')
[ -z "$counted" ] || [ "$counted" = "$there" ] || fail 1 restore "kopia restored $counted files, the volume holds $there"
finish "kopia $(kopia --version | cut -d ' ' -f 1)"
