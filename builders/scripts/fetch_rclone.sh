# shellcheck shell=sh
# From a store of objects with rclone, which has no configuration file. The part before this one says how to reach the store, in
# RCLONE_CONFIG_STORE_*, which $container (bucket) it is, and in explain_rclone why rclone failed.
prefix=$(printf '%s' "$S3_PREFIX" | sed -e 's|^/*||' -e 's|/*$||')
RCLONE_CONFIG=/tmp/rclone.conf
export RCLONE_CONFIG
: >"$RCLONE_CONFIG"

# A request that the store leaves unanswered is made again after a minute, ten times; rclone's own patience is five minutes each.
ask_store() { # COMMAND FOLDER OPTION...
	place=store:$container/${prefix:+$prefix/}$2
	command=$1
	shift 2
	[ -z "${S3_CA_FILE:-}" ] || set -- "$@" --ca-cert "$S3_CA_FILE"
	run_engine rclone "$command" "$place" "$@" --timeout 60s --contimeout 20s --log-format '' || explain_rclone
}

# To a store of objects a folder is what objects are named by.
need_folder() { # FOLDER
	ask_store lsf "$1"
	grep -q . "$log" || fail "$EXIT_SNAPSHOT_GONE" restore "$container holds nothing in folder ${prefix:+$prefix/}$1"
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
