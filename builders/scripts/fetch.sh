# shellcheck shell=sh
# For engines whose backup is a folder of files in the store. A part beside this one (fetch_rclone, fetch_file) has
#   need_folder FOLDER        fail unless the entry's prefix has it
#   fetch FOLDER PATTERN...   bring what matches in it to $fetched; what is not there is not an error
#   version_of_fetch          print what did it
fetched=/pgdata/fetched

empty_fetched() {
	rm -rf "$fetched"
	mkdir "$fetched"
}

# The value of a key of a flat JSON object, as it stands.
json_value() { # KEY FILE
	tr '\n' ' ' <"$2" | sed -n 's/.*"'"$1"'"[[:space:]]*:[[:space:]]*"\{0,1\}\([^",}]*\).*/\1/p'
}

# metadata.json may say of which flavour the server was that the backup is of (docs/engines.md): it comes up in that or not at all.
read_flavour() {
	[ -f "$fetched/metadata.json" ] || return 0
	flavour=$(json_value flavour "$fetched/metadata.json")
	[ -z "$flavour" ] || more=say_backup_and_flavour
}

say_backup_and_flavour() {
	say_backup
	printf ',"flavour":"%s"' "$(json_text "$flavour")"
}

# The folder whose mark, the file that is written last, has the latest "backup_time", as text; where that is missing, or the same, the
# name decides.
newest_folder() { # MARK
	empty_fetched
	fetch '' "*/$1"
	for mark in "$fetched"/*/"$1"; do
		[ ! -f "$mark" ] || printf '%s %s\n' "$(json_value backup_time "$mark" | tr ' ' T)" "$(basename "${mark%/*}")"
	done | sort | tail -n 1 | cut -d ' ' -f 2-
}

# Which folder it is, into $backup: with "latest" the newest (pin.sh).
find_backup() { # MARK
	pin_backup newest_folder "$1"
	case /$backup/ in
	*//* | */./* | */../*) fail "$EXIT_SNAPSHOT_GONE" restore "\"$backup\" is no folder of the prefix" ;;
	esac
	empty_fetched
}
