#!/usr/bin/env python3
"""Wrong worklists in front of replicas that serve: what must not be torn down stays, and what may go goes. Speaks TAP.

Nothing is restored: there is no node. Each scenario has stand-ins and an operator of its own, and they run beside one another, since most of
their time is waiting for passes. That a hold ends after two minutes is not waited for: the operator is ended, its ConfigMap is made to say
that the hold has lasted almost so long, and the next operator goes on with it.

usage: brake.py BUILD_FOLDER [SCENARIO...]
"""
import concurrent.futures
import json
import pathlib
import re
import signal
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
import replicas
from stage import OPERATOR_NAMESPACE, P, Stage, call, entry, namespace, wait_until

MERGE = "application/merge-patch+json"
COUNT, PASSES = 10, 4
BRAKE = f"/api/v1/namespaces/{OPERATOR_NAMESPACE}/configmaps/understory-brake"


class Scenario:
    """Ten replicas that serve and the operator in front of them; `checks` are (what, whether it is so, what there is instead)."""

    def __init__(self, build, run):
        self.build, self.run, self.checks = build, run, []
        self.entries = [entry(i, "analytics" if i % 2 else "disaster-recovery") for i in range(COUNT)]

    def play(self):
        try:
            self.run(self)
        except (SystemExit, Exception) as error:  # of the stage, or of what is not there
            self.check("it goes through", False, repr(error))
        return self.checks

    def check(self, what, is_so, instead=""):
        self.checks.append((f"{self.run.__name__}: {what}".replace("_", " "), bool(is_so), str(instead)))

    def stage(self):
        return Stage(self.build, self.entries, replicas.lines(self.entries))

    def wants(self, stage, worklist):
        """Offer it, and wait until several passes have seen it."""
        stage.canopy_wants(worklist)
        self.passes(stage, PASSES)

    @staticmethod
    def passes(stage, count):
        first = stage.passes()
        wait_until(f"{count} passes", lambda: stage.passes() >= first + count, 60)

    @staticmethod
    def names(stage):
        rows = call("GET", stage.api + "/api/v1/namespaces")["items"]
        return {row["metadata"]["name"] for row in rows
                if P + "managed-by" in row["metadata"].get("labels", {}) and "deletionTimestamp" not in row["metadata"]}

    def are(self, stage, what, entries):
        wanted, there = {namespace(e) for e in entries}, self.names(stage)
        self.check(what, there == wanted, f"missing {sorted(wanted - there)}, too many {sorted(there - wanted)}")

    def become(self, stage, what, entries, seconds=30):
        wanted, end = {namespace(e) for e in entries}, time.monotonic() + seconds
        while self.names(stage) != wanted and time.monotonic() < end:
            time.sleep(0.1)
        self.are(stage, what, entries)

    def metric_is(self, stage, name, value):
        with urllib.request.urlopen(stage.metrics_url, timeout=60) as answer:
            found = re.search(rf"^{name} (\S+)$", answer.read().decode(), re.M)
        self.check(f"{name} is {value}", found is not None and float(found[1]) == value, found)

    def annotate(self, stage, e, **values):
        call("PATCH", f"{stage.api}/api/v1/namespaces/{namespace(e)}",
             {"metadata": {"annotations": {P + key.replace("_", "-"): value for key, value in values.items()}}}, MERGE)

    def annotations(self, stage, e):
        given = call("GET", f"{stage.api}/api/v1/namespaces/{namespace(e)}")["metadata"]["annotations"]
        return {key.removeprefix(P): value for key, value in given.items()}


def reasons(stage):
    return {row["reason"] for row in call("GET", stage.api + "/apis/events.k8s.io/v1/events")["items"]}


def brake(stage):
    return call("GET", stage.api + BRAKE)["data"]


def start(stage, **settings):
    process = stage.operator(**settings)
    wait_until("the first pass", lambda: stage.passes() >= 1, 60)
    return process


def an_empty_list_is_held_over_restarts(s):
    with s.stage() as stage:
        operator = start(stage, LEADER_ELECTION="off")
        s.are(stage, "all are there", s.entries)
        s.wants(stage, [])
        s.are(stage, "an empty list takes nothing away", s.entries)
        s.metric_is(stage, "understory_teardowns_held", COUNT)
        s.check("an Event says so", "TeardownHeld" in reasons(stage))
        before = brake(stage)
        operator.send_signal(signal.SIGKILL)
        operator.wait(30)
        start(stage, LEADER_ELECTION="off")
        s.passes(stage, PASSES)
        s.are(stage, "nor does the next operator", s.entries)
        after = brake(stage)
        s.check("which does not begin anew", int(after["heldMs"]) > int(before["heldMs"]) > 0 and after["passes"] == "3" and
                after["answer"] == before["answer"], f"{before} {after}")
        stage.stop("operator")
        call("PATCH", stage.api + BRAKE, {"data": {"heldMs": "115000"}}, MERGE)
        start(stage, LEADER_ELECTION="off")
        s.become(stage, "after two minutes and three passes it counts", [], 60)
        s.metric_is(stage, "understory_teardowns_held", 0)


def a_list_that_is_cut_off_is_held_until_it_is_whole_again(s):
    with s.stage() as stage:
        start(stage)
        s.wants(stage, s.entries[:5])
        s.are(stage, "half a list takes nothing away", s.entries)
        s.metric_is(stage, "understory_teardowns_held", 5)
        # Another half: another answer, which is counted from its beginning.
        first = brake(stage)
        s.wants(stage, s.entries[5:])
        s.are(stage, "nor does the other half", s.entries)
        s.check("which is another answer", brake(stage)["answer"] != first["answer"], brake(stage))
        s.wants(stage, s.entries)
        s.are(stage, "with the whole list all go on", s.entries)
        s.metric_is(stage, "understory_teardowns_held", 0)
        s.check("and nothing is held", brake(stage)["passes"] == "0", brake(stage))


def one_bad_entry_keeps_all(s):
    with s.stage() as stage:
        start(stage)
        bad = {key: value for key, value in s.entries[8].items() if key != "server_id"}
        s.wants(stage, [*s.entries[:8], bad])
        s.are(stage, "nothing goes while an entry cannot be read", s.entries)
        s.metric_is(stage, "understory_worklist_unreadable_entries", 1)
        s.wants(stage, [*s.entries[:8], {**s.entries[8], "replica_id": "no uuid"}])
        s.are(stage, "nor with a bad id", s.entries)
        stage.canopy_wants(s.entries[:9])
        s.become(stage, "when all can be read, what left goes", s.entries[:9])


def an_intent_that_is_not_advertised_any_more_is_left_alone(s):
    with s.stage() as stage:
        start(stage)
        # As an answer told word for word: of itself canopy leaves out what nobody advertises.
        offered = [{**e, "intent": "dbt"} if e["intent"] == "analytics" else e for e in s.entries]
        call("POST", stage.canopy + "/_faults", [{"path": "/restore-worklist", "body": json.dumps(offered)}])
        s.passes(stage, PASSES)
        s.metric_is(stage, "understory_worklist_entries", COUNT)
        s.are(stage, "replicas of an unknown intent stay, and no others come", s.entries)
        s.metric_is(stage, "understory_teardowns_held", 0)


def renamed_declarations_keep_their_replicas(s):
    with s.stage() as stage:
        start(stage)
        s.wants(stage, [{**e, "name": f"renamed {i}"} for i, e in enumerate(s.entries)])
        s.are(stage, "no replica goes or comes", s.entries)


def canopy_from_an_old_backup_of_itself(s):
    """It offers snapshots from before, and does not know of half the replicas."""
    with s.stage() as stage:
        start(stage)
        older = [{**e, "snapshot_id": format(i, "032x"), "snapshot_at": "2026-11-01T00:00:00Z"} for i, e in enumerate(s.entries[:5])]
        s.wants(stage, older)
        s.are(stage, "what it does not know stays for now", s.entries)
        s.metric_is(stage, "understory_teardowns_held", 5)
        shown = [s.annotations(stage, e) for e in s.entries[:5]]
        s.check("the newer snapshots serve on", all(given["active-round"] == replicas.round_key(e["snapshot_id"]) and
                                                    given["last-restored-snapshot-id"] == e["snapshot_id"]
                                                    for e, given in zip(s.entries, shown)), shown)
        deployments = {row["metadata"]["name"] for row in call("GET", stage.api + "/apis/apps/v1/deployments")["items"]}
        s.check("each with its Deployment", deployments >= {"postgres-" + replicas.round_key(e["snapshot_id"]) for e in s.entries})
        s.wants(stage, s.entries)
        s.are(stage, "when it knows again, all are there", s.entries)


def once_replicas_that_reported_leave_freely(s):
    s.entries = [entry(i, "verify" if i < 7 else "analytics") for i in range(COUNT)]
    with s.stage() as stage:
        start(stage)
        stage.canopy_wants(s.entries[7:])
        s.become(stage, "seven of ten go at once", s.entries[7:], 10)
        s.metric_is(stage, "understory_teardowns_held", 0)


def a_report_that_is_owed_goes_first(s):
    run = "0f0e0d0c-0b0a-4908-8706-050403020100"
    e = s.entries[0]
    body = ('{"replica_id":"%s","group":"%s","server_id":"%s","type":"tamanu-postgres","intent":"%s","replica_healthy":false,"run_id":"%s",'
            '"snapshot_id":"%s","error":"it does not come up","observed_at":"2026-11-20T11:59:00Z"}'
            % (e["replica_id"], e["group_id"], e["server_id"], e["intent"], run, e["snapshot_id"]))
    with s.stage() as stage:
        call("POST", stage.canopy + "/_faults", [{"path": "/restore-verification", "status": 502}])
        s.annotate(stage, e, report=body)
        start(stage)
        s.wants(stage, s.entries[1:])
        s.are(stage, "as long as it cannot be sent its replica stays", s.entries)
        s.check("and it is owed", s.annotations(stage, e)["report"] == body)
        call("POST", stage.canopy + "/_faults", [])
        s.become(stage, "when it is sent the replica goes", s.entries[1:], 90)
        reports = call("GET", stage.canopy + "/_reports")
        s.check("it landed once", [(row["run_id"], row["landed"]) for row in reports] == [(run, 1)], reports)


def a_person_holds_a_replica(s):
    with s.stage() as stage:
        s.annotate(stage, s.entries[0], teardown_hold="asked for by legal")
        start(stage)
        stage.canopy_wants(s.entries[2:])
        s.become(stage, "the other goes", [s.entries[0], *s.entries[2:]])
        s.passes(stage, PASSES)
        s.are(stage, "the held one stays", [s.entries[0], *s.entries[2:]])
        s.annotate(stage, s.entries[0], teardown_hold=None)
        s.become(stage, "until nobody holds it any more", s.entries[2:])


def without_the_guard_all_go(s):
    with s.stage() as stage:
        start(stage, TEARDOWN_GUARD="off")
        stage.canopy_wants([])
        s.become(stage, "an empty list takes all away", [], 20)


SCENARIOS = (an_empty_list_is_held_over_restarts, a_list_that_is_cut_off_is_held_until_it_is_whole_again, one_bad_entry_keeps_all,
             an_intent_that_is_not_advertised_any_more_is_left_alone, renamed_declarations_keep_their_replicas,
             canopy_from_an_old_backup_of_itself, once_replicas_that_reported_leave_freely, a_report_that_is_owed_goes_first,
             a_person_holds_a_replica, without_the_guard_all_go)


def main():
    build, asked = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    chosen = [run for run in SCENARIOS if not asked or run.__name__ in asked]
    count = bad = 0
    with concurrent.futures.ThreadPoolExecutor(len(SCENARIOS)) as pool:
        for checks in pool.map(lambda run: Scenario(build, run).play(), chosen):
            for what, is_so, instead in checks:
                count += 1
                bad += not is_so
                print(f"{'ok' if is_so else 'not ok'} {count} - {what}")
                for line in [] if is_so else instead.splitlines():
                    print("# " + line)
            sys.stdout.flush()
    print(f"1..{count}")
    return 1 if bad or not count else 0


sys.exit(main())
