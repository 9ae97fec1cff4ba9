#!/bin/bash
# ./build.sh bench proxy
cd "$(dirname "$0")/../.." || exit 1
for program in nginx haproxy openssl; do
	command -v "$program" >/dev/null || { echo "bench proxy: $program is missing; packages: nginx-light haproxy openssl" >&2; exit 1; }
done
exec /usr/bin/python3 tests/bench/proxy.py build build/bench/proxy.json
