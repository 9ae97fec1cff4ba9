#!/usr/bin/env python3
"""The include rule: base <- k8s, canopy <- builders <- reconciler; fixtures know base alone. Speaks TAP.

usage: test_includes.py SOURCE_ROOT
"""
import pathlib
import re
import sys

ALLOWED = {
    "base": {"base"},
    "k8s": {"base", "k8s"},
    "canopy": {"base", "canopy"},
    "builders": {"base", "canopy", "builders"},
    "reconciler": {"base", "k8s", "canopy", "builders", "reconciler"},
    "fixtures": {"base", "fixtures"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def offences(room, text):
    for path in INCLUDE.findall(text):
        first = path.split("/")[0]
        if "/" not in path or first not in ALLOWED[room]:
            yield path


def main():
    root = pathlib.Path(sys.argv[1])
    print(f"1..{len(ALLOWED) + 1}")
    bad = False
    for number, room in enumerate(ALLOWED, 1):
        files = sorted((root / room).rglob("*.[ch]"))
        found = [f"{f.relative_to(root)}: {p}" for f in files for p in offences(room, f.read_text())]
        good = bool(files) and not found
        bad |= not good
        print(f"{'ok' if good else 'not ok'} {number} - {room} includes only {', '.join(sorted(ALLOWED[room]))}")
        for line in found or ([] if files else [f"no file in {room}"]):
            print(f"# {line}")
    # The check itself must be able to fail.
    caught = list(offences("base", '#include "k8s/client.h"\n')) == ["k8s/client.h"]
    print(f"{'ok' if caught else 'not ok'} {len(ALLOWED) + 1} - an include that runs upwards is seen")
    return 1 if bad or not caught else 0


sys.exit(main())
