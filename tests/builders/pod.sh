# shellcheck shell=bash
# A command as a container of a restricted pod would run it: root file system read-only, uid 999 without a passwd entry, no capability,
# first process of its own pid namespace, volumes where the pod wants them. To be sourced by bash; needs root and bubblewrap.
# Reads $work (with its repository and busybox's tools) and $pod_path.

# The environment comes on stdin, one NAME=VALUE a line. DIRECTORY holds pgdata, run and message, which become /pgdata, /run/understory
# and /dev/termination-log, and perhaps scripts (which become /scripts), recorders (programs that come first in PATH), backup (which becomes
# /backup, read-only), tls (which becomes /run/understory-tls), psql and postgres (in the place of the real ones), passwd and hosts.
pod() { # DIRECTORY COMMAND...
	local directory=$1 variable options=()
	shift
	[ ! -d "$directory/scripts" ] || options+=(--ro-bind "$directory/scripts" /scripts)
	[ ! -d "$directory/recorders" ] || options+=(--ro-bind "$directory/recorders" /recorders)
	[ ! -e "$directory/passwd" ] || options+=(--ro-bind "$directory/passwd" /etc/passwd)
	[ ! -e "$directory/hosts" ] || options+=(--ro-bind "$directory/hosts" /etc/hosts)
	[ ! -e "$directory/psql" ] || options+=(--ro-bind /usr/lib/postgresql/15/bin/psql /real-psql
		--ro-bind "$directory/psql" /usr/lib/postgresql/15/bin/psql)
	[ ! -d "$directory/backup" ] || options+=(--ro-bind "$directory/backup" /backup)
	[ ! -e "$directory/tls" ] || options+=(--ro-bind "$directory/tls" /run/understory-tls)
	[ ! -e "$directory/postgres" ] || options+=(--ro-bind "$directory/postgres" /usr/lib/postgresql/15/bin/postgres)
	while IFS= read -r variable; do
		options+=(--setenv "${variable%%=*}" "${variable#*=}")
	done
	# shellcheck disable=SC2154 # the caller's
	exec bwrap --unshare-pid --as-pid-1 --unshare-ipc --unshare-uts --die-with-parent --new-session \
		--ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/sbin /sbin --symlink usr/lib /lib --symlink usr/lib64 /lib64 \
		--ro-bind /etc /etc --proc /proc --dev /dev --perms 1777 --tmpfs /dev/shm --perms 1777 --tmpfs /tmp --tmpfs /run \
		--bind "$directory/pgdata" /pgdata --bind "$directory/run" /run/understory --bind "$directory/message" /dev/termination-log \
		--ro-bind "$work/repository" /repository --ro-bind "$work/busybox" /busybox --chdir / \
		--clearenv --setenv HOME /tmp --setenv PATH "$pod_path" "${options[@]}" --remount-ro / \
		--cap-drop ALL --cap-add CAP_SETUID --cap-add CAP_SETGID --cap-add CAP_SETPCAP \
		/usr/bin/setpriv --reuid=999 --regid=999 --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs -- "$@"
}

# An empty pod: its volumes and its termination message.
pod_new() { # DIRECTORY
	mkdir -p "$1/pgdata" "$1/run"
	: >"$1/message"
	chown -R 999:999 "$1"
}
