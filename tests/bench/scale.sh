#!/bin/bash
# ./build.sh bench scale
cd "$(dirname "$0")/../.." && exec /usr/bin/python3 tests/bench/scale.py build build/bench/scale.json
