# shellcheck shell=bash
# Backups of fixtures/source as their makers leave them in folders, for the end-to-end scripts. To be sourced after lib.sh.

# base_backup FOLDER TIME: by pg_basebackup -Ft -z -X stream, with metadata.json last. Anybody may read it.
base_backup()
{
	mkdir -p "$1"
	setpriv --reuid=postgres --regid=postgres --init-groups /usr/lib/postgresql/15/bin/pg_basebackup -h "$SOURCE/run" -U postgres \
		-D "$SOURCE/base/${1##*/}" -Ft -z -X stream -c fast --no-sync || return 1
	mv "$SOURCE/base/${1##*/}"/* "$1"
	(cd "$1" && sha256sum -- * >checksum.txt && printf '{"source_instance": "nauru", "backup_time": "%s", "backup_size_bytes": %d,
		"postgres_version": "15"}\n' "$2" "$(du -sb . | cut -f 1)" >metadata.json)
	chmod -R a+rX "$1"
}

# dump FOLDER DATABASE...: by pg_dump -Fc, and the roles.
dump()
{
	local database folder=$1
	mkdir -p "$folder"
	for database in "${@:2}"; do
		pg_dump -h "$SOURCE/run" -U postgres -Fc -d "$database" -f "$folder/$database.dump" || return 1
	done
	pg_dumpall -h "$SOURCE/run" -U postgres --globals-only -f "$folder/globals.sql"
}
