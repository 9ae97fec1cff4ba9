#!/bin/bash
# ./build.sh bench engines
cd "$(dirname "$0")/../.." && exec /usr/bin/python3 tests/bench/engines.py build build/bench/engines.json
