#!/bin/bash
# ./build.sh bench skeleton
cd "$(dirname "$0")/../.." && exec /usr/bin/python3 tests/bench/skeleton.py build build/bench/skeleton.json
