# shellcheck shell=sh
# Restore a snapshot with restic. Keys and the password of the repository are in the environment, where restic looks for them.
AWS_DEFAULT_REGION=$S3_REGION
TMPDIR=/tmp
export AWS_DEFAULT_REGION TMPDIR

# restic's form is s3:URL/bucket/prefix without a slash at either end of the prefix.
prefix=$(printf '%s' "$S3_PREFIX" | sed -e 's|^/*||' -e 's|/*$||')
repository="s3:$S3_ENDPOINT/$S3_BUCKET${prefix:+/$prefix}"

empty_target
set -- restic -r "$repository" --no-lock --no-cache
[ -z "${S3_CA_FILE:-}" ] || set -- "$@" --cacert "$S3_CA_FILE"
status=0
run_engine "$@" restore --target "$target" -- "$SNAPSHOT_ID" || status=$?

# restic 0.17 and later say these two by status; all others are known by their words.
case $status in
0) ;;
10) fail "$EXIT_REPOSITORY_GONE" restore "$(grep . "$log" | tail -n 1)" ;;
12) fail "$EXIT_WRONG_PASSWORD" restore "$(grep . "$log" | tail -n 1)" ;;
*) explain <<-ROWS ;;
	$EXIT_VOLUME_FULL no space left on device
	$EXIT_CREDENTIALS_EXPIRED ExpiredToken|token (has|is) expired
	$EXIT_WRONG_PASSWORD wrong password or no key found
	$EXIT_SNAPSHOT_GONE no matching ID found|no snapshot found
	$EXIT_ACCESS_REFUSED Access ?Denied|InvalidAccessKeyId|SignatureDoesNotMatch|does not exist in our records
	$EXIT_REPOSITORY_GONE unable to open config file.*(does not exist|no such file|NoSuch)|repository does not exist
	ROWS
esac
finish "$(restic version | cut -d ' ' -f 1-2)"
