#!/bin/bash
# ./build.sh bench restore
cd "$(dirname "$0")/../.." && exec /usr/bin/python3 tests/bench/restore.py build build/bench/restore.json
