#!/usr/bin/python3
"""Each alert, from its cause: the operator meets the trouble for real, its /metrics are scraped, and promtool runs ops/alerts.yaml over
what was scraped. TAP.

usage: test_alerts.py SOURCE_ROOT BUILD_FOLDER [SCENARIO...]

Time is stretched, and all of it alike: a second of the recording is two minutes of the rules' time (of the slowest rule: hours), the
times that metrics name included. So the operator's passes each second stand for passes every two minutes. What an alert waits for in
minutes is there in seconds, and no rule is changed.
"""
import concurrent.futures
import pathlib
import sys
import time
import traceback
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True  # the source folder stays as it was
sys.path[:0] = [str(HERE), str(HERE.parent / "bench"), str(HERE.parent / "fault")]
import metrics_page
import replicas
import rules
import tap
from controllers import MERGE, Controllers
from postgres import Postgres
from stage import OPERATOR_NAMESPACE, Stage, call, entry, namespace, wait_until

ROOT, BUILD = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
ALERTS = ROOT / "ops/alerts.yaml"
EVERY_S = 0.25   # between two scrapes
STEP_S = 30      # what that is for the rules
SLOW_STEP_S = 7200
BEFORE = 480     # steps before the recording, in which nothing was there: 0 is never, and not just now
PARALLEL = 9
RETRY_AT_ONCE = "retry: {backoff: [0, 0, 0]}\n"
VERIFY, ANALYTICS = entry(1, "verify"), entry(2, "analytics")
STANDING = [entry(n, "analytics") for n in range(10, 15)]
NEW = [entry(n, "analytics") for n in range(20, 23)]


class Recording:
    """Scrapes an operator until it is closed. rows: (time, {series: value}), or None where nothing was answered."""

    def __init__(self, url):
        self.url, self.rows, self.begin = url, [], time.time()

    def scrape(self):
        try:
            with urllib.request.urlopen(self.url, timeout=10) as answer:
                page = answer.read().decode()
        except OSError:
            return None
        return {name + ("{" + labels + "}" if labels else ""): value for name, labels, value in metrics_page.samples(page)}

    def record(self, minutes):
        """So many minutes of the rules' time."""
        for _ in range(round(minutes * 60 / STEP_S)):
            due = self.begin + len(self.rows) * EVERY_S
            time.sleep(max(0, due - time.time()))
            self.rows.append(self.scrape())

    def series(self, step_s):
        """As promtool wants them: {series: values}."""
        keys = sorted({key for row in self.rows if row for key in row if key.startswith("understory_")})
        return {key: " ".join(["_"] * BEFORE + list(self.values(key, step_s))) for key in keys}

    def values(self, key, step_s):
        was_there = False
        for row in self.rows:
            if row is None or key not in row:
                yield "stale" if was_there else "_"
                was_there = False
                continue
            was_there = True
            value = row[key]
            if "_timestamp_seconds" in key and value > 0:
                value = BEFORE * step_s + (value - self.begin) * step_s / EVERY_S
            yield f"{value:.17g}"


class World:
    """A stage with one operator, which finds trouble."""

    def __init__(self, stage, postgres):
        self.stage, self.postgres, self.controllers = stage, postgres, None

    def canopy_fails(self, *rows):
        call("POST", self.stage.canopy + "/_faults", list(rows))

    def api_fails(self, *rows):
        call("POST", self.stage.api + "/_faults", list(rows))

    def with_controllers(self, fails=()):
        self.controllers = Controllers(self.stage.api, self.postgres, set(fails))

    def start(self, config=None, **settings):
        if config is not None:
            (self.stage.dir / "config.yaml").write_text(config)
            settings["UNDERSTORY_CONFIG"] = str(self.stage.dir / "config.yaml")
        self.stage.operator(POSTGRES_TLS="off", **settings)  # all replicas are one PostgreSQL
        self.recording = Recording(self.stage.metrics_url)
        wait_until("the operator", lambda: self.recording.scrape() is not None)
        self.recording.begin = time.time()

    def value(self, series):
        row = self.recording.scrape()
        return None if row is None else row.get(series)

    def reach(self, series, value):
        wait_until(f"{series} {value}", lambda: self.value(series) == value, 60)
        self.recording.begin, self.recording.rows = time.time(), []

    def record(self, minutes):
        self.recording.record(minutes)


LANDED = 'understory_reports_total{result="landed"}'
LEADS, SYNCED = ("understory_leader", 1), ("understory_worklist_entries", 5)


def job_fails(e, attempts):
    return {(namespace(e), "restore-" + replicas.round_key(e["snapshot_id"], attempt)) for attempt in range(1, attempts + 1)}


# --- scenarios: (worklist, whether it is all there already, what happens, the alerts that fire at the end)

def healthy(world):
    world.with_controllers()
    world.start()
    world.record(4)
    wait_until("both reports", lambda: world.value(LANDED) == 2, 60)
    world.recording.record(20)
    if world.value('understory_last_verified_timestamp_seconds{intent="analytics"}') < time.time() - 600:
        raise SystemExit("nothing was verified")
    if not world.value("understory_restored_bytes_total") > 0:
        raise SystemExit("no bytes were restored")


def operator_gone(world):
    world.start()
    world.reach(*SYNCED)
    world.record(2)
    world.stage.stop("operator")
    world.record(12)


def no_leader(world):
    world.api_fails({"path": "/apis/coordination.k8s.io/*", "status": 403, "reason": "Forbidden"})
    world.start()
    world.record(5)


def pods_cannot_be_listed(world):
    world.api_fails({"path": "/api/v1/pods", "status": 500, "reason": "InternalError"})
    world.start()
    world.record(13)


def canopy_goes_away(world):
    world.start()
    world.reach(*SYNCED)
    world.record(2)
    world.canopy_fails({"status": 503, "title": "away"})
    world.record(10)


def canopy_was_never_there(world):
    world.canopy_fails({"reset": True})
    world.start()
    world.reach(*LEADS)
    world.record(10)


def entries_unreadable(world):
    world.canopy_fails({"path": "/restore-worklist", "body": "[{}]"})
    world.start()
    world.record(20)


def worklist_is_empty(world):
    world.start()
    world.reach(*SYNCED)
    world.stage.canopy_wants([])
    world.record(8)


def report_does_not_land(world):
    world.canopy_fails({"path": "/restore-verification", "status": 503, "title": "away"})
    world.with_controllers()
    world.start()
    world.reach("understory_reports_owed", 1)
    world.record(18)


def report_is_refused(world):
    world.canopy_fails({"path": "/restore-verification", "status": 403, "title": "forbidden"})
    world.with_controllers()
    world.start()
    world.record(12)


def backup_is_bad(world):
    world.with_controllers(job_fails(ANALYTICS, 3))
    world.start(RETRY_AT_ONCE)
    world.reach("understory_replicas_given_up", 1)
    world.record(8)


def nothing_comes_up(world):
    world.with_controllers(job_fails(ANALYTICS, 3))
    world.start(RETRY_AT_ONCE)
    world.record(20)


def database_goes_down(world):
    world.start()
    world.reach(*SYNCED)
    e = STANDING[0]
    name = "postgres-" + replicas.round_key(e["snapshot_id"])
    there = f"{world.stage.api}/apis/apps/v1/namespaces/{namespace(e)}/deployments/{name}"
    status = call("GET", there)["status"]
    for condition in status["conditions"]:
        condition["status"] = "False"
    call("PATCH", there + "/status", {"status": {**status, "availableReplicas": 0, "readyReplicas": 0}}, MERGE)
    world.record(20)


def credentials_refused(world):
    world.canopy_fails({"path": "/restore-credentials", "status": 403, "title": "forbidden", "detail": "no grant"})
    world.start()
    world.record(10)


def name_is_taken(world):
    call("POST", world.stage.api + "/api/v1/namespaces", {"metadata": {"name": namespace(ANALYTICS)}})
    world.start()
    world.record(20)


def namespaces_cannot_be_made(world):
    world.api_fails({"verb": "create", "path": "/api/v1/namespaces", "status": 500, "reason": "InternalError"})
    world.start()
    world.reach("understory_replicas_erring", 3)
    world.record(18)


SCENARIOS = {
    healthy: ([VERIFY, ANALYTICS], False, set()),
    operator_gone: (STANDING, True, {"UnderstoryDown"}),
    no_leader: (STANDING, True, {"UnderstoryNoLeader"}),
    pods_cannot_be_listed: (STANDING, True, {"UnderstoryPassesStuck", "UnderstoryWatchStuck"}),
    canopy_goes_away: (STANDING, True, {"UnderstoryWorklistStale"}),
    canopy_was_never_there: (STANDING, True, {"UnderstoryWorklistStale"}),
    entries_unreadable: (STANDING, True, {"UnderstoryWorklistEntriesUnreadable"}),
    worklist_is_empty: (STANDING, True, {"UnderstoryTeardownsHeld"}),
    report_does_not_land: ([ANALYTICS], False, {"UnderstoryReportsOwed"}),
    report_is_refused: ([ANALYTICS], False, {"UnderstoryReportRefused"}),
    backup_is_bad: ([ANALYTICS], False, {"UnderstoryBackupDoesNotRestore"}),
    nothing_comes_up: ([ANALYTICS], False, {"UnderstoryNothingVerified"}),
    database_goes_down: (STANDING, True, {"UnderstoryReplicaUnavailable"}),
    credentials_refused: ([ANALYTICS], False, {"UnderstoryCredentialsRefused"}),
    name_is_taken: ([ANALYTICS], False, {"UnderstoryForeignNamespace"}),
    namespaces_cannot_be_made: (NEW, False, {"UnderstoryReplicasErring"}),
}


def run(scenario, postgres):
    """(what is wrong, steps recorded)"""
    worklist, is_there, wanted = SCENARIOS[scenario]
    is_slow = scenario is nothing_comes_up  # where even passes are hours apart
    step_s = SLOW_STEP_S if is_slow else STEP_S
    world = None
    try:
        with Stage(BUILD, worklist, replicas.lines(worklist) if is_there else None) as stage:
            world = World(stage, postgres)
            scenario(world)
            if stage.running["operator"].poll() is None:
                stage.stop("operator")  # in order, and without a sanitizer's complaint
            if world.controllers is not None:
                world.controllers.is_ending = True
    except SystemExit as error:
        return str(error), 0
    finally:
        if world is not None and world.controllers is not None:
            world.controllers.stop()
    count = len(world.recording.rows)
    end = BEFORE + count - 1
    asks = [(None, end, wanted)] if wanted else [(BEFORE + 1, end, set())]
    return rules.test(ALERTS, step_s, [(scenario.__name__, world.recording.series(step_s), asks)],
                      "|".join(wanted) if is_slow else ".+"), count


def guarded(scenario, postgres):
    try:
        return run(scenario, postgres)
    except Exception:  # pylint: disable=broad-except
        return traceback.format_exc(), 0


def main():
    wanted = [s for s in SCENARIOS if not sys.argv[3:] or s.__name__ in sys.argv[3:]]
    missing = rules.alerts(ALERTS).keys() - set().union(*(firing for _, _, firing in SCENARIOS.values()))
    tap.check("every alert has a cause here", missing)
    with Postgres(["nobody"]) as postgres, concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        for scenario, (complaint, count) in zip(wanted, pool.map(lambda s: guarded(s, postgres), wanted)):
            firing = ", ".join(sorted(SCENARIOS[scenario][2])) or "no alert"
            tap.check(f"{scenario.__name__.replace('_', ' ')}: {firing} ({count} scrapes)", complaint)
    return tap.end()


sys.exit(main())
