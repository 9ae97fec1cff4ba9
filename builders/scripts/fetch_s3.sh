# shellcheck shell=sh
# From S3 with rclone, which finds the keys in the environment (env_auth) and has no configuration file. Of requests it makes listings
# (the second version, as the proxy knows them) and GET alone: no look at the bucket, no HEAD of objects.
prefix=$(printf '%s' "$S3_PREFIX" | sed -e 's|^/*||' -e 's|/*$||')
RCLONE_CONFIG=/tmp/rclone.conf
RCLONE_CONFIG_STORE_TYPE=s3
RCLONE_CONFIG_STORE_PROVIDER=Other
RCLONE_CONFIG_STORE_ENV_AUTH=true
RCLONE_CONFIG_STORE_ENDPOINT=$S3_ENDPOINT
RCLONE_CONFIG_STORE_REGION=$S3_REGION
RCLONE_CONFIG_STORE_FORCE_PATH_STYLE=true
RCLONE_CONFIG_STORE_LIST_VERSION=2
RCLONE_CONFIG_STORE_NO_CHECK_BUCKET=true
RCLONE_CONFIG_STORE_NO_HEAD_OBJECT=true
export RCLONE_CONFIG RCLONE_CONFIG_STORE_TYPE RCLONE_CONFIG_STORE_PROVIDER RCLONE_CONFIG_STORE_ENV_AUTH RCLONE_CONFIG_STORE_ENDPOINT \
	RCLONE_CONFIG_STORE_REGION RCLONE_CONFIG_STORE_FORCE_PATH_STYLE RCLONE_CONFIG_STORE_LIST_VERSION \
	RCLONE_CONFIG_STORE_NO_CHECK_BUCKET RCLONE_CONFIG_STORE_NO_HEAD_OBJECT
: >"$RCLONE_CONFIG"

explain_store() {
	! grep -q 'directory not found' "$log" || fail "$EXIT_REPOSITORY_GONE" restore "there is no bucket $S3_BUCKET"
	explain <<-ROWS
	$EXIT_VOLUME_FULL no space left on device|disk quota exceeded
	$EXIT_CREDENTIALS_EXPIRED ExpiredToken|token (has|is) expired
	$EXIT_REPOSITORY_GONE NoSuchBucket|bucket.*does not exist
	$EXIT_ACCESS_REFUSED Access ?Denied|InvalidAccessKeyId|SignatureDoesNotMatch|does not exist in our records|Forbidden
	ROWS
}

ask_store() { # COMMAND FOLDER OPTION...
	place=store:$S3_BUCKET/${prefix:+$prefix/}$2
	command=$1
	shift 2
	[ -z "${S3_CA_FILE:-}" ] || set -- "$@" --ca-cert "$S3_CA_FILE"
	run_engine rclone "$command" "$place" "$@" --log-format '' || explain_store
}

# To a store of objects a folder is what objects are named by.
need_folder() { # FOLDER
	ask_store lsf "$1"
	grep -q . "$log" || fail "$EXIT_SNAPSHOT_GONE" restore "the bucket holds nothing in folder ${prefix:+$prefix/}$1"
}

fetch() { # FOLDER PATTERN...
	folder=$1
	shift
	for pattern; do
		shift
		set -- "$@" --include "/$pattern"
	done
	ask_store copy "$folder" "$fetched" --use-server-modtime --transfers "${CPU_LIMIT:-4}" "$@"
}

version_of_fetch() {
	rclone version | sed -n '1s/ v/ /p'
}
