#!/usr/bin/env python3
"""The Ninja targets that the tests of one suite need, one a line: so that a build folder need not hold all.

usage: suite_targets.py BUILD_FOLDER SUITE
"""
import json
import os
import subprocess
import sys


def introspect(folder, what):
    return json.loads(subprocess.run(["meson", "introspect", folder, what], check=True, stdout=subprocess.PIPE).stdout)


def main():
    folder, suite = sys.argv[1:]
    files = {target["id"]: target["filename"] for target in introspect(folder, "--targets")}
    built = {name for names in files.values() for name in names}
    wanted = set()
    for test in introspect(folder, "--tests"):
        if not any(name.split(":")[-1] == suite for name in test["suite"]):
            continue
        wanted.update(name for name in test["cmd"][:1] if name in built)
        wanted.update(name for target in test["depends"] for name in files[target])
    if not wanted:
        sys.exit(f"no test of the suite {suite}")
    for name in sorted(wanted):
        print(os.path.relpath(name, os.path.abspath(folder)))


main()
