# shellcheck shell=sh
# Who may come in. The socket is in a volume of this pod alone; LINE is for other hosts, "" for none of them.
write_hba() { # LINE
	printf 'local all all trust\n%s\n' "$1" >"$run/pg_hba.conf"
}
