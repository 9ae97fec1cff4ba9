# shellcheck shell=sh
# Restore what pg_basebackup -Ft -z -X stream left in a folder: base.tar.gz, pg_wal.tar.gz, OID.tar.gz of each tablespace, checksum.txt, and
# metadata.json, which comes last. Nothing is unpacked before all of it has the sums that checksum.txt says.

refuse() { # TEXT
	fail "$EXIT_INCOMPLETE" restore "backup $backup: $1"
}

check_marks() {
	[ -f "$fetched/metadata.json" ] || refuse "it is unfinished: metadata.json, which is written last, is missing"
	tr -d ' \n\r\t' <"$fetched/metadata.json" | grep -q '^{.*}$' || refuse "metadata.json is cut short"
	[ -s "$fetched/checksum.txt" ] || refuse "checksum.txt is missing"
}

# "SUM NAME", one a line, as sha256sum writes them; a name is a file of this folder and nothing else.
read_sums() {
	tr -d '\r' <"$fetched/checksum.txt" | grep . >/tmp/checksum.txt
	sed -n 's|^\([0-9A-Fa-f]\{64\}\) [ *]\(\./\)\{0,1\}\([A-Za-z0-9][A-Za-z0-9._-]*\)$|\1 \3|p' /tmp/checksum.txt >/tmp/sums
	strange=$(sed 's|^[0-9A-Fa-f]\{64\} [ *]\(\./\)\{0,1\}[A-Za-z0-9][A-Za-z0-9._-]*$||' /tmp/checksum.txt | grep . | head -n 1) || :
	[ -z "$strange" ] || refuse "checksum.txt has a line that names no file of this folder: $strange"
	for name in base.tar.gz pg_wal.tar.gz; do
		grep -q " $name\$" /tmp/sums || refuse "checksum.txt does not name $name"
	done
}

# The first file that is not what checksum.txt says, and status 3; one that cannot be read is no damaged one.
check_sums() {
	while read -r sum name; do
		found=$(sha256sum "$fetched/$name") || return 1
		[ "${found%% *}" = "$(printf '%s' "$sum" | tr A-F a-f)" ] || { printf '%s\n' "$name" && return 3; }
	done </tmp/sums
}

fetch_and_check() {
	set --
	while read -r sum name; do
		set -- "$@" "$name"
	done </tmp/sums
	fetch "$backup" "$@"
	for name; do
		[ -f "$fetched/$name" ] || refuse "$name is named in checksum.txt and is not there"
		[ -r "$fetched/$name" ] || fail "$EXIT_ACCESS_REFUSED" restore "backup $backup: user $(id -u) may not read $name"
	done
	status=0
	run_engine check_sums || status=$?
	case $status in
	0) ;;
	3) refuse "$(tail -n 1 "$log") has another sum than checksum.txt says: it is damaged" ;;
	*) fail 1 restore "the sums of backup $backup could not be checked: $(grep . "$log" | tail -n 1)" ;;
	esac
}

# A tar ends with two empty blocks: one that was cut between two files looks whole otherwise. What unzips must have come to its end too.
unpack_stream() { # NAME DIRECTORY
	rm -f /tmp/unzipped /tmp/end /tmp/end.pipe
	mkfifo /tmp/end.pipe
	tail -c 1024 </tmp/end.pipe | tr -d '\000' | wc -c >/tmp/end &
	{ gzip -dc "$fetched/$1" && : >/tmp/unzipped; } | tee /tmp/end.pipe | tar -xf - -C "$2"
	unpacked=$?
	wait
	return "$unpacked"
}

# What is unpacked is not needed any more: the volume has room for little more than the database and its archive.
unpack() { # NAME DIRECTORY
	[ ! -L "$2" ] || rm "$2"
	mkdir -p "$2"
	status=0
	run_engine unpack_stream "$1" "$2" || status=$?
	line=$(grep -iE 'no space left|quota exceeded' "$log" | tail -n 1) || :
	[ -z "$line" ] || fail "$EXIT_VOLUME_FULL" restore "volume full: $line"
	[ "$status" -lt 128 ] || fail 1 restore "unpacking of $1 was ended by a signal (status $status)"
	if [ ! -e /tmp/unzipped ] || [ "$status" != 0 ] || [ "$(tr -d ' ' </tmp/end)" != 0 ]; then
		refuse "$1 is cut short or damaged: $(grep . "$log" | tail -n 1 || echo "it has no end")"
	fi
	rm -f "${fetched:?}/$1"
}

# OID.tar.gz is what a link in pg_tblspc led to: it is put in its place, where settle_tablespaces finds it.
unpack_tablespaces() {
	[ -f "$target/tablespace_map" ] || return 0
	lost=
	while read -r oid path; do
		[ -f "$fetched/$oid.tar.gz" ] || lost="$lost $oid.tar.gz ($path)"
	done <"$target/tablespace_map"
	[ -z "$lost" ] || refuse "it lacks the archives of tablespaces:$lost"
	while read -r oid path; do
		unpack "$oid.tar.gz" "$target/pg_tblspc/$oid" </dev/null
	done <"$target/tablespace_map"
}

empty_target
find_backup metadata.json
need_folder "$backup"
fetch "$backup" metadata.json checksum.txt
check_marks
read_flavour
read_sums
fetch_and_check
unpack base.tar.gz "$target"
[ ! -L "$target/pg_tblspc" ] || rm "$target/pg_tblspc"
unpack pg_wal.tar.gz "$target/pg_wal"
unpack_tablespaces
# It says where the backup ends; beside the archives it is the server's own file of this name.
[ ! -f "$fetched/backup_manifest" ] || cp "$fetched/backup_manifest" "$target/backup_manifest"
rm -rf "$fetched"
finish "basebackup ($(version_of_fetch))"
