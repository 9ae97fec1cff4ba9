#!/usr/bin/env python3
"""Add up what the test runs reported (JUnit files of Meson) and say it in one line.

usage: count.py [--faults FILE.json] BUILD_FOLDER...
--faults: each life of tests/fault/faults.py --all counts as one test, and a run that did not come to its end as one that failed.
Exit 1 when anything failed, when nothing ran, or, with CI=true, when anything was skipped.
"""
import json
import os
import sys
import xml.etree.ElementTree as ET


def cases(folder):
    path = os.path.join(folder, "meson-logs", "testlog.junit.xml")
    for suite in ET.parse(path).getroot().iter("testsuite"):
        for case in suite.iter("testcase"):
            yield suite.get("name", ""), case


def verdict(case):
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def count_faults(path, counts):
    try:
        with open(path) as file:
            figures = json.load(file)
    except OSError as error:
        figures = {"cycles": 0, "failed": 0, "failures": [], "is_whole": False}
        print(f"failed: {error}")
    counts["passed"] += figures["cycles"] - figures["failed"]
    counts["failed"] += figures["failed"] + (not figures["is_whole"])
    for row in figures["failures"]:
        print(f"failed: {row['case']}")


def main():
    counts, folders = {"passed": 0, "failed": 0, "skipped": 0}, sys.argv[1:]
    if folders[:1] == ["--faults"]:
        count_faults(folders[1], counts)
        folders = folders[2:]
    for folder in folders:
        for suite, case in cases(folder):
            kind = verdict(case)
            counts[kind] += 1
            if kind != "passed":
                print(f"{kind}: {folder}: {suite}: {case.get('name')}")
    tail = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    print(f"{counts['passed']} passed, {counts['failed']} failed{tail}")
    in_ci = os.environ.get("CI") == "true"
    bad = counts["failed"] or not counts["passed"] or (in_ci and counts["skipped"])
    return 1 if bad else 0


sys.exit(main())
