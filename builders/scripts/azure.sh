# shellcheck shell=sh
# Azure Blob, by a shared access signature (SAS) or an identity. A SAS is the query of a URL, of which `sig` is the secret and `se` says
# when it ends.
permission_hint="hint: a SAS needs the permissions r and l; an identity the role Storage Blob Data Reader for the container, and the pod \
its own identity: that of the machine has no such role"

# What a tool says may hold the URL.
without_signatures() {
	awk '{ gsub(/sig=[^&" ]*/, "sig=***"); print; fflush() }'
}

# Azure says of one that has ended no more than that it is refused. Times are in UTC and their texts in the order of time, whether they
# are given to the day, the minute or the second.
sas_has_ended() {
	sas_ends=$(printf '&%s' "${AZURE_SAS_TOKEN:-}" | sed -n -e 's/%3[Aa]/:/g' -e 's/.*[&?]se=\([^&]*\).*/\1/p')
	[ -n "$sas_ends" ] && awk -v ends="$sas_ends" -v now="$(date -u +%Y-%m-%dT%H:%M:%SZ)" 'BEGIN { exit !(ends < now) }'
}

check_sas() {
	! sas_has_ended || fail "$EXIT_CREDENTIALS_EXPIRED" restore "the SAS has ended at $sas_ends"
}

# By Azure's own code, as rclone and azcopy show it.
explain_store() {
	code=$(sed -n -e 's/.*ServiceCode=\([A-Za-z]*\).*/\1/p' -e 's/^ERROR CODE: \([A-Za-z]*\).*/\1/p' "$log" | tail -n 1)
	case $code in
	AuthorizationPermissionMismatch) fail "$EXIT_ACCESS_REFUSED" restore "Azure Blob refuses: $code; $permission_hint" ;;
	Auth* | InsufficientAccountPermissions | NoAuthenticationInformation | PublicAccessNotPermitted | AccountIsDisabled)
		check_sas
		fail "$EXIT_ACCESS_REFUSED" restore "Azure Blob refuses: $code"
		;;
	ContainerNotFound) no_container ;;
	esac
	! grep -q "lookup ${AZURE_ACCOUNT}[.].*no such host" "$log" ||
		fail "$EXIT_REPOSITORY_GONE" restore "there is no storage account $AZURE_ACCOUNT: the name of its host is not known"
	explain <<-ROWS
	$EXIT_VOLUME_FULL no space left on device|disk quota exceeded
	1 dial tcp|x509:
	ROWS
}

no_container() {
	fail "$EXIT_REPOSITORY_GONE" restore "there is no container $AZURE_CONTAINER in storage account $AZURE_ACCOUNT"
}
