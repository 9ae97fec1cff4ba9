#!/bin/bash
# The restore scripts up to the files on the volume: what the engines are asked for and what is made of their answers. TAP on stdout.
#
# Doubles, in $work/doubles: `restic` puts a local repository in the place of the S3 one and runs the real restic; `kopia` only records
# its command line and hands out a few files. Both show what they were called with.
# usage: test_script_engine.sh DIRECTORY_OF_SHIPPED_SCRIPTS
scripts=$1
# shellcheck source=tests/builders/script_lib.sh
. "$(dirname "$0")/script_lib.sh"

make_source() {
	local data=$work/source/var/lib/postgresql/15/main
	new_cluster "$data"
	mkdir -p "$work/none/etc"
	echo hello >"$work/none/etc/motd"
}

snapshot() { # DIRECTORY -> snapshot id
	RESTIC_PASSWORD=correct HOME=$work restic -q -r "$work/repository" --no-cache backup --json "$1" |
		jq -r 'select(.message_type == "summary").snapshot_id'
}

make_repository() {
	RESTIC_PASSWORD=correct HOME=$work restic -q -r "$work/repository" init >/dev/null
	good=$(snapshot "$work/source")
	none=$(snapshot "$work/none")
	chmod -R a+rX "$work/repository"
}

make_doubles() {
	mkdir -p "$work/doubles"
	cat >"$work/doubles/restic" <<-'DOUBLE'
	#!/bin/sh
	# A double: the local repository in the place of the S3 one, then the real restic.
	[ "$1" != version ] || exec /usr/bin/restic version
	printf '%s\n' "restic $*" >>/pgdata/commands
	printf '%s\n' "region $AWS_DEFAULT_REGION key $AWS_ACCESS_KEY_ID" >>/pgdata/environment
	[ -z "${RESTIC_SAYS:-}" ] || { printf '%s\n' "$RESTIC_SAYS" >&2; exit "${RESTIC_STATUS:-1}"; }
	[ -z "${RESTIC_SLEEPS:-}" ] || exec sleep 600
	shift 2
	exec /usr/bin/restic -r "${REPOSITORY:-/repository}" "$@"
	DOUBLE
	cat >"$work/doubles/kopia" <<-'DOUBLE'
	#!/bin/sh
	# A double: records its command line; `snapshot restore` hands out a small cluster's files.
	[ "$1" != --version ] || { echo "0.17.0 build: 0123 from: kopia/kopia"; exit 0; }
	printf '%s\n' "kopia $*" >>/pgdata/commands
	if [ "$1 $2" = "${KOPIA_FAILS_AT:-}" ]; then printf '%s\n' "$KOPIA_SAYS" >&2; exit 1; fi
	[ "$1 $2" != "snapshot restore" ] || {
		for target; do :; done
		mkdir -p "$target/data/global" "$target/data/base" "$target/data/pg_wal" "$target/data/pg_tblspc" "$target/data/pg_xact" \
			"$target/data/pg_multixact/members" "$target/data/pg_multixact/offsets"
		echo 15 >"$target/data/PG_VERSION"
		head -c 8192 /dev/zero >"$target/data/global/pg_control"
		echo map >"$target/data/global/pg_filenode.map"
		echo "Restored ${KOPIA_COUNTS:-3} files, 9 directories and 0 symbolic links (11 B)${KOPIA_SAYS:+, $KOPIA_SAYS}." >&2
	}
	DOUBLE
	chmod 755 "$work/doubles/"*
}

restore_environment() { # SNAPSHOT_ID [VARIABLE]...
	printf '%s\n' "SNAPSHOT_ID=$1" S3_ENDPOINT=http://127.0.0.1:7480 S3_BUCKET=backups S3_PREFIX=/a/b/ \
		S3_REGION=ap-southeast-2 RESTIC_PASSWORD=correct AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=hidden-s3-key "${@:2}"
}

restore() { run restore-restic < <(restore_environment "$@"); }

test_restore() {
	new_pod restored
	mkdir -p "$pod/pgdata/restore/left/over" "$pod/pgdata/pgdata"
	touch "$pod/pgdata/pgdata/left-over"
	chmod 0500 "$pod/pgdata/restore/left"
	chown -R 999:999 "$pod/pgdata"
	restore "$good"
	is "a snapshot is restored" 0 "$status"
	is "it says version and engine" "15 restic 0.14.0" "$(message '.postgres_version + " " + .engine')"
	local data=$work/source/var/lib/postgresql/15/main
	is "it counts the files" "$(find "$data" -type f | wc -l)" "$(message .files)"
	is "it counts the bytes" "$(find "$data" -type f -printf '%s\n' | awk '{ b += $1 } END { print b }')" "$(message .bytes)"
	is "the data directory is whole, alone and 0700" "700 " "$(stat -c %a "$pod/pgdata/pgdata") $(diff -r "$data" "$pod/pgdata/pgdata" 2>&1)"
	is "the repository is named without stray slashes" \
		"restic -r s3:http://127.0.0.1:7480/backups/a/b --no-lock --no-cache restore --target /pgdata/restore -- $good" \
		"$(cat "$pod/pgdata/commands")"
	is "region and keys come by the environment" "region ap-southeast-2 key key" "$(cat "$pod/pgdata/environment")"

	new_pod no-prefix
	restore "$none" S3_PREFIX= S3_CA_FILE=/etc/ca.crt RESTIC_SAYS=x
	is "without a prefix, with a CA" "restic -r s3:http://127.0.0.1:7480/backups --no-lock --no-cache --cacert /etc/ca.crt \
restore --target /pgdata/restore -- $none" "$(cat "$pod/pgdata/commands")"

	pod=$work/pods/$flavour-restored
	touch "$pod/pgdata/prepared"
	restore "$good"
	failed_with "$(code EXIT_VOLUME_IN_USE)" restore "a database was started from this volume" "a volume that serves is not written"
	[ -f "$pod/pgdata/pgdata/PG_VERSION" ]
	verdict $? "and is left as it was"
}

test_restore_failures() {
	new_pod failures
	restore "$good" RESTIC_PASSWORD=wrong
	failed_with "$(code EXIT_WRONG_PASSWORD)" restore "wrong password or no key found" "wrong password"
	restore deadbeef
	failed_with "$(code EXIT_SNAPSHOT_GONE)" restore "no matching ID found" "snapshot gone"
	restore "$good" REPOSITORY=/nowhere
	failed_with "$(code EXIT_REPOSITORY_GONE)" restore "unable to open config file" "repository missing"
	restore "$none"
	failed_with "$(code EXIT_NO_CLUSTER)" capture "holds no directory with PG_VERSION and global/pg_control" "no PGDATA"
	[ ! -e "$pod/pgdata/pgdata" ]
	verdict $? "nothing that failed can be started"
}

# What the double says in restic's place: label, exit code of ours, its status, its words.
test_restore_words() {
	new_pod words
	while IFS='|' read -r label expected says_status words; do
		restore "$good" "RESTIC_SAYS=$words" "RESTIC_STATUS=$says_status"
		failed_with "$expected" restore "$words" "$label"
	done <<-ROWS
	restic 0.17 repository|$(code EXIT_REPOSITORY_GONE)|10|Fatal: repository does not exist: unable to open config file
	restic 0.17 password|$(code EXIT_WRONG_PASSWORD)|12|Fatal: wrong password or no key found
	access denied|$(code EXIT_ACCESS_REFUSED)|1|Fatal: unable to open config file: Stat: Access Denied.
	unknown key|$(code EXIT_ACCESS_REFUSED)|1|The AWS Access Key Id you provided does not exist in our records.
	expired|$(code EXIT_CREDENTIALS_EXPIRED)|1|Load(<data/1>) returned error: The provided token has expired.
	volume full|$(code EXIT_VOLUME_FULL)|1|ignoring error for /base/1/2: write /pgdata/x: no space left on device
	no bucket|$(code EXIT_REPOSITORY_GONE)|1|Fatal: unable to open config file: Stat: The specified bucket does not exist
	network|1|1|Fatal: unable to open config file: Stat: dial tcp 192.0.2.1:443: i/o timeout
	quotes and backslashes|1|1|Fatal: open "C:\\x": no
	ROWS
	restore "$good" "RESTIC_SAYS=x: no space left on device"
	failed_with "$(code EXIT_VOLUME_FULL)" restore "volume full: x" "volume full is said first"
	restore "$good" "RESTIC_SAYS=Fatal: $(printf 'caf\303\251 \033[1m %4000s' x)"
	jq -e .error <"$pod/message" >/dev/null && [ "$(wc -c <"$pod/message")" -lt 1200 ]
	verdict $? "a wild error is still short and JSON"
}

test_restore_is_stopped() {
	new_pod stopped
	begin restore-restic < <(restore_environment "$good" RESTIC_SLEEPS=yes)
	local deadline=$((SECONDS + 20))
	until [ -s "$pod/pgdata/commands" ] || [ $SECONDS -ge $deadline ]; do sleep 0.1; done
	stop
	status=$?
	failed_with 1 restore "the engine ended without a word" "SIGTERM ends a restore, which is worth another pod"
}

kopia() { # [VARIABLE]...
	rm -rf "$pod/pgdata/commands"
	run restore-kopia < <(printf '%s\n' SNAPSHOT_ID=k1234 S3_ENDPOINT=https://s3.example.org:9000 S3_BUCKET=backups S3_PREFIX=a/b/ \
		S3_REGION=eu-1 KOPIA_PASSWORD=correct AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=hidden-s3-key AWS_SESSION_TOKEN=t "$@")
}

# The engine is a double here: this shows what it is asked for and what is made of its answers, not that kopia restores.
test_kopia_double() {
	new_pod kopia
	kopia S3_CA_FILE=/ca.crt
	is "kopia (a double): restored" "0 15 kopia 0.17.0 3" "$status $(message '.postgres_version + " " + .engine + " " + (.files | tostring)')"
	is "kopia (a double): its command lines" "kopia repository connect s3 --bucket=backups --prefix=a/b/ --region=eu-1 \
--endpoint=s3.example.org:9000 --root-ca-pem-path=/ca.crt --readonly --no-check-for-updates --no-persist-credentials
kopia snapshot restore --skip-owners --parallel=8 --no-ignore-permission-errors -- k1234 /pgdata/restore" "$(cat "$pod/pgdata/commands")"
	kopia S3_ENDPOINT=http://127.0.0.1:7480
	grep -q -- '--endpoint=127.0.0.1:7480 --disable-tls' "$pod/pgdata/commands"
	verdict $? "kopia (a double): plain http"
	kopia CPU_LIMIT=3
	grep -q -- ' --parallel=3 ' "$pod/pgdata/commands"
	verdict $? "kopia (a double): as many hands as CPUs"
	kopia "KOPIA_SAYS=ignored 3 errors"
	failed_with 1 restore "ignored 3 errors" "kopia (a double): ignored errors are a failure"
	kopia KOPIA_COUNTS=4
	failed_with 1 restore "kopia restored 4 files, the volume holds 3" "kopia (a double): its own count is what the volume holds"
	kopia "KOPIA_FAILS_AT=repository connect" "KOPIA_SAYS=error connecting to repository: invalid repository password"
	failed_with "$(code EXIT_WRONG_PASSWORD)" restore "invalid repository password" "kopia (a double): wrong password"
	kopia "KOPIA_FAILS_AT=snapshot restore" "KOPIA_SAYS=unable to get filesystem entry: can't parse object ID k1234"
	failed_with "$(code EXIT_SNAPSHOT_GONE)" restore "can't parse object ID" "kopia (a double): snapshot gone"
}

# --- through the proxy of the pod ---

# As a pod with a proxy has it: no endpoint and no CA, but files of the proxy.
proxied() { # SNAPSHOT_ID [VARIABLE]...
	rm -f "$pod/pgdata/commands"
	run restore-restic < <(restore_environment "$1" S3_ENDPOINT= PGRO_PORT_FILE=/run/understory/address "${@:2}")
}

test_proxy() {
	new_pod proxied
	echo '[::1]:4711' >"$pod/run/address"
	proxied "$good"
	is "through the proxy a snapshot is restored" "0 15" "$status $(message .postgres_version)"
	is "from where its port file says" \
		"restic -r s3:http://[::1]:4711/backups/a/b --no-lock --no-cache restore --target /pgdata/restore -- $good" \
		"$(cat "$pod/pgdata/commands")"
	is "no done-file is left where none is asked for" address "$(ls "$pod/run")"

	proxied "$good" PGRO_DONE_FILE=/run/understory/done
	is "the done-file is left after a restore" "0 yes" "$status $([ -e "$pod/run/done" ] && echo yes)"
	rm -f "$pod/run/done"
	proxied deadbeef PGRO_DONE_FILE=/run/understory/done
	failed_with "$(code EXIT_SNAPSHOT_GONE)" restore "no matching ID found" "through the proxy a failure is what it is without"
	is "the done-file is left after a failure" yes "$([ -e "$pod/run/done" ] && echo yes)"
	rm -f "$pod/run/done"
	proxied "$good" PGRO_DONE_FILE=/nowhere/done
	is "a done-file that cannot be left changes nothing" "0 15" "$status $(message .postgres_version)"

	proxied "$good" PGRO_ENGINE_PIPE=/nowhere/engine
	is "a pipe that cannot be held changes nothing" "0 15" "$status $(message .postgres_version)"

	begin restore-restic < <(restore_environment "$good" PGRO_PORT_FILE=/run/understory/late PGRO_DONE_FILE=/run/understory/done)
	sleep 1
	is "a proxy that is slow is waited for" "" "$(cat "$pod/message")"
	echo '127.0.0.1:99' >"$pod/run/late.new"
	mv "$pod/run/late.new" "$pod/run/late"
	wait "$begun"
	is "and used" "0 s3:http://127.0.0.1:99/backups/a/b" "$? $(tail -n 1 "$pod/pgdata/commands" | cut -d ' ' -f 3)"

	new_pod proxied-kopia
	echo '[::1]:4711' >"$pod/run/address"
	kopia S3_ENDPOINT= PGRO_PORT_FILE=/run/understory/address PGRO_DONE_FILE=/run/understory/done
	is "kopia (a double): through the proxy" "0 kopia repository connect s3 --bucket=backups --prefix=a/b/ --region=eu-1 \
--endpoint=[::1]:4711 --disable-tls --readonly --no-check-for-updates --no-persist-credentials yes" \
		"$status $(head -n 1 "$pod/pgdata/commands") $([ -e "$pod/run/done" ] && echo yes)"
}

# The wait of a minute, cut to a second.
test_proxy_is_absent() {
	local shipped=$scripts
	scripts=$work/impatient
	mkdir -p "$scripts"
	cp "$shipped"/*.sh "$scripts"
	sed -i 's/-lt 60 /-lt 1 /' "$scripts"/restore-*.sh
	new_pod no-proxy
	proxied "$good" PGRO_DONE_FILE=/run/understory/done
	failed_with 1 proxy "the credential proxy of this pod did not start within 60 s" "a proxy that does not come is the cluster's fault"
	is "and nothing is asked of the store" "" "$(cat "$pod/pgdata/commands" 2>/dev/null)"
	is "but the proxy is told to end" yes "$([ -e "$pod/run/done" ] && echo yes)"
	scripts=$shipped
}

make_doubles
make_source
make_repository
flavour=shellcheck pod=$work/shellcheck
mkdir -p "$pod"
: >"$pod/message"
for script in restore-restic restore-kopia prepare postgres; do
	shellcheck -s sh "$scripts/$script.sh" >"$pod.log" 2>&1
	verdict $? "$script.sh as it is shipped"
done
run_tests test_restore test_restore_failures test_restore_words test_restore_is_stopped test_kopia_double test_proxy test_proxy_is_absent
