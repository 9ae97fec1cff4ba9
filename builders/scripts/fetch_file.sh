# shellcheck shell=sh
# From a volume that is mounted read-only: links, nothing is copied.
[ -d "$BACKUP_DIR" ] || fail "$EXIT_REPOSITORY_GONE" restore "the volume has no folder ${BACKUP_DIR#/backup/}"

need_folder() { # FOLDER
	[ -d "$BACKUP_DIR/$1" ] || fail "$EXIT_SNAPSHOT_GONE" restore "the volume has no folder $1 in ${BACKUP_DIR#/backup}"
}

fetch() { # FOLDER PATTERN...
	folder=$BACKUP_DIR${1:+/$1}
	shift
	for pattern; do
		(cd "$folder" && for file in $pattern; do
			[ -f "$file" ] || continue
			mkdir -p "$(dirname "$fetched/$file")"
			ln -sf "$folder/$file" "$fetched/$file"
		done)
	done
}

version_of_fetch() {
	echo volume
}
