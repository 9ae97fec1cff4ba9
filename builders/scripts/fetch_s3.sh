# shellcheck shell=sh
# The way of rclone (fetch_rclone) to S3: it finds the keys in the environment. Of requests it makes listings (the second version, as the
# proxy knows them) and GET alone: no look at the bucket, no HEAD of objects.
container=$S3_BUCKET
RCLONE_CONFIG_STORE_TYPE=s3
RCLONE_CONFIG_STORE_PROVIDER=Other
RCLONE_CONFIG_STORE_ENV_AUTH=true
RCLONE_CONFIG_STORE_ENDPOINT=$S3_ENDPOINT
RCLONE_CONFIG_STORE_REGION=$S3_REGION
RCLONE_CONFIG_STORE_FORCE_PATH_STYLE=true
RCLONE_CONFIG_STORE_LIST_VERSION=2
RCLONE_CONFIG_STORE_NO_CHECK_BUCKET=true
RCLONE_CONFIG_STORE_NO_HEAD_OBJECT=true
export RCLONE_CONFIG_STORE_TYPE RCLONE_CONFIG_STORE_PROVIDER RCLONE_CONFIG_STORE_ENV_AUTH RCLONE_CONFIG_STORE_ENDPOINT \
	RCLONE_CONFIG_STORE_REGION RCLONE_CONFIG_STORE_FORCE_PATH_STYLE RCLONE_CONFIG_STORE_LIST_VERSION \
	RCLONE_CONFIG_STORE_NO_CHECK_BUCKET RCLONE_CONFIG_STORE_NO_HEAD_OBJECT

explain_rclone() {
	! grep -q 'directory not found' "$log" || fail "$EXIT_REPOSITORY_GONE" restore "there is no bucket $S3_BUCKET"
	explain <<-ROWS
	$EXIT_VOLUME_FULL no space left on device|disk quota exceeded
	$EXIT_CREDENTIALS_EXPIRED ExpiredToken|token (has|is) expired
	$EXIT_REPOSITORY_GONE NoSuchBucket|bucket.*does not exist
	$EXIT_ACCESS_REFUSED Access ?Denied|InvalidAccessKeyId|SignatureDoesNotMatch|does not exist in our records|Forbidden
	ROWS
}
