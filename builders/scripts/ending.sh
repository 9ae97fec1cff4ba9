# shellcheck shell=sh
# An end that nobody foresaw has a message too. Each script says where it stands in $stage.
unexpected_end() {
	end_status=$?
	if [ "$end_status" -ne 0 ] && [ ! -s /dev/termination-log ]; then
		printf '{"error":"the script ended with status %d, the log has more","stage":"%s"}\n' \
			"$end_status" "$stage" >/dev/termination-log
	fi
}
trap unexpected_end EXIT
