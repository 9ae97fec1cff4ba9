#!/usr/bin/python3
"""Metrics, Events, alerts, runbook and dashboard say the same. TAP.

usage: test_observability.py SOURCE_ROOT PRINT_METRICS
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True  # the source folder stays as it was
sys.path.insert(0, str(HERE))
import metrics_page
import rules
import tap

ROOT = pathlib.Path(sys.argv[1])
PAGE = metrics_page.page_of(sys.argv[2])
ALERTS, RUNBOOK, DASHBOARD = ROOT / "ops/alerts.yaml", ROOT / "ops/runbook.md", ROOT / "ops/dashboard.json"
THERE = metrics_page.names(PAGE) | {"ALERTS"}
# Words of the query language that a name of a metric cannot be told from by their shape alone.
NAME = re.compile(r"\b(?:understory|workqueue|controller_runtime|rest_client|leader_election|process)_[a-z0-9_]+\b")
LABELS = re.compile(r'\{[^}]*\}')


def metrics_of(query):
    return set(NAME.findall(LABELS.sub("", query)))


def promtool(*arguments, given=None):
    done = subprocess.run(["promtool", *arguments], input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return None if done.returncode == 0 else done.stdout


def check_metrics():
    tap.check("promtool accepts the page", promtool("check", "metrics", given=PAGE))
    tap.check("docs/metrics.md is what tests/ops/metrics_page.py makes of it",
              None if (ROOT / "docs/metrics.md").read_text() == metrics_page.document(PAGE) else "it differs: make it anew")
    without = [name for name, (_, labels, _) in metrics_page.families(PAGE).items() if labels is None]
    tap.check("every family has a series from the start", [n for n in without if n not in metrics_page.LATER])
    bad = promtool("check", "metrics", given=PAGE.replace("_total counter", "_total gauge", 1))
    tap.check("and would not accept another", None if bad else "a counter called a gauge was accepted")


# --- alerts

# Values of series over time, in steps of 30 s, and whether the alert fires at the end. Silent: a condition that is shorter than the
# alert waits for, or a value that is as it should be.
LONG, SHORT = 40, 3
TICK, SUCCESS = "understory_last_tick_timestamp_seconds", "understory_worklist_last_success_timestamp_seconds"


def hold(*parts):
    """(value, how often), one after another; promtool's own 0x3 may be 0 0 0 0 or hexadecimal."""
    return " ".join(" ".join([str(value)] * times) for value, times in parts)


def flat(name, quiet, then, steps):
    return {name: hold((quiet, 2 * LONG - steps), (then, steps))}


def clock(name, until):
    """A time that is kept up to date until this step, and then stands."""
    return {name: " ".join(str(30 * min(step, until)) for step in range(2 * LONG))}


CASES = [
    ("UnderstoryDown", {'understory_build_info{instance="a"}': hold((1, LONG), ("stale", 1), ("_", LONG))}, True),
    ("UnderstoryDown", {'understory_build_info{instance="a"}': hold((1, LONG), ("stale", 1), ("_", 3), (1, LONG))}, False),
    ("UnderstoryNoLeader", {'understory_leader{instance="a"}': hold((1, LONG), (0, LONG)), 'understory_leader{instance="b"}':
                            hold((0, 2 * LONG))}, True),
    ("UnderstoryNoLeader", {'understory_leader{instance="a"}': hold((1, LONG), (0, LONG)), 'understory_leader{instance="b"}':
                            hold((0, LONG + 2), (1, LONG - 2))}, False),
    ("UnderstoryPassesStuck", {"understory_leader": hold((1, 2 * LONG)), **clock(TICK, LONG)}, True),
    ("UnderstoryPassesStuck", {'understory_leader{instance="a"}': hold((0, 2 * LONG)), **clock(TICK + '{instance="a"}', 0),
                               'understory_leader{instance="b"}': hold((1, 2 * LONG)), **clock(TICK + '{instance="b"}', 2 * LONG)}, False),
    ("UnderstoryPassesStuck", {"understory_leader": hold((1, 2 * LONG)), **clock(TICK, 2 * LONG)}, False),
    ("UnderstoryWorklistStale", {"understory_leader": hold((1, 2 * LONG)), **clock(TICK, 2 * LONG), **clock(SUCCESS, LONG)}, True),
    ("UnderstoryWorklistStale", {"understory_leader": hold((1, 2 * LONG)), **clock(TICK, 2 * LONG), **clock(SUCCESS, 2 * LONG)}, False),
    ("UnderstoryWorklistEntriesUnreadable", flat("understory_worklist_unreadable_entries", 0, 1, LONG), True),
    ("UnderstoryWorklistEntriesUnreadable", flat("understory_worklist_unreadable_entries", 0, 1, SHORT), False),
    ("UnderstoryTeardownsHeld", flat("understory_teardowns_held", 0, 5, 2), True),
    ("UnderstoryTeardownsHeld", {"understory_teardowns_held": hold((5, LONG), (0, LONG))}, False),
    ("UnderstoryReportsOwed", flat("understory_reports_owed", 0, 1, LONG), True),
    ("UnderstoryReportsOwed", {"understory_reports_owed": " ".join("0101"[step % 4] for step in range(2 * LONG))}, False),
    ("UnderstoryReportRefused", flat('understory_reports_total{result="refused"}', 0, 1, LONG), True),
    ("UnderstoryReportRefused", flat('understory_reports_total{result="failed"}', 0, 9, LONG), False),
    ("UnderstoryBackupDoesNotRestore", flat("understory_replicas_given_up", 0, 1, LONG), True),
    ("UnderstoryBackupDoesNotRestore", flat("understory_replicas_given_up", 1, 0, LONG), False),
    ("UnderstoryReplicaUnavailable", flat("understory_replicas_unavailable", 0, 1, LONG), True),
    ("UnderstoryReplicaUnavailable", flat("understory_replicas_unavailable", 0, 1, SHORT), False),
    ("UnderstoryCredentialsRefused", flat("understory_replicas_credentials_refused", 0, 2, LONG), True),
    ("UnderstoryCredentialsRefused", flat("understory_replicas_credentials_refused", 0, 2, SHORT), False),
    ("UnderstoryForeignNamespace", flat("understory_foreign_namespaces", 0, 1, LONG), True),
    ("UnderstoryForeignNamespace", flat("understory_foreign_namespaces", 0, 1, SHORT), False),
    ("UnderstoryWatchStuck", flat('understory_watch_following{resource="jobs"}', 1, 0, LONG), True),
    ("UnderstoryWatchStuck", flat('understory_watch_following{resource="jobs"}', 1, 0, SHORT), False),
    ("UnderstoryReplicasErring", {**flat("understory_replicas_erring", 0, 2, LONG), "understory_reports_owed": hold((0, 2 * LONG))}, True),
    ("UnderstoryReplicasErring", {**flat("understory_replicas_erring", 0, 2, SHORT), "understory_reports_owed": hold((0, 2 * LONG))}, False),
    ("UnderstoryReplicasErring", {**flat("understory_replicas_erring", 0, 2, 20), **flat("understory_reports_owed", 0, 2, 20)}, False),
]
# In steps of an hour.
DAYS = [
    ("UnderstoryNothingVerified", {'understory_last_verified_timestamp_seconds{intent="verify"}': hold((1, 80))}, True),
    ("UnderstoryNothingVerified", {'understory_last_verified_timestamp_seconds{intent="verify"}':
                                   " ".join(str(step // 24 * 86400) for step in range(80))}, False),
    ("UnderstoryNothingVerified", {'understory_last_verified_timestamp_seconds{intent="verify"}':  # a new process knows of none
                                   " ".join(str(step // 24 * 86400 if step % 24 < 6 else 0) for step in range(80))}, False),
]


def promtool_cases(cases, last):
    """Of all alerts but the one about everything: that it is absent is no news where it was never there."""
    for alert, series, fires in cases:
        here = series if alert == "UnderstoryDown" else {**series, "understory_build_info": hold((1, last))}
        yield f"{alert} {'fires' if fires else 'is silent'}", here, [(None, last - 1, {alert} if fires else set())]


def check_alerts():
    found = rules.alerts(ALERTS)
    tap.check("promtool accepts the rules", promtool("check", "rules", str(ALERTS)))
    used = {name: metrics_of(rule["expr"]) for name, rule in found.items()}
    tap.check("every metric of an alert exists", [f"{n}: {m}" for n, ms in used.items() for m in ms - THERE])
    tap.check("every alert uses a metric of ours", [n for n, ms in used.items() if not ms])
    text = RUNBOOK.read_text()
    entries = re.findall(r"^## (\S+)$", text, re.MULTILINE)
    tap.check("every alert has its entry in the runbook, in the same order", None if entries == list(found) else (entries, list(found)))
    tap.check("each entry says what it means, how to look, what to do",
              [title for title, body in re.findall(r"^## (\S+)$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
               if not re.search(r"\*\*Means:\*\*.*\*\*Look:\*\*.*\*\*Do:\*\*", body, re.DOTALL)])
    tap.check("each alert leads to its entry", [n for n, rule in found.items()
                                                 if rule["annotations"].get("runbook_url") != f"runbook.md#{n.lower()}"])
    tap.check("each alert says how urgent it is, and what it is",
              [n for n, rule in found.items() if rule["labels"] not in ({"severity": "critical"}, {"severity": "warning"})
               or rule["annotations"].keys() != {"summary", "description", "runbook_url"}])
    for what, fires in (("fires", True), ("is silent", False)):
        tap.check(f"each alert has a case in which it {what}", found.keys() - {a for a, _, f in CASES + DAYS if f == fires})
    tap.check("the cases: steps of 30 s", rules.test(ALERTS, 30, promtool_cases(CASES, 2 * LONG)))
    tap.check("the cases: steps of an hour", rules.test(ALERTS, 3600, promtool_cases(DAYS, 80)))
    series = {"understory_build_info": "1+0x80", "understory_reports_owed": "1+0x80"}
    tap.check("a wrong expectation is seen", None if rules.test(ALERTS, 30, [("", series, [(None, 79, set())])]) else "it was not")


def check_names():
    """The runbook and README name metrics too."""
    for path in (RUNBOOK, ROOT / "README.md"):
        tap.check(f"{path.name}: every metric that it names exists", metrics_of(path.read_text()) - THERE)


# --- Events

# In a call that sends one, a reason is a word like these, but neither a kind nor an action.
CALL = re.compile(r'\b(?:events_send|step_say|say)\(([^;{]*"[^;{]*)\);')
NO_REASONS = {"Job", "Deployment", "Report", "Teardown", "Reconcile"}


def check_events():
    sources = [path.read_text() for path in sorted((ROOT / "reconciler").glob("*.c"))]
    sent = {word for text in sources for call in CALL.findall(text) for word in re.findall(r'"([A-Z]\w+)"', call)} - NO_REASONS
    documented = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/events.md").read_text(), re.MULTILINE))
    tap.check(f"docs/events.md names each of the {len(sent)} reasons of Events", sent - documented if len(sent) > 10 else sent)
    tap.check("and no other", documented - sent)
    named = set(re.findall(r"reason=(\w+)", RUNBOOK.read_text()))
    tap.check("the runbook looks for Events that there are", named - sent if named else "it names none")


# --- dashboard

def panels(thing):
    for panel in thing.get("panels", []):
        yield panel
        yield from panels(panel)


def check_dashboard():
    board = json.loads(DASHBOARD.read_text())
    queries = [(panel["title"], target["expr"]) for panel in panels(board) for target in panel.get("targets", [])]
    variables = {v["name"]: v for v in board["templating"]["list"]}
    tap.check("dashboard: it asks for the data source", None if variables.get("datasource", {}).get("query") == "prometheus" else variables)
    tap.check("dashboard: every panel takes the one that is chosen",
              [panel["title"] for panel in panels(board) if panel["type"] != "row" and
               (panel.get("datasource") != {"type": "prometheus", "uid": "${datasource}"} or not panel.get("targets"))])
    tap.check("dashboard: every metric exists", [f"{title}: {m}" for title, q in queries for m in metrics_of(q) - THERE])
    tap.check("dashboard: every query uses a metric of ours", [title for title, q in queries if not metrics_of(q) and "ALERTS" not in q])
    tap.check("dashboard: no panel twice, none on another", overlaps(list(panels(board))))
    asks = [{"record": f"panel:{n}", "expr": q.replace("$__rate_interval", "5m")} for n, (_, q) in enumerate(queries)]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump({"groups": [{"name": "dashboard", "rules": asks}]}, file)
        file.flush()
        tap.check(f"dashboard: promtool understands its {len(queries)} queries", promtool("check", "rules", file.name))
    own = {name for name in metrics_page.families(PAGE) if name.startswith("understory_")}
    asked = [q for _, q in queries] + [rule["expr"] for rule in rules.alerts(ALERTS).values()]
    shown = set().union(*map(metrics_of, asked))
    shown = {re.sub("_(bucket|sum|count)$", "", m) for m in shown}
    tap.check("every metric of understory is on the dashboard or in an alert", own - shown)


def overlaps(found):
    ids = [panel["id"] for panel in found]
    if len(set(ids)) != len(ids):
        return f"ids {ids}"
    spots = {}
    for panel in found:
        at = panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                if x > 23 or spots.setdefault((x, y), panel["title"]) != panel["title"]:
                    return f"{panel['title']} on {spots[x, y]}"
    return None


check_metrics()
check_alerts()
check_names()
check_events()
check_dashboard()
sys.exit(tap.end())
