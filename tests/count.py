#!/usr/bin/env python3
"""Add up what the test runs reported (JUnit files of Meson) and say it in one line.

usage: count.py BUILD_FOLDER...
Exit 1 when anything failed, when nothing ran, or, with CI=true, when anything was skipped.
"""
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


def main():
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for folder in sys.argv[1:]:
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
