# shellcheck shell=sh
# Restore a backup with WAL-G, and the WAL that its archive holds. Keys are in the environment, where WAL-G looks for them: those of the
# store and those that decrypt. One of these that is there and empty is a key to it.
data=$target/data
[ -n "${WALG_LIBSODIUM_KEY:-}" ] || unset WALG_LIBSODIUM_KEY
[ -n "${WALG_LIBSODIUM_KEY_TRANSFORM:-}" ] || unset WALG_LIBSODIUM_KEY_TRANSFORM
[ -n "${WALG_PGP_KEY:-}" ] || unset WALG_PGP_KEY
[ -n "${WALG_PGP_KEY_PASSPHRASE:-}" ] || unset WALG_PGP_KEY_PASSPHRASE
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

# Without a key WAL-G takes what is encrypted for what is compressed, and finds it damaged.
hint_at_keys() {
	[ -z "${WALG_LIBSODIUM_KEY:-}${WALG_PGP_KEY:-}" ] || return 0
	awk '/invalid (checksum|header|magic)|bad magic number|cbrotli: / {
		$0 = $0 "; hint: or it is encrypted, then its Secret needs libsodiumKey or pgpKey" } { print }' "$log" >"$log.hinted"
	mv "$log.hinted" "$log"
}

# WAL-G 3.0.7 makes tablespaces where the source had them, whatever it is told: https://github.com/wal-g/wal-g/pull/2139
explain_tablespaces() {
	line=$(grep -iE 'error creating .*(read-only file system|permission denied|file exists)' "$log" | tail -n 1) || :
	[ -z "$line" ] || fail "$EXIT_MISCONFIGURED" restore \
		"this WAL-G cannot bring tablespaces to another place; hint: WALG_IMAGE with WAL-G 3.0.8 or newer: $line"
}

# Once a backup has been decrypted the keys are right, and what cannot be decrypted is damaged.
explain_engine() {
	hint_at_keys
	explain_tablespaces
	explain <<-ROWS
	$EXIT_VOLUME_FULL no space left on device|disk quota exceeded
	$EXIT_CREDENTIALS_EXPIRED ExpiredToken|token (has|is) expired
	$EXIT_ACCESS_REFUSED Access ?Denied|InvalidAccessKeyId|SignatureDoesNotMatch|does not exist in our records
	$EXIT_REPOSITORY_GONE NoSuchBucket|bucket.*does not exist
	$EXIT_SNAPSHOT_GONE backup .*does not exist|backup .*was not found|no backups found|object .*not found in storage
	${is_read:-$EXIT_WRONG_PASSWORD} incorrect key|corrupted (chunk|libsodium header)|signature: hash mismatch
	$EXIT_WRONG_PASSWORD private key|armored data|key must |key transform|configure crypter
	$EXIT_INCOMPLETE pg_control.*not found|unexpected EOF|invalid (checksum|header|magic)|bad magic number|cbrotli:
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

read_sentinel() {
	exec wal-g st cat "basebackups_005/${backup}_backup_stop_sentinel.json" >/tmp/sentinel
}

# The backup's sentinel says which tablespaces it has: "Spec": {"16384": {"loc": "/srv/space", "link": "pg_tblspc/16384"}, ...}. A WAL-G
# that has no `st` is older than 1.1.
list_tablespaces_of_backup() {
	run_engine read_sentinel || grep -q 'unknown command' "$log" || explain_engine
	grep -oE '"link": *"pg_tblspc/[0-9]+"' /tmp/sentinel | grep -oE '[0-9]+' | sort -u
}

# WAL-G's own form: where each of them is to lie.
restore_spec() { # OID...
	printf '{"base_prefix":"%s"' "$data"
	for oid; do printf ',"%s":{"loc":"%s","link":"pg_tblspc/%s"}' "$oid" "$target/tablespaces/$oid" "$oid"; done
	printf ',"tablespaces":["%s"' "$1"
	shift
	for oid; do printf ',"%s"' "$oid"; done
	printf ']}\n'
}

# Without tablespaces nothing is said of them: not every WAL-G knows how.
fetch_backup() {
	set --
	while read -r oid; do
		set -- "$@" "$oid"
	done </tmp/oids
	[ $# = 0 ] || { restore_spec "$@" >/tmp/spec && set -- --restore-spec /tmp/spec; }
	run_engine wal-g backup-fetch "$data" "$backup" "$@" || explain_engine
}

empty_target
pin_backup newest_backup
list_tablespaces_of_backup >/tmp/oids
export WALG_DOWNLOAD_CONCURRENCY="${CPU_LIMIT:-4}"
fetch_backup
is_read=$EXIT_INCOMPLETE

# With more than one it would fetch ahead, into files that stay behind.
WALG_DOWNLOAD_CONCURRENCY=1
target=$data
fetch_wal fetch_file
rm -rf "$target/pg_wal/.wal-g"
target=${data%/*}
finish "walg $(wal-g --version | sed -n '1s/.*version \([^[:space:]]*\).*/\1/p')"
