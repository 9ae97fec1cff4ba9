# shellcheck shell=sh
# The WAL that recovery needs, from an archive onto the volume: the database's pod has no way to the store. From the file where recovery
# begins, file after file and over timelines, until the archive has no more. The cluster is $target, as the engine left it.

# Asks for one file. COMMAND FILE PATH ends with 0: it is at PATH; with 1: the archive has none. All else is a failure and no end of the
# archive: explain_engine, which the engine's script defines, says what it is.
has_archived() { # FILE COMMAND...
	archived=$1
	shift
	[ ! -s "$target/pg_wal/$archived" ] || return 0
	archive_status=0
	run_engine "$@" "$archived" "$target/pg_wal/.fetched" || archive_status=$?
	case $archive_status in
	0) mv -f "$target/pg_wal/.fetched" "$target/pg_wal/$archived" ;;
	1) rm -f "$target/pg_wal/.fetched" && return 1 ;;
	*) explain_engine ;;
	esac
}

wal_file() { # TIMELINE SEGMENT
	printf '%08X%08X%08X' "$1" $(($2 / segments_per_id)) $(($2 % segments_per_id))
}

# The newest timeline that begins on that of the backup. They are looked for as PostgreSQL does it: one after the other, up to a gap. A
# history that does not lead back to the backup would stop its recovery.
find_newest_timeline() { # COMMAND...
	newest=$first_timeline
	probed=$((first_timeline + 1))
	while history=$(printf '%08X.history' "$probed") && has_archived "$history" "$@"; do
		if grep -q "^${first_timeline}[[:space:]]" "$target/pg_wal/$history"; then newest=$probed; else rm "$target/pg_wal/$history"; fi
		probed=$((probed + 1))
	done
}

# The timeline that a segment is read from: a new one begins with the file in which the old one was left. Rows of a history, oldest
# first: TIMELINE LSN REASON.
find_timeline() { # SEGMENT
	[ "$newest" != "$timeline" ] || return 0
	timeline=$(awk -v first="$first_timeline" '$1 ~ /^[0-9]+$/ && $1 >= first { print $1, $2 }' \
		"$target/pg_wal/$(printf '%08X.history' "$newest")" | {
		on=$newest
		while read -r row at; do
			[ $(((0x${at%/*} * 0x100000000 + 0x${at#*/}) / segment_bytes)) -le "$1" ] || { on=$row && break; }
		done
		echo "$on"
	})
}

# The end of the backup itself, where the archive knows it: prepare then says which files are missing.
fetch_end_of_backup() { # COMMAND...
	start=$(sed -n 's/^START WAL LOCATION: [0-9A-F]*\/\([0-9A-F]*\) .*/\1/p' "$target/backup_label")
	has_archived "$first_file.$(printf '%08X' $((0x$start % segment_bytes))).backup" "$@" || :
}

fetch_wal() { # COMMAND...
	first_file=$(sed -n 's/^START WAL LOCATION: .*(file \([0-9A-F]\{24\}\)).*/\1/p' "$target/backup_label" 2>/dev/null) || :
	[ -n "$first_file" ] || fail "$EXIT_INCOMPLETE" capture "the backup has no backup_label that names a WAL file"
	mkdir -p "$target/pg_wal"
	has_archived "$first_file" "$@" || fail "$EXIT_INCOMPLETE" capture \
		"recovery begins in WAL file $first_file (by backup_label), which is not in the archive"
	segment_bytes=$(wc -c <"$target/pg_wal/$first_file" | tr -d ' ')
	segments_per_id=$((0x100000000 / segment_bytes))
	first_timeline=$((0x$(printf '%s' "$first_file" | cut -c 1-8)))
	timeline=$first_timeline
	segment=$((0x$(printf '%s' "$first_file" | cut -c 9-16) * segments_per_id + 0x$(printf '%s' "$first_file" | cut -c 17-24)))
	fetch_end_of_backup "$@"
	find_newest_timeline "$@"
	while find_timeline "$segment" && has_archived "$(wal_file "$timeline" "$segment")" "$@"; do
		segment=$((segment + 1))
	done
}
