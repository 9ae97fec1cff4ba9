# shellcheck shell=sh
# Who may come in. The socket is in a volume of this pod alone; more lines come from the caller.
write_hba() { # LINE...
	printf '%s\n' 'local all all trust' "$@" >"$run/pg_hba.conf"
}
