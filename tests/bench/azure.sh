#!/bin/bash
# Backups in Azure Blob with the real azcopy from Azurite, which the tests have doubles of: npm brings 420 MB for them, which takes a
# minute. Fails when a check does. Needs root, and port 443 of 127.0.0.8 and 127.0.0.9.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=build/bench/npm
mkdir -p "$folder"
npm install --prefix "$folder" --omit=dev --ignore-scripts --no-audit --no-fund azurite@3.37.0 @azure-tools/azcopy-linux@10.32.2 \
	>"$folder/log" 2>&1 || { tail -n 20 "$folder/log" >&2; exit 1; }
tests/builders/test_script_azure.sh "$PWD/build/builders" "$PWD/$folder/node_modules" | tee build/bench/azure.tap
