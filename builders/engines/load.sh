# shellcheck shell=sh
# From dumps to a cluster: made empty, filled, and put where prepare looks for it by one rename at the end. What a pod that was killed has
# left is thrown away. While it loads, the server has no network and need not survive a crash.
dumps=/pgdata/dumps
loading=/pgdata/loading

load_failed() { # TEXT
	fail "$EXIT_LOAD_FAILED" load "$1"
}

# --- the empty cluster

make_cluster() {
	rm -rf "$loading" /pgdata/facts /pgdata/notes
	: >/pgdata/prepared
	fact capture '"dump"'
	if ! initdb -D "$loading" -U postgres -A trust -E UTF8 --locale=C --data-checksums --no-sync >/tmp/initdb.log 2>&1; then
		! grep -qE 'No space left on device|Disk quota exceeded' /tmp/initdb.log || fail "$EXIT_VOLUME_FULL" load "the volume is full"
		fail "$EXIT_NODE_FAILED" load "initdb: $(grep -m 1 -E 'error|FATAL' /tmp/initdb.log)"
	fi
	rm -f "$loading/postgresql.conf" "$loading/postgresql.auto.conf" "$loading/pg_hba.conf" "$loading/pg_ident.conf"
}

start_loading() {
	check_control_file
	write_config
	started_at=$(date +%s)
	start_server -c fsync=off -c full_page_writes=off -c wal_level=minimal -c max_wal_senders=0
	set_session_options
}

# --- roles

# What may be taken from globals.sql, statement by statement as pg_dumpall writes them, one a line; psql never sees the file itself. Makes
# /tmp/roles.sql (has to work), /tmp/roles-set.sql (may fail), /tmp/superusers (roles, quoted) and /tmp/globals-disarmed (texts).
read_globals() {
	for made in roles.sql roles-set.sql superusers globals-disarmed; do
		: >"/tmp/$made"
	done
	[ -f "$dumps/files/globals.sql" ] || return 0
	awk '
		BEGIN {
			role = "(\"([^\"]|\"\")+\"|[a-z_][a-z0-9_]*)"
			literal = "\047([^\047]|\047\047)*\047"
			value = "(" literal "|[A-Za-z0-9_.+-]+)"
			option = "(ADMIN|INHERIT|SET) (OPTION|TRUE|FALSE)"
		}
		function take(pattern) {
			if (!match(rest, "^" pattern)) return 0
			taken = substr(rest, 1, RLENGTH)
			rest = substr(rest, RLENGTH + 1)
			return 1
		}
		# A name that needs no quotes is told from others without them.
		function take_role() {
			if (!take(role)) return 0
			if (taken ~ /^"[a-z_][a-z0-9_]*"$/) taken = substr(taken, 2, length(taken) - 2)
			return 1
		}
		function disarm(text) { print text >"/tmp/globals-disarmed" }
		function alter(kept, lost) {
			while (take(" ")) {
				if (take("(NO)?(SUPERUSER|REPLICATION|BYPASSRLS|CREATEROLE)")) {
					if (taken !~ /^NO/) lost = lost " " taken
					if (taken == "SUPERUSER") print name >"/tmp/superusers"
				} else if (take("(NO)?(INHERIT|LOGIN|CREATEDB)") || take("CONNECTION LIMIT -?[0-9]+") ||
					take("PASSWORD " literal) || take("VALID UNTIL " literal)) {
					kept = kept " " taken
				} else {
					break
				}
			}
			if (rest != ";") return 0
			print "ALTER ROLE " name " WITH NOSUPERUSER" kept ";" >"/tmp/roles.sql"
			if (lost != "") disarm("role " name ":" tolower(lost))
			return 1
		}
		function grant(group) {
			group = name
			if (!take(" TO ") || !take_role()) return 0
			name = taken
			options = take(" WITH " option "(, " option ")*") ? taken : ""
			take(" GRANTED BY " role)
			if (rest != ";") return 0
			if (group ~ /^(postgres|pg_(execute_server_program|read_server_files|write_server_files))$/)
				disarm("role " name ": member of " group)
			else
				print "GRANT " group " TO " name options ";" >"/tmp/roles.sql"
			return 1
		}
		function is_taken() {
			rest = $0
			if (take("CREATE ROLE ") && take_role()) {
				name = taken
				if (rest != ";") return 0
				if (name != "postgres") print "CREATE ROLE " name ";" >"/tmp/roles.sql"
				return 1
			}
			rest = $0
			if (take("ALTER ROLE ") && take_role()) {
				name = taken
				if (name == "postgres") return 1
				if (take(" WITH")) return alter()
				if (rest ~ "^ SET (\"[A-Za-z_.]+\"|[A-Za-z_.]+) TO " value "(, " value ")*;$") {
					print >"/tmp/roles-set.sql"
					return 1
				}
				return 0
			}
			rest = $0
			if (take("GRANT ") && take_role()) {
				name = taken
				return grant()
			}
			return $0 ~ /^(--|$|SET |\\(un)?restrict )/
		}
		!is_taken() {
			kind = match($0, /^(CREATE|ALTER|DROP|COMMENT|SECURITY|GRANT|REVOKE) [A-Z]+/) ? substr($0, 1, RLENGTH) : "others"
			if (!(kind in left_out)) kinds[++kind_count] = kind
			left_out[kind]++
		}
		END {
			for (i = 1; i <= kind_count; i++) all = all (i > 1 ? ", " : "") kinds[i] " (" left_out[kinds[i]] ")"
			if (all != "") print all
		}' "$dumps/files/globals.sql" >/tmp/left-out
	[ ! -s /tmp/left-out ] || note "statements of globals.sql that are not for a restore: $(cat /tmp/left-out)"
}

# A role that is a superuser in globals.sql is one as long as the load takes: what only superusers may own is given to it. Nobody logs in
# meanwhile.
make_roles() {
	read_globals
	while IFS= read -r what; do
		disarm "$what"
	done </tmp/globals-disarmed
	sed 's/.*/ALTER ROLE & SUPERUSER;/' /tmp/superusers >>/tmp/roles.sql
	sql </tmp/roles.sql || load_failed "globals.sql: $(psql_error)"
	psql -X -q -f /tmp/roles-set.sql >/dev/null 2>/tmp/psql.err || :
	count_warnings globals.sql 'ERROR:' /tmp/psql.err
}

end_superusers() {
	sed 's/.*/ALTER ROLE & NOSUPERUSER;/' /tmp/superusers | sql || load_failed "$(psql_error)"
}

# What may be said of each: notes hold the first ones, the number of all is a fact.
count_warnings() { # OF PATTERN FILE
	grep -E -- "$2" "$3" | sed 's/^.*\(ERROR\|WARNING\|warning\): */\1: /' >/tmp/warned
	warnings=$((warnings + $(wc -l </tmp/warned)))
	while IFS= read -r warned; do
		note "$1: $warned"
	done </tmp/warned
}

# --- which dump becomes which database

toc_failed() { # FILE
	said_by_toc=$(head -n 1 /tmp/toc.err | without_prefix)
	case $said_by_toc in
	*"unsupported version"*) fail "$EXIT_WRONG_MAJOR" load "dump $1: pg_restore of the image is older than it: $said_by_toc" ;;
	*) fail "$EXIT_INCOMPLETE" load "dump $1 is cut short or damaged: ${said_by_toc:-its contents cannot be listed}" ;;
	esac
}

# The name that an entry maps a name to, from lines FROM<tab>TO; else the name itself. No line is a number.
target_of() { # NAME
	printf '%s\n' "${DATABASES:-}" | NAME=$1 awk -F '\t' '("" $1) == ("" ENVIRON["NAME"]) { name = $2; found = 1; exit }
		END { print found ? name : ENVIRON["NAME"] }'
}

# /tmp/plan: for each dump its file, the database it is of, the name it gets; a line each.
plan_databases() {
	: >/tmp/plan
	: >/tmp/sources
	: >/tmp/targets
	while IFS= read -r file; do
		pg_restore -l "$dumps/files/$file" >/tmp/toc 2>/tmp/toc.err || toc_failed "$file"
		name=$(sed -n 's/^;     dbname: //p' /tmp/toc | head -n 1)
		printf '%s\n' "$name" >>/tmp/sources
		target_of "$name" >>/tmp/targets
		printf '%s\n%s\n%s\n' "$file" "$name" "$(target_of "$name")" >>/tmp/plan
	done <"$dumps/list"
}

check_plan() {
	there=$(paste -s -d ' ' /tmp/sources)
	printf '%s' "${DATABASES:-}" | cut -f 1 | sed '/^$/d' >/tmp/mapped
	while IFS= read -r name; do
		grep -qxF -- "$name" /tmp/sources || fail "$EXIT_MISCONFIGURED" load \
			"the entry's \"databases\" names $name, which no dump is of; there are: $there"
	done </tmp/mapped
	twice=$(sort /tmp/targets | uniq -d | head -n 1)
	[ -z "$twice" ] || fail "$EXIT_MISCONFIGURED" load \
		"two dumps would become database $twice; hint: name them apart in the entry's \"databases\""
	! grep -qxE 'template[01]' /tmp/targets || fail "$EXIT_MISCONFIGURED" load \
		"a dump cannot be loaded as template0 or template1; hint: give it another name in the entry's \"databases\""
}

# --- one database

# Everything that a dump says of its database itself, as SQL that names it as the source did.
list_properties() { # FILE
	pg_restore -l "$dumps/files/$1" | grep -E '^[0-9]+; [0-9]+ [0-9]+ (DATABASE|DATABASE PROPERTIES|(ACL|COMMENT|SECURITY LABEL) - DATABASE) ' \
		>/tmp/list || :
	pg_restore --create -L /tmp/list -f - "$dumps/files/$1" >/tmp/properties 2>/tmp/toc.err || toc_failed "$1"
}

# Encoding and locale are those of the source. Tablespaces are not.
create_database() { # NAME
	options=$(sed -n 's/^CREATE DATABASE .* WITH TEMPLATE = template0 \(.*\);$/\1/p' /tmp/properties | head -n 1 |
		sed 's/ *TABLESPACE = \("[^"]*"\|[^ ]*\)//')
	printf '%s\n' "$options" | grep -qE "^([A-Z_]+ = ('[^']*'|[a-z]+) ?)*$" || load_failed \
		"database $1: its dump makes it with $options, which is not understood"
	TO=$1
	export TO
	sql <<-SQL && return
	\\set name \`printf %s "\$TO"\`
	DROP DATABASE IF EXISTS :"name";
	CREATE DATABASE :"name" TEMPLATE template0 $options;
	SQL
	locale=$(sed -n 's/.*ERROR: .*locale \(name: \|name \)\{0,1\}"\([^"]*\)".*/\2/p' /tmp/psql.err | head -n 1)
	[ -z "$locale" ] || locale_failed "locale $locale that database $1 wants"
	blame_server
	load_failed "database $1 cannot be made: $(psql_error)"
}

# Owner, rights, settings and comment of the database that was made last, under its new name. What psql could take for a command of its own
# is left out.
set_properties() { # NAME
	known_as=$(sed -n 's/^CREATE DATABASE \(.*\) WITH TEMPLATE = template0 .*/\1/p' /tmp/properties | head -n 1)
	here_as=$(sql <<-'SQL'
	\set name `printf %s "$TO"`
	SELECT quote_ident(:'name');
	SQL
	)
	KNOWN=" DATABASE $known_as " HERE=" DATABASE $here_as " awk '
		/^(ALTER|GRANT|REVOKE|COMMENT ON) / && /;$/ && !/\\/ && (at = index($0, ENVIRON["KNOWN"])) {
			print substr($0, 1, at - 1) ENVIRON["HERE"] substr($0, at + length(ENVIRON["KNOWN"]))
		}' /tmp/properties >/tmp/properties.sql
	psql -X -q -f /tmp/properties.sql >/dev/null 2>/tmp/psql.err || :
	count_warnings "database $1" 'ERROR:' /tmp/psql.err
}

# What the server itself failed of comes before what pg_restore makes of it.
blame_server() {
	words=$(said 'process .*terminated by signal (7|9|10|15):')
	[ -z "$words" ] || fail "$EXIT_NODE_FAILED" load "a process of the server was killed, the node is to blame and not the backup: $words"
	words=$(said '(PANIC|FATAL|ERROR): .*(No space left on device|Disk quota exceeded)')
	[ -z "$words" ] || fail "$EXIT_VOLUME_FULL" load "the volume is full: $words"
	is_running "$server" || fail "$EXIT_NODE_FAILED" load "the server ended while it loaded: $(tail -n 1 "$server_log")"
}

# A name as libpq wants it in a connection string.
connection_to() { # NAME
	printf "dbname='%s'" "$(printf '%s' "$1" | sed "s/[\\\\']/\\\\&/g")"
}

# As a plain session: what pg_restore does has to have its effect. Only a verbose one shows the warnings of the server. What is kept in
# /tmp/load.said are first lines: behind them is data. Majors before 12 put [archiver] or the like in the place of "error:".
run_pg_restore() { # FILE NAME [OPTION]...
	restored_file=$dumps/files/$1 restored_to=$(connection_to "$2")
	shift 2
	PGOPTIONS='-c log_error_verbosity=terse' pg_restore --verbose --no-tablespaces "$@" -d "$restored_to" "$restored_file" \
		</dev/null >/tmp/load.log 2>&1 3>&- &
	loader=$!
	while is_running "$loader"; do
		watch_movement
		sleep 0.5
	done
	load_status=0
	wait_for "$loader" || load_status=$?
	grep -E '^pg_restore: (error:|warning:|WARNING:|\[)' /tmp/load.log >/tmp/load.said || :
	cat /tmp/load.said >&2
	return "$load_status"
}

# Roles that no globals.sql has named, from an attempt without data: they own and are granted what they did, and can do nothing else. Any
# of them may have been a superuser.
make_missing_roles() { # FILE NAME
	create_database "$2"
	run_pg_restore "$1" "$2" --schema-only || :
	sed -n 's/.*ERROR:  role "\(.*\)" does not exist.*/\1/p' /tmp/load.said | sort -u >/tmp/absent
	while IFS= read -r absent; do
		ROLE=$absent
		export ROLE
		sql <<-'SQL' >>/tmp/superusers || load_failed "role $absent: $(psql_error)"
		\set name `printf %s "$ROLE"`
		CREATE ROLE :"name" SUPERUSER;
		SELECT quote_ident(:'name');
		SQL
		note "role $absent was made without rights: the dump of database $2 names it, no globals.sql does"
	done </tmp/absent
	[ -s /tmp/absent ]
}

without_prefix() {
	sed 's/^pg_restore: \(error:\|\[[^]]*\]\) //'
}

# Rows: exit code, what pg_restore says, what it means.
explain_load() { # FILE NAME
	blame_server
	while IFS='|' read -r code pattern meaning; do
		line=$(grep -E -m 1 -- "$(printf '%s' "$pattern" | tr ';' '|')" /tmp/load.said | without_prefix)
		[ -z "$line" ] || fail "$code" load "database $2: $meaning: $line"
	done <<-ROWS
	$EXIT_NODE_FAILED|server closed the connection;terminating connection;connection to server .*failed|the connection to the server was lost
	$EXIT_EXTENSION_MISSING|could not open extension control file;extension .* is not available;could not access file;could not load library|the image lacks an extension, it is to blame and not the backup
	$EXIT_MISCONFIGURED|must be preloaded;shared_preload_libraries|an extension wants to be preloaded, which the settings do not allow
	$EXIT_LOCALE_MISSING|could not create locale;could not open collator|the image lacks a locale, it is to blame and not the backup
	$EXIT_INCOMPLETE|end of file;could not read from input;unexpected block;could not uncompress;could not decompress;could not find block;corrupt|dump $1 is cut short or damaged
	ROWS
	line=$(grep -m 1 'ERROR:' /tmp/load.said || grep -m 1 -v -i 'warning:' /tmp/load.said) || line="pg_restore ended with status $load_status"
	load_failed "database $2: dump $1 cannot be loaded: $(printf '%s' "$line" | without_prefix)"
}

load_database() { # FILE NAME
	create_database "$2"
	while ! run_pg_restore "$1" "$2" --exit-on-error --jobs="${CPU_LIMIT:-1}"; do
		grep -q 'ERROR:  role ".*" does not exist' /tmp/load.said || explain_load "$1" "$2"
		make_missing_roles "$1" "$2" || explain_load "$1" "$2"
		create_database "$2"
	done
	count_warnings "database $2" '(WARNING|warning):' /tmp/load.said
	set_properties "$2"
}

load_databases() {
	warnings=0
	make_roles
	plan_databases
	check_plan
	while IFS= read -r file && IFS= read -r name && IFS= read -r name_here; do
		list_properties "$file"
		load_database "$file" "$name_here"
		[ "$name" = "$name_here" ] || note "database $name of the dump is $name_here here"
	done </tmp/plan
	end_superusers
	fact load_warnings "$warnings"
	fact load_seconds "$(($(date +%s) - started_at))"
}

load_dumps() {
	stage=load
	held=$(find -L "$dumps/files" -type f 2>/dev/null | wc -l)
	if [ ! -f "$dumps/major" ] || [ "$held" != "${RESTORED_FILES:-$held}" ]; then
		fail "$EXIT_NODE_FAILED" load \
			"the restore left ${RESTORED_FILES:-some} files in $dumps, $held are there now: the volume is to blame and not the backup"
	fi
	major=$(cat "$dumps/major")
	find_programs
	check_server
	prepared_place=$pgdata
	pgdata=$loading
	make_cluster
	moving='^postgres: postgres \|^pg_restore'
	start_loading
	load_databases
	stop_server
	moving=
	initdb -D "$loading" --sync-only >/tmp/initdb.log 2>&1 || fail "$EXIT_NODE_FAILED" load "initdb --sync-only: $(tail -n 1 /tmp/initdb.log)"
	pgdata=$prepared_place
	mv "$loading" "$pgdata"
	sync /pgdata
}

[ -e "$pgdata" ] || load_dumps
rm -rf "$dumps"
