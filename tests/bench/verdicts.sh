#!/bin/bash
# ./build.sh bench verdicts
cd "$(dirname "$0")/../.." && tests/bench/images.sh build/images && exec /usr/bin/python3 tests/bench/verdicts.py build build/images build/bench/verdicts.json
