#!/bin/bash
# ./build.sh bench page
cd "$(dirname "$0")/../.." && exec /usr/bin/python3 tests/bench/page.py build build/bench/page.json
