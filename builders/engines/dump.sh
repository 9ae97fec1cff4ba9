# shellcheck shell=sh
# Fetch dumps in pg_dump's custom format and look at their headers. Loading them takes a server of the right major, which this image has
# not: load.sh does it.
dumps=/pgdata/dumps

# The header as pg_backup_archiver.c (WriteHead) writes it: PGDMP, the version of the format, the sizes of numbers, the format, the
# compression, a time, the name of the database, the versions of server and pg_dump. A number is a sign and its bytes, the lowest first.
# Prints FORMAT, the server's major and pg_dump's version, apart by blanks; "cut" when the file ends before the header does.
read_header() { # FILE
	od -An -v -tu1 -N 8192 "$1" | awk '
		function next_byte() {
			is_cut = is_cut || at >= count
			return bytes[at++] + 0
		}
		function number(i, sign, sum, unit) {
			sign = next_byte()
			unit = 1
			for (i = 0; i < size; i++) {
				sum += next_byte() * unit
				unit *= 256
			}
			return sign ? -sum : sum + 0
		}
		function text(length_left, all) {
			for (length_left = number(); length_left > 0 && !is_cut; length_left--)
				all = all sprintf("%c", next_byte())
			return all
		}
		{ for (i = 1; i <= NF; i++) bytes[count++] = $i }
		END {
			at = 5
			version = next_byte() * 1000 + next_byte()
			next_byte()
			size = next_byte()
			next_byte()
			format = next_byte()
			if (version >= 1015) next_byte(); else number()
			for (i = 0; i < 7; i++) number()
			text()
			split(text(), server, ".")
			split(text(), dumper, " ")
			if (is_cut || size == 0 || size > 8) print "cut"
			else print format, server[1] + 0, dumper[1]
		}'
}

begins_as_dump() { # FILE
	[ "$(head -c 5 "$1" | tr -d '\000')" = PGDMP ]
}

# A file that is called a dump has to be one. What else lies in the folder is left alone.
list_dumps() {
	find -L "$fetched" -type f | sort >/tmp/files
	: >/tmp/dumps
	while IFS= read -r file; do
		shown=${file#"$fetched"/}
		case $shown in
		*.dump | *.dmp | *.pgdump | *.backup) begins_as_dump "$file" || fail "$EXIT_INCOMPLETE" capture \
			"$shown is no dump of pg_dump's custom format: it does not begin with PGDMP" ;;
		*) begins_as_dump "$file" || continue ;;
		esac
		printf '%s\n' "$shown" >>/tmp/dumps
	done </tmp/files
	[ -s /tmp/dumps ] || fail "$EXIT_NO_CLUSTER" capture "the backup holds no dump of pg_dump's custom format (pg_dump -Fc)"
}

# Leaves in $newest the newest major that a dump is of or was written by.
check_dumps() {
	newest=0
	while IFS= read -r shown; do
		header=$(read_header "$fetched/$shown")
		[ "$header" != cut ] || fail "$EXIT_INCOMPLETE" capture "dump $shown is cut short in its header: it has $(wc -c <"$fetched/$shown" |
			tr -d ' ') bytes"
		read -r format server dumper <<-HEADER
		$header
		HEADER
		[ "$format" = 1 ] || fail "$EXIT_NO_CLUSTER" capture \
			"$shown is of another format of pg_dump than custom (pg_dump -Fc), which is the one that can be loaded here"
		[ "$server" -le "$newest" ] || { newest=$server && newest_by="a server of PostgreSQL $server"; }
		[ "${dumper%%.*}" -le "$newest" ] || { newest=${dumper%%.*} && newest_by="pg_dump $dumper"; }
	done </tmp/dumps
}

# No older than any dump; and a dump of a server that is older than all that can be restored is loaded into the oldest.
choose_major() {
	major=$newest
	[ "$major" -ge 10 ] || major=10
	[ "$major" -le "$POSTGRES_NEWEST_MAJOR" ] || fail "$EXIT_MISCONFIGURED" capture \
		"the dump is newer than every server: it comes of $newest_by, POSTGRES_NEWEST_MAJOR is $POSTGRES_NEWEST_MAJOR"
}

# What pg_dumpall writes last.
check_globals() {
	[ ! -f "$fetched/globals.sql" ] || grep -q '^-- PostgreSQL database cluster dump complete' "$fetched/globals.sql" ||
		fail "$EXIT_INCOMPLETE" capture "globals.sql is cut short: it lacks the line that pg_dumpall ends with"
}

# The rename comes last, so that half a backup is never loaded.
finish_dumps() {
	totals=$(find -L "$fetched" -type f -exec ls -lnL {} + | awk '{ bytes += $5 } END { printf "\"bytes\":%.0f,\"files\":%d", bytes, NR }')
	mkdir "$dumps.new"
	mv "$fetched" "$dumps.new/files"
	mv /tmp/dumps "$dumps.new/list"
	printf '%s\n' "$major" >"$dumps.new/major"
	mv "$dumps.new" "$dumps"
	printf '{"postgres_version":"%s","layout":"dump",%s,"engine":"dump %s (%s)","seconds":%d%s}\n' "$major" \
		"$totals" "$(json_text "$dumper")" "$(version_of_fetch)" $(($(date +%s) - started_at)) "$($more)" >/dev/termination-log
}

empty_target
rm -rf "$target" "$dumps" "$dumps.new" /pgdata/loading
find_backup metadata.json
need_folder "$backup"
fetch "$backup" '*'
read_flavour
stage=capture
list_dumps
check_dumps
choose_major
check_globals
finish_dumps
