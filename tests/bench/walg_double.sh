#!/bin/sh
# A double of WAL-G's command line for images.sh: a repository on a volume, whose backups are directories and whose WAL is not compressed.
at=$WALG_FILE_PREFIX
case $1 in
--version) printf 'wal-g version v3.0.8\t0000000\t2026.01.01\tPostgreSQL\n' ;;
st) cat "$at/$3" ;;
backup-fetch)
	mkdir -p "$2"
	tar -C "$at/basebackups_005/$3" -cf - . | tar -C "$2" -xf -
	;;
wal-fetch)
	[ -f "$at/wal_005/$2" ] || { echo "ERROR: Archive '$2' does not exist." >&2; exit 74; }
	cp "$at/wal_005/$2" "$3"
	;;
*) exit 64 ;;
esac
