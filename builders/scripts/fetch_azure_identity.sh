# shellcheck shell=sh
# From Azure Blob by workload identity, with azcopy. What `azcopy login` gets lies in the keyring of its session, which a container has
# not: each azcopy logs in for itself, and the login before them says what is wrong with the identity alone. Never --identity: that is
# the machine's.
export AZCOPY_AUTO_LOGIN_TYPE=WORKLOAD AZCOPY_LOG_LOCATION=/tmp/azcopy AZCOPY_JOB_PLAN_LOCATION=/tmp/azcopy AZCOPY_DISABLE_SYSLOG=true
[ -z "${S3_CA_FILE:-}" ] || export SSL_CERT_FILE="$S3_CA_FILE"
place=$AZURE_ENDPOINT/$AZURE_CONTAINER/$(printf '%s/' "$S3_PREFIX" | sed -e 's|//*|/|g' -e 's|^/||')

log_in() {
	[ -n "${AZURE_FEDERATED_TOKEN_FILE:-}" ] || fail "$EXIT_ACCESS_REFUSED" restore "the pod has no workload identity: the webhook of Azure \
Workload Identity did not see it, or is not in this cluster"
	run_engine azcopy login --login-type=workload || explain <<-ROWS
	$EXIT_ACCESS_REFUSED AADSTS|invalid_client|unauthorized_client
	ROWS
}

need_folder() { # FOLDER
	run_engine azcopy list "$place$1" --machine-readable || explain_store
	grep -q '; Content Length' "$log" || fail "$EXIT_SNAPSHOT_GONE" restore "$AZURE_CONTAINER holds nothing in folder ${place#*"/$AZURE_CONTAINER/"}$1"
}

# azcopy's patterns are of names alone.
fetch() { # FOLDER PATTERN...
	folder=${1:+$1/}
	shift
	names=
	is_deep=false
	for pattern; do
		case $pattern in
		*/*) is_deep=true ;;
		esac
		names="$names${names:+;}${pattern##*/}"
	done
	run_engine azcopy copy "$place$folder*" "$fetched" --from-to=BlobLocal --include-pattern "$names" --recursive="$is_deep" \
		--skip-version-check --output-level=essential --log-level=NONE || explain_store
}

version_of_fetch() {
	azcopy --version | cut -d ' ' -f 1,3
}
log_in
