# shellcheck shell=sh
# What prepare found, kept on the volume: a pod that is made again says the same. facts: members of the message, one a line;
# prepared (what was disarmed), repaired and notes: lists, one text a line.
fact() { # KEY JSON
	grep -qs "^\"$1\":" /pgdata/facts || printf '"%s":%s\n' "$1" "$2" >>/pgdata/facts
}

find_out() { # LIST TEXT
	grep -qsxF -- "$2" "/pgdata/$1" || printf '%s\n' "$2" >>"/pgdata/$1"
}

disarm() { # WHAT
	find_out prepared "$1"
}

note() { # TEXT
	find_out notes "$1"
}

# A list as ,"KEY":[...] in at most about BYTES, with ,"KEY_more":N for what had no room.
json_list() { # KEY LIST BYTES
	[ -s "/pgdata/$2" ] || return 0
	tr '\001-\011\013-\037\177' ' ' <"/pgdata/$2" | tr '\200-\377' '?' | cut -c 1-300 | sed 's/["\\]/\\&/g' |
		awk -v key="$1" -v room="$3" '
			{ room -= length($0) + 3 }
			room < 0 { more++; next }
			{ items = items (items == "" ? "" : ",") "\"" $0 "\"" }
			END { printf ",\"%s\":[%s]", key, items; if (more) printf ",\"%s_more\":%d", key, more }'
}

# All that is known so far, behind what the message begins with. A termination message holds 4096 bytes, and an error has 1000.
findings() {
	[ ! -s /pgdata/facts ] || printf ',%s' "$(paste -s -d , /pgdata/facts)"
	json_list disarmed prepared 1000
	json_list repaired repaired 600
	json_list notes notes 500
}
more=findings
