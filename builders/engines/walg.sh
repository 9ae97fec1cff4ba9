# shellcheck shell=sh
# Restore a backup with WAL-G, and the WAL that its archive holds. Keys are in the environment, where WAL-G looks for them.
WALG_LOG_LEVEL=NORMAL
export WALG_LOG_LEVEL
if [ -n "${BACKUP_DIR:-}" ]; then
	export WALG_FILE_PREFIX="$BACKUP_DIR"
else
	prefix=$(printf '%s' "$S3_PREFIX" | sed -e 's|^/*||' -e 's|/*$||')
	export WALG_S3_PREFIX="s3://$S3_BUCKET${prefix:+/$prefix}" AWS_ENDPOINT="$S3_ENDPOINT" AWS_REGION="$S3_REGION" \
		AWS_S3_FORCE_PATH_STYLE=true
	[ -z "${S3_CA_FILE:-}" ] || export WALG_S3_CA_CERT_FILE="$S3_CA_FILE"
fi

explain_engine() {
	explain <<-ROWS
	$EXIT_VOLUME_FULL no space left on device|disk quota exceeded
	$EXIT_CREDENTIALS_EXPIRED ExpiredToken|token (has|is) expired
	$EXIT_ACCESS_REFUSED Access ?Denied|InvalidAccessKeyId|SignatureDoesNotMatch|does not exist in our records
	$EXIT_REPOSITORY_GONE NoSuchBucket|bucket.*does not exist
	$EXIT_SNAPSHOT_GONE backup .*does not exist|backup .*was not found|no backups found
	$EXIT_INCOMPLETE pg_control.*not found|unexpected EOF|invalid (checksum|header|magic)
	ROWS
}

# The newest one of the archive by the time of its upload, as WAL-G's own LATEST has it: "time", or "modified" as it was called.
newest_backup() {
	# shellcheck disable=SC2016 # for the inner shell
	run_engine sh -c 'exec wal-g backup-list --detail --json >/tmp/backups' || explain_engine
	tr -d '\n' </tmp/backups | tr '{' '\n' |
		sed -n 's/.*"backup_name": *"\([^"]*\)".*"\(time\|modified\)": *"\([^"]*\)".*/\3 \1/p' | sort | tail -n 1 | cut -d ' ' -f 2
}

# 74: the archive has it not (from WAL-G 1.1 on; before, words alone say so).
fetch_file() { # FILE PATH
	walg_status=0
	wal-g wal-fetch "$1" "$2" 2>/tmp/wal-fetch.log || walg_status=$?
	cat /tmp/wal-fetch.log >&2
	[ "$walg_status" = 0 ] || [ "$walg_status" = 74 ] || grep -q "Archive '.*' does not exist" /tmp/wal-fetch.log || return 2
	[ "$walg_status" = 0 ] || return 1
}

empty_target
pin_backup newest_backup
export WALG_DOWNLOAD_CONCURRENCY="${CPU_LIMIT:-4}"
run_engine wal-g backup-fetch "$target" "$backup" || explain_engine

# With more than one it would fetch ahead, into files that stay behind.
WALG_DOWNLOAD_CONCURRENCY=1
fetch_wal fetch_file
rm -rf "$target/pg_wal/.wal-g"
finish "walg $(wal-g --version | sed -n '1s/.*version \([^[:space:]]*\).*/\1/p')"
