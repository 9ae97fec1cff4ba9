"""One whole life: five replicas from registration to their end, with at most one fault on the way, and what is wrong afterwards.

First all are restored from a first backup; one of these restores fails and is tried again. The verify replica is proven, discarded
and torn down. Then there is a newer backup for the verify replica, which comes again, and for one that serves, which is refreshed,
and one of the two replicas of a group-wide declaration leaves.
"""
import collections
import json
import re
import signal
import time
import zlib

import faketime
import preload
from cases import Case
from controllers import Controllers
from replicas import round_key
from stage import OPERATOR_NAMESPACE, P, Stage, call, differences, entry, namespace

OTHER_SERVER = "00000000-0000-0000-0000-000000000003"
LIMIT_S, HARD_LIMIT_S = 60, 180  # the harder ones: late answers, storms, two operators
SETTLED_PASSES, SETTLED_S = 1, 0.3  # that begin after the end was reached, and time for its work: what is done twice is done by then
AFTER_KILL_S = 0.1  # requests that the killed operator had sent are carried out meanwhile

# quick: what a deep check finds, tests/reconciler/test_check_deep.c asks; here it would cost more than all the rest of a life.
CONFIG = """
retry: {backoff: [0, 0, 0]}
intents:
  verify: {switchoverGrace: 0, depth: quick}
  analytics: {switchoverGrace: 0}
  disaster-recovery: {switchoverGrace: 0}
"""

VERIFY, ANALYTICS, RECOVERY, GROUP_1, GROUP_2 = (entry(i, intent) for i, intent in enumerate(
    ("verify", "analytics", "disaster-recovery", "analytics", "analytics")))
GROUP_2 = {**GROUP_1, "server_id": OTHER_SERVER}
FIRST = [VERIFY, ANALYTICS, RECOVERY, GROUP_1, GROUP_2]
NEWER_SNAPSHOT = {"snapshot_id": "f" * 32, "snapshot_at": "2026-11-21T00:00:00Z"}
VERIFY_2, ANALYTICS_2 = {**VERIFY, **NEWER_SNAPSHOT}, {**ANALYTICS, **NEWER_SNAPSHOT}
THEN = [VERIFY_2, ANALYTICS_2, RECOVERY, GROUP_1]
# What canopy has to hear: (entry, healthy).
REPORTS = [(VERIFY, True), (ANALYTICS, True), (RECOVERY, False), (RECOVERY, True), (GROUP_1, True), (GROUP_2, True), (VERIFY_2, True),
           (ANALYTICS_2, True)]
# The rounds: (entry, attempt).
ROUNDS = [(VERIFY, 1), (ANALYTICS, 1), (RECOVERY, 1), (RECOVERY, 2), (GROUP_1, 1), (GROUP_2, 1), (VERIFY_2, 1), (ANALYTICS_2, 1)]
LIVES = {namespace(VERIFY): 2, **{namespace(e): 1 for e in (ANALYTICS, RECOVERY, GROUP_1, GROUP_2)}}
STAYING = {namespace(e) for e in (ANALYTICS, RECOVERY, GROUP_1)}

# What is there in the end: kind and name, for a replica that serves its round.
SERVING = ("namespaces {namespace}", "rolebindings understory", "serviceaccounts restore", "secrets postgres-superuser",
           "secrets postgres-tls", "secrets analytics-credentials", "secrets restore-{round}", "secrets postgres-{round}",
           "networkpolicies default-deny", "networkpolicies restore", "networkpolicies postgres",
           "persistentvolumeclaims pgdata-{round}", "jobs restore-{round}", "pods restore-{round}-pod", "deployments postgres-{round}",
           "pods postgres-{round}-pod", "services postgres", "services postgres-{round}")
KNOWN_UUIDS = {e[key] for e in FIRST for key in ("replica_id", "server_id", "group_id")}
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
CLUSTER_IP = re.compile(r"(?:10|127)(?:\.\d+){3}")
OPERATORS = ("operator", "second")
MADE_BY_CHANCE = ("postgres-superuser", "postgres-tls", "analytics-credentials")


def job_of(e, attempt):
    return namespace(e), "restore-" + round_key(e["snapshot_id"], attempt)


def objects_at_the_end():
    """The keys of Stage.cluster()."""
    keys = set()
    for e, attempt in ((ANALYTICS_2, 1), (RECOVERY, 2), (GROUP_1, 1)):
        words = {"namespace": namespace(e), "round": round_key(e["snapshot_id"], attempt)}
        for line in SERVING:
            kind, name = line.format(**words).split()
            keys.add((kind, words["namespace"], name))
    return keys


def without_chance(key, text):
    """An object's text without times, ids, passwords and keys that differ from run to run."""
    if key[0] == "secrets" and key[2] in MADE_BY_CHANCE:
        secret = json.loads(text)
        text = json.dumps({**secret, "data": sorted(secret["data"])}, sort_keys=True)
    if key[0] == "services":
        text = CLUSTER_IP.sub("ADDRESS", text)
    given = [e["snapshot_at"] for e in THEN]
    text = TIME.sub(lambda found: found[0] if found[0] in given else "TIME", text)
    return UUID.sub(lambda found: found[0] if found[0] in KNOWN_UUIDS else "UUID", text)


class Result:
    """What one cycle came to. problems: (kind, text)."""

    def __init__(self):
        self.problems, self.evidence, self.landed, self.repeats = [], "", 0, 0
        self.hits, self.seconds, self.requests, self.canopy_requests, self.cluster = 0, 0.0, [], [], {}

    def wrong(self, kind, text):
        self.problems.append((kind, text))

    def count(self, kind):
        return sum(1 for its, _ in self.problems if its == kind)


class Cycle:
    """case: of cases.py; without faults nothing goes wrong. wanted: the cluster of a cycle in which nothing did; None: this is one."""

    def __init__(self, build, postgres, case=Case([[]]), wanted=None):
        self.build, self.postgres, self.case, self.wanted = build, postgres, case, wanted
        self.result = Result()
        self.kills = 0
        self.all_arrived_at = 0.0  # (monotonic) the last request of a killed operator is carried out
        self.hits = []  # faults that came to pass in the lives before this one
        self.owed_at_kill = collections.Counter()  # run ids: how often the operator died while it owed this report

    def run(self):
        begin = time.monotonic()
        try:
            with Stage(self.build, FIRST, log=True, identities=faketime.days_ago(3)) as self.stage:
                call("POST", f"{self.stage.api}/api/v1/namespaces/{OPERATOR_NAMESPACE}/secrets", self.postgres.ca_secret())
                self.controllers = Controllers(self.stage.api, self.postgres, {job_of(RECOVERY, 1)})
                try:
                    self.live()
                finally:
                    self.controllers.is_ending = True
                    if self.result.problems:
                        self.keep_evidence()
            self.controllers.stop()
        except (SystemExit, Exception) as error:  # a part of the stage did not come up, did not answer, or did not end well
            self.result.wrong("stage", f"{type(error).__name__}: {error}")
        self.result.seconds = time.monotonic() - begin
        return self.result

    def live(self):
        self.config_file().write_text(CONFIG)
        self.begin_operator()
        # What comes late comes while nothing new is wanted: a Namespace made for what was proven and gone is then nobody's, and goes.
        if self.reach("the first state", lambda: (self.case.is_for_two or self.have_all_arrived()) and self.is_first_state()):
            self.stage.canopy_wants(THEN)
            if self.reach("the end", self.has_come_to_its_end):
                passes = self.worklists_asked()
                self.reach("rest", lambda: self.worklists_asked() >= passes + SETTLED_PASSES and self.is_end())
                time.sleep(SETTLED_S)
                # The fault may have come as late as this; then its successor finds all done.
                kills, passes = self.kills, self.worklists_asked()
                self.operator_lives_on()
                self.reach("the end once more", lambda: self.kills == kills or self.worklists_asked() > passes and self.has_come_to_its_end())
        self.end_operators()
        self.judge()

    # --- the operator, and its end by the fault

    def begin_operator(self):
        self.operator = self.start(LEADER_ELECTION="off")

    def config_file(self):
        return self.stage.dir / "config.yaml"

    def start(self, *libraries, **settings):
        """An operator for which the faults of its life are set before it begins."""
        operator = self.operator_of(*libraries, is_held=True, **settings)
        self.case.begin(self.stage, self.kills, operator.pid)
        operator.stdin.write(b"\n")
        operator.stdin.close()
        return operator

    def operator_of(self, *libraries, name=OPERATORS[0], **settings):
        """It waits as the case, its name and its life have it, the same each time."""
        seed = zlib.crc32(f"{self.case} {name} {self.kills}".encode())
        return self.stage.operator(name=name, METRICS_ADDR="127.0.0.1:0", UNDERSTORY_CONFIG=str(self.config_file()),
                                   JITTER_SEED=str(seed), **preload.environment(preload.seeded_jitter(self.build), *libraries),
                                   **settings)

    def end_operators(self):
        self.stage.stop("operator")

    def operator_lives_on(self):
        """Start it again where a fault killed it. False: it ended of itself."""
        if self.operator.poll() is None:
            return True
        hits = self.case.hits(self.stage, self.kills)
        if self.operator.returncode != -signal.SIGKILL or not any(fault.kills for fault in hits):
            return False
        time.sleep(AFTER_KILL_S)
        self.note_owed()
        self.hits += hits
        self.kills += 1
        self.all_arrived_at = max(self.all_arrived_at, time.monotonic() + max(fault.linger_s for fault in hits))
        self.begin_operator()
        return True

    def note_owed(self):
        owed = (self.controllers.annotations(name).get("report") for name in LIVES)
        self.owed_at_kill.update(json.loads(report)["run_id"] for report in owed if report is not None)

    def reach(self, what, is_reached):
        end = time.monotonic() + (HARD_LIMIT_S if self.case.is_hard else LIMIT_S)
        while not is_reached():
            if not self.operator_lives_on():
                self.result.wrong("operator ended", f"with {self.operator.returncode} before {what}")
                return False
            if time.monotonic() > end:
                self.result.wrong("not reached", f"{what}: {self.what_is()}")
                return False
            time.sleep(0.05)
        return True

    # --- how far it is

    def has_arrived(self, e):
        """It serves what is wanted, and canopy knows."""
        shown = self.controllers.annotations(namespace(e))
        return (shown.get("restore-state") == "active" and shown.get("last-restored-snapshot-id") == e["snapshot_id"]
                and "report" not in shown and shown.get("last-verification-reported-round") == shown.get("active-round"))

    def is_first_state(self):
        return all(self.has_arrived(e) for e in (ANALYTICS, RECOVERY, GROUP_1, GROUP_2)) and self.has_ended(VERIFY, 1)

    def have_all_arrived(self):
        return time.monotonic() > self.all_arrived_at

    def has_come_to_its_end(self):
        return self.have_all_arrived() and self.is_end()

    def is_end(self):
        return (all(self.has_arrived(e) for e in (ANALYTICS_2, RECOVERY, GROUP_1)) and self.has_ended(VERIFY, 2)
                and self.has_ended(GROUP_2, 1) and all(self.is_swept(e) for e in (ANALYTICS_2, RECOVERY)))

    def is_swept(self, e):
        """Only the round that serves is left."""
        where = namespace(e)
        active = self.controllers.annotations(where).get("active-round", "")
        return all(self.controllers.names(kind, where) == {prefix + active} for kind, prefix in (
            ("jobs", "restore-"), ("deployments", "postgres-"), ("persistentvolumeclaims", "pgdata-")))

    def has_ended(self, e, lives):
        """Its Namespace came and went as often, or once more by a request that came late."""
        came, went = (sum(1 for _, item in self.controllers.history("namespaces", type_) if item["metadata"]["name"] == namespace(e))
                      for type_ in ("ADDED", "DELETED"))
        return came == went >= lives

    def worklists_asked(self):
        return sum(row["count"] for row in self.stage.canopy_requests() if row["path"] == "/restore-worklist")

    def what_is(self):
        states = {}
        for name in LIVES:
            shown = self.controllers.annotations(name)
            states[name] = {key: shown.get(key) for key in ("restore-state", "round", "attempt", "active-round", "failures", "last-error",
                                                            "last-verification-error") if key in shown}
            states[name]["owes"] = "report" in shown
        return json.dumps(states)

    # --- what is wrong at the end

    def judge(self):
        self.hits += self.case.hits(self.stage, self.kills)
        self.result.hits = len(self.hits)
        self.result.requests, self.result.canopy_requests = self.operators_requests(), self.stage.canopy_requests()
        reports = call("GET", self.stage.canopy + "/_reports")
        self.judge_reports(reports)
        self.judge_rounds()
        self.judge_lives(reports)
        for error in self.controllers.errors:
            self.result.wrong("stage", f"controllers: {error}")
        self.result.cluster = {key: without_chance(key, text) for key, text in self.stage.cluster().items()}
        keys = objects_at_the_end()
        for key in sorted(self.result.cluster.keys() - keys):
            self.result.wrong("orphan", f"{key}")
        for key in sorted(keys - self.result.cluster.keys()):
            self.result.wrong("other end", f"missing: {key}")
        for line in differences(self.result.cluster, self.wanted) if self.wanted is not None else []:
            if line.startswith("differs"):
                self.result.wrong("other end", line)

    def judge_reports(self, reports):
        key = lambda e, is_healthy: (e["replica_id"], e["server_id"], e["snapshot_id"], is_healthy)
        landed = collections.Counter(key(row["body"], row["healthy"]) for row in reports)
        wanted = collections.Counter(key(*report) for report in REPORTS)
        self.result.landed = sum((landed & wanted).values())
        for missing in (wanted - landed).elements():
            self.result.wrong("lost", f"no report of {missing}")
        for extra in (landed - wanted).elements():
            self.result.wrong("extra report", f"{extra}")
        # design.md "Exactly once": the operator cannot know that a report landed when it died between the answer and the note of it, or
        # when it never got the answer.
        answers_lost = sum(fault.hides_landing for fault in self.hits)
        for row in reports:
            repeats = row["landed"] - 1
            self.result.repeats += repeats
            if not row["same_bytes"]:
                self.result.wrong("other bytes", f"run {row['run_id']} landed with other bytes")
            unexplained = max(0, repeats - self.owed_at_kill[row["run_id"]])
            answers_lost -= unexplained
            if unexplained > 0 and answers_lost < 0:
                self.result.wrong("doubled", f"run {row['run_id']} landed {row['landed']} times: {json.dumps(row['body'])}")

    def judge_rounds(self):
        jobs = {}
        for at, job in self.controllers.history("jobs", "ADDED"):
            jobs.setdefault((job["metadata"]["namespace"], job["metadata"]["name"]), []).append(at)
        wanted = {job_of(*of): 1 for of in ROUNDS}
        for job in sorted(jobs.keys() | wanted.keys()):
            made = len(jobs.get(job, []))
            # A create that comes when its round is over makes a Job again; that it is swept, the end shows.
            allowed = wanted.get(job, 0) + self.lingered(f"/apis/batch/v1/namespaces/{job[0]}/jobs")
            if made == 0:
                self.result.wrong("round not run", f"Job {job} was not made")
            elif made > allowed:
                self.result.wrong("round run twice", f"Job {job} was made {made} times")
        self.judge_credentials({job: times[0] for job, times in jobs.items()})

    def lingered(self, path):
        """How many creates there came after the end of the operator that sent them."""
        return sum(fault.linger_s > 0 and fault.verb == "create" and fault.path == path for fault in self.hits)

    def judge_credentials(self, made_at):
        """Asked for once a run; again only when the first were lost before their Job was made."""
        job_of_run = {}
        for type_ in ("ADDED", "MODIFIED"):
            for _, item in self.controllers.history("namespaces", type_):
                given = item["metadata"].get("annotations", {})
                if P + "run-id" in given:
                    job_of_run[given[P + "run-id"]] = (item["metadata"]["name"], "restore-" + given[P + "round"])
        asks = collections.defaultdict(list)
        for row in call("GET", self.stage.canopy + "/_captured"):
            if row["path"] == "/restore-credentials":
                asks[row["body"].get("run_id")].append(row["time"])
        failures = sum(fault.failures for fault in self.hits)
        again = {run: times for run, times in asks.items() if len(times) > 1}
        for run, times in again.items():
            job = made_at.get(job_of_run.get(run))
            late = [at for at in times if job is not None and at > time_text(job)]
            if late or len(times) > 1 + failures:
                self.result.wrong("credentials asked again", f"run {run}, {job_of_run.get(run)}, at {times}, Job seen at {time_text(job)}")
        if len(again) > failures and self.kills == 0:
            self.result.wrong("credentials asked again", f"for {len(again)} runs though {failures} requests failed: {again}")

    def judge_lives(self, reports):
        uids, went = collections.defaultdict(set), collections.Counter()
        for type_ in ("ADDED", "MODIFIED"):
            for _, item in self.controllers.history("namespaces", type_):
                uids[item["metadata"]["name"]].add(item["metadata"]["uid"])
        for _, item in self.controllers.history("namespaces", "DELETED"):
            went[item["metadata"]["name"]] += 1
        for name in STAYING:
            if went[name] > 0:
                self.result.wrong("torn down wrongly", f"{name} went {went[name]} times")
        late = self.lingered("/api/v1/namespaces")  # it is torn down at once
        for name, lives in LIVES.items():
            if len(uids[name]) > lives + late:
                self.result.wrong("torn down wrongly", f"{name} was made {len(uids[name])} times")
        proven = {row["run_id"] for row in reports if row["healthy"]}
        went = [item["metadata"] for _, item in self.controllers.history("namespaces", "DELETED")]
        runs = [meta.get("annotations", {}).get(P + "run-id") for meta in went if meta["name"] == namespace(VERIFY)]
        if sum(run not in proven for run in runs) > late:
            self.result.wrong("torn down wrongly", f"{namespace(VERIFY)} went before it was proven, runs {runs}")

    def operators_requests(self):
        """(verb, path) of each of its requests to the API server, in order."""
        rows = (line.split() for line in self.stage.log("requests").splitlines())
        return [(row[1], row[3]) for row in rows if row[-1].startswith("understory/")]

    def keep_evidence(self):
        found = {"objects": "\n".join(f"{' '.join(key)} {text}" for key, text in self.stage.cluster().items())}
        found.update((name, self.stage.log(name)) for name in ("requests", "api", "canopy", *OPERATORS) if name in self.stage.running or name == "requests")
        self.result.evidence = "".join(f"--- {name}\n{text}\n" for name, text in found.items())


def time_text(at):
    return "never" if at is None else time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f"{at % 1:.6f}"[1:] + "Z"
