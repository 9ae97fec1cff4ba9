# shellcheck shell=sh
# The way of rclone (fetch_rclone) to Azure Blob by a SAS: it takes the URL from its environment. azcopy takes one from its arguments
# alone, where others see it.
check_sas
container=$AZURE_CONTAINER
RCLONE_CONFIG_STORE_TYPE=azureblob
RCLONE_CONFIG_STORE_SAS_URL="$AZURE_ENDPOINT/$AZURE_CONTAINER?${AZURE_SAS_TOKEN#\?}"
export RCLONE_CONFIG_STORE_TYPE RCLONE_CONFIG_STORE_SAS_URL

# What rclone says of a request that did not come through holds the URL whole.
shown_by=without_signatures

# All that rclone says of a container that is not there.
explain_rclone() {
	! grep -q 'directory not found' "$log" || no_container
	explain_store
}
