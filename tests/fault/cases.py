"""Which requests are hit, and by what: one fault a case, or a storm of them over several lives of the operator.

A request is known by its verb, its path and its place among those that share both ("the third patch of this Namespace"): paths are the
same in every run, since all names follow from the worklist, while the order among replicas is not. The generated names of Events are
a pattern.
"""
import collections
import random
import re

from stage import call

# kind: what the stand-in's rule says; `applied` is added by name.
EFFECTS = {
    "kill-before": {}, "kill-after": {"applied": True},
    "500": {"status": 500}, "500-applied": {"status": 500, "applied": True},
    "reset": {"reset": True}, "reset-applied": {"reset": True, "applied": True},
    "conflict": {"status": 409},
    "half": {"half": True},  # of a watch: its first events
    "gone": {"status": 410},
    "outage": {"status": 500, "times": 5},  # longer than the client tries again (k8s/call.h)
    "slow": {"hold_ms": 300},  # what the watches tell of it comes before the answer
    "kill-linger": {"linger_ms": 1500},  # its last request is carried out when its successor has long begun
    "late": {"never": True, "applied": True},  # the client gives up after 30 s
    # Of two operators the one that leads is stopped for longer than its Lease (15 s, and at most 4.4 s until the other tries), and what it
    # sent is carried out then: when the other has just begun, or is through with what there was.
    "stop": {"delay_ms": 20500}, "stop-long": {"delay_ms": 27000},
    # The wall clock jumps by a day while the request is on its way (clocks.py).
    "clock-ahead": {"delay_ms": 400}, "clock-behind": {"delay_ms": 400},
}
KINDS_OF_WRITE = ("kill-before", "kill-after", "kill-linger", "500", "500-applied", "reset", "reset-applied", "slow", "conflict")
KINDS_OF_REPEATED_WRITE = (*KINDS_OF_WRITE, "outage")  # the client tries these again of itself
KINDS_FOR_CANOPY = ("kill-before", "kill-after", "500", "500-applied", "outage", "reset", "reset-applied")
KINDS_OF_READ = ("kill-before", "500", "outage", "reset")  # whether it was carried out makes no difference
KINDS_OF_WATCH = ("kill-before", "500", "reset", "half", "gone")
KINDS_OF_EVENT = ("kill-before", "kill-after", "500", "reset-applied")
READS = ("get", "list", "watch", "GET")
API_WORDS = {500: ("InternalError", "made to fail"), 410: ("Expired", "too old resource version"),
             409: ("Conflict", "Operation cannot be fulfilled: the object has been modified; please apply your changes to the latest")}
EVENT = re.compile(r"(/events/)[^/]+$")

# Of a Namespace's annotations: of one that is refreshed, and of one whose first restore fails.
DECISION = re.compile(r"/api/v1/namespaces/[^/]*-(0001-analytics|disaster-recovery)-[^/]*")
ROUND_AT_END = re.compile(r"[0-9a-f]{8}$")
TWICE = 6

STORM_LIVES, STORM_FAULTS, STORM_KILLS = 4, 8, 2  # a life ends with its first kill; after the last one the weather is fine
FAULT_BETWEEN, LIFE_BETWEEN = " + ", " ; "


class Fault:
    def __init__(self, side, verb, path, number, kind):
        self.side, self.verb, self.path, self.number, self.kind = side, verb, path, number, kind
        self.kills, self.stops, self.is_late = kind.startswith("kill"), kind.startswith("stop"), kind == "late"
        self.times = EFFECTS[kind].get("times", 1)
        # How often a request may fail for it. By a clock that is ahead what canopy gives has expired, until the clock is right again.
        self.failures = 4 if kind == "clock-ahead" else self.times
        self.linger_s = EFFECTS[kind].get("delay_ms" if self.stops else "linger_ms", 0) / 1000
        # canopy has the report, and the operator cannot know.
        self.hides_landing = path == "/restore-verification" and ("applied" in EFFECTS[kind] or self.stops) and not self.kills

    @staticmethod
    def read(text):
        side, verb, path, number, kind = text.split(":")
        if kind not in EFFECTS:
            raise SystemExit(f"\"{kind}\" is no kind of fault; there are: {', '.join(EFFECTS)}")
        return Fault(side, verb, path, int(number), kind)

    def __str__(self):
        return f"{self.side}:{self.verb}:{self.path}:{self.number}:{self.kind}"

    def rule(self, pid):
        effect = {"times": 1, **EFFECTS[self.kind], **({"kill": pid} if self.kills else {})}
        rule = {"path": self.path, "after": self.number - 1}
        if self.side == "canopy":
            if effect.pop("applied", False):
                effect["landed"] = True
            return {**rule, "method": self.verb, **effect}
        if "status" in effect:
            effect["reason"], effect["message"] = API_WORDS[effect["status"]]
        return {**rule, "verb": self.verb, "agent": "understory/*", **effect}


class Case:
    """lives: the faults of each life of the operator, which the first kill or stop among them ends; after that there are none. With a
    stop there are two operators."""

    def __init__(self, lives, seed=None):
        self.lives, self.seed = lives, seed
        faults = [fault for life in lives for fault in life]
        self.is_for_two = any(fault.stops for fault in faults)
        self.is_jumping = any(fault.kind.startswith("clock") for fault in faults)
        self.is_storm = len(faults) > 1 and not self.is_for_two
        self.is_hard = self.is_storm or self.is_for_two or any(fault.is_late for fault in faults)

    @staticmethod
    def read(text):
        if text.startswith(StaleCase.PREFIX):
            return StaleCase(text.removeprefix(StaleCase.PREFIX))
        return Case([[Fault.read(fault) for fault in life.split(FAULT_BETWEEN)] for life in text.split(LIFE_BETWEEN)])

    def __str__(self):
        return LIFE_BETWEEN.join(FAULT_BETWEEN.join(str(fault) for fault in faults) for faults in self.lives)

    def name(self):
        return f"storm {self.seed}" if self.is_storm else str(self)

    def classes(self):
        """(what the requests are about, the kind of the fault)"""
        if self.is_storm:
            return "all", "storm"
        if self.is_for_two:
            return "two operators", " ; ".join(fault.kind for faults in self.lives for fault in faults)
        fault = self.lives[0][0]
        return class_of(fault.side, fault.verb, fault.path), fault.kind

    def faults(self, life):
        return self.lives[life] if life < len(self.lives) else []

    def begin(self, stage, life, pid):
        for side, url in (("api", stage.api), ("canopy", stage.canopy)):
            call("POST", url + "/_faults", [fault.rule(pid) for fault in self.faults(life) if fault.side == side])

    def hits(self, stage, life):
        """Those faults of this life that have come to pass."""
        hit = []
        for side, url in (("api", stage.api), ("canopy", stage.canopy)):
            rows = call("GET", url + "/_faults")
            hit += [fault for fault, row in zip((f for f in self.faults(life) if f.side == side), rows) if row["hits"] > 0]
        return hit


class StaleCase(Case):
    """Of two operators the second has an old picture of this moment (leaders.py)."""
    PREFIX, MOMENTS = "stale picture of ", ("reports", "jobs")

    def __init__(self, moment):
        super().__init__([])
        self.moment, self.stopped_s, self.is_for_two, self.is_hard = moment, 30, True, True

    def __str__(self):
        return self.PREFIX + self.moment

    def classes(self):
        return "two operators", "stale picture"


def class_of(side, verb, path):
    if side == "canopy":
        return "canopy"
    if path.startswith("/apis/events.k8s.io/"):
        return "events"
    return "watches" if verb in ("list", "watch") else "kubernetes"


def requests_of(result):
    """{(side, verb, path): count} of one cycle."""
    counts = collections.Counter(("api", verb, EVENT.sub(r"\1*", path)) for verb, path in result.requests)
    counts.update({("canopy", row["method"], row["path"]): row["count"] for row in result.canopy_requests})
    return counts


def all_faults(results):
    """At the requests that each of these cycles sent, in order."""
    counts = requests_of(results[0])
    for result in results[1:]:
        counts &= requests_of(result)
    faults = []
    for (side, verb, path), count in sorted(counts.items()):
        kinds = KINDS_OF_WRITE if verb == "create" else KINDS_OF_REPEATED_WRITE
        if class_of(side, verb, path) == "events":
            kinds = KINDS_OF_EVENT
        elif verb == "watch":
            kinds = KINDS_OF_WATCH
        elif verb in READS:
            kinds = KINDS_OF_READ
        elif side == "canopy":
            kinds = KINDS_FOR_CANOPY
        faults += [Fault(side, verb, path, number, kind) for number in range(1, count + 1) for kind in kinds]
    return faults


def storm(seed, faults):
    """Several faults at once. With a kill in each life, and no more than two, so that the life does not end with its first request."""
    chance = random.Random(seed)
    kills, others = [f for f in faults if f.kills], [f for f in faults if not f.kills]
    return Case([chance.sample(kills, chance.randint(1, STORM_KILLS)) + chance.sample(others, STORM_FAULTS) for _ in range(STORM_LIVES)],
                seed)


def late_faults(faults):
    """A small sample, since each takes as long as the client waits: the first of each write of one replica's first round."""
    found = {}
    for fault in faults:
        shape = re.sub(r"/namespaces/[^/]+", "/namespaces/*", fault.path)
        if fault.kind == "500-applied" and (fault.side == "canopy" or "verify" in fault.path or fault.path == "/api/v1/namespaces"):
            found.setdefault((fault.verb, re.sub(r"[0-9a-f]{8}$", "", shape)), Fault(fault.side, fault.verb, fault.path, 1, "late"))
    return list(found.values())


def clock_cases(faults):
    """At each decision about one that is refreshed and one whose first restore fails, and at what is asked of canopy."""
    chosen = [fault for fault in faults if fault.kind == "500-applied" and
              (fault.side == "canopy" or fault.verb == "patch" and DECISION.fullmatch(fault.path))]
    return [Case([[Fault(fault.side, fault.verb, fault.path, fault.number, kind)]]) for fault in chosen
            for kind in ("clock-ahead", "clock-behind")]


def stop_cases(faults):
    """Two operators, of which the one that leads is stopped: at every decision about two replicas that stay, and at each kind of write of
    the first round of one that goes. Then some in which also the one that took over is stopped."""
    found = {}
    for fault in faults:
        is_decision = fault.verb == "patch" and DECISION.fullmatch(fault.path)
        is_other = fault.number == 1 and (fault.side == "canopy" or "-verify-" in fault.path or fault.path == "/api/v1/namespaces")
        if fault.kind == "500-applied" and (is_decision or is_other) and class_of(fault.side, fault.verb, fault.path) != "events":
            found.setdefault((fault.verb, ROUND_AT_END.sub("", fault.path), fault.number), fault)
    stops = [Fault(fault.side, fault.verb, fault.path, fault.number, kind) for fault in found.values() for kind in ("stop-long", "stop")]
    chance = random.Random(0)
    pairs = [chance.sample([fault for fault in stops if fault.kind == "stop"], 2) for _ in range(TWICE)]
    return [StaleCase(moment) for moment in StaleCase.MOMENTS] + [Case([[first], [then]]) for first, then in pairs] + \
        [Case([[fault]]) for fault in stops]
