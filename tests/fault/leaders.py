"""The same life under two operators: one leads, the other waits for its Lease (Cycle; the cases are in cases.py).

The one that leads is stopped while a request of it is on its way, for longer than its Lease lasts. The other takes over and goes on; then
the request is carried out, and its sender goes on as if no time had passed. Or the other's picture of the cluster is old: its watches say
nothing from its first list on, and when the first has done what that list shows as due, it has to take over.
"""
import signal
import time

from cycle import OPERATORS, Cycle
from stage import OPERATOR_NAMESPACE, P, call, wait_until

LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{OPERATOR_NAMESPACE}/leases"
LOOK_EVERY_S = 0.1
AFTER_LATE_S = 0.5  # from the moment at which the late request is carried out to the moment at which its sender goes on
MAX_RESTORES = 4  # at once, by default
AFTER_RETURN_S = 2  # for what a sender does that has not noticed

NAMESPACES, JOBS = "/api/v1/namespaces", "/apis/batch/v1/jobs"


class TwoOperators(Cycle):
    """A life ends when the one that leads is stopped."""

    def begin_operator(self):
        self.next_look_at = 0.0
        self.case.begin(self.stage, 0, 0)
        self.leader = self.start_one(OPERATORS[0])
        self.holder = None
        wait_until("the first leader", self.has_another_holder, 30, 0.05)
        self.other = self.start_one(OPERATORS[1])

    def start_one(self, name):
        return self.operator_of(name=name)

    def has_another_holder(self):
        rows = call("GET", self.stage.api + LEASE)["items"]
        holder = rows[0]["spec"]["holderIdentity"] if rows else None
        is_other = holder not in (None, "", self.holder)
        if is_other:
            self.holder = holder
        return is_other

    def operator_lives_on(self):
        for process in (self.leader, self.other):
            if process.poll() is not None:
                self.operator = process
                return False
        now = time.monotonic()
        for process, until in [row for row in self.stopped if row[1] < now]:
            process.send_signal(signal.SIGCONT)
            self.stopped.remove((process, until))
        if now >= self.next_look_at:
            self.next_look_at = now + LOOK_EVERY_S
            self.look()
        return True

    def look(self):
        if any(process is self.leader for process, _ in self.stopped):
            if self.has_another_holder():
                self.leader, self.other = self.other, self.leader
                self.case.begin(self.stage, self.kills, 0)
            return
        hits = self.case.hits(self.stage, self.kills)
        if any(fault.stops for fault in hits):
            self.stop_leader(max(fault.linger_s for fault in hits))
            self.hits += hits
            self.kills += 1

    def stop_leader(self, seconds):
        self.leader.send_signal(signal.SIGSTOP)
        self.note_owed()
        until = time.monotonic() + seconds + AFTER_LATE_S
        self.stopped.append((self.leader, until))
        self.all_arrived_at = max(self.all_arrived_at, until + AFTER_RETURN_S)

    def live(self):
        self.stopped = []  # (process, when it goes on)
        try:
            super().live()
        finally:
            self.go_on()

    def go_on(self):
        for process, _ in self.stopped:
            process.send_signal(signal.SIGCONT)
        self.stopped = []

    def end_operators(self):
        self.go_on()
        for name in OPERATORS:
            self.stage.stop(name)


class StalePicture(TwoOperators):
    """The second begins while something is due everywhere, and hears nothing more; what it sees then is done by the first."""

    # What is refused until the second has its picture: (canopy's rules, the API server's); the watches that stay silent; and whether a
    # Namespace shows that it waits.
    MOMENTS = {
        "reports": (({"path": "/restore-verification", "status": 502},), (), (NAMESPACES,), lambda given: P + "report" in given),
        "jobs": ((), ({"verb": "create", "path": "*/rolebindings", "status": 500},), (NAMESPACES, JOBS),
                 lambda given: given.get(P + "restore-state") == "restoring")}

    def begin_operator(self):
        self.next_look_at, self.holder, self.has_taken_over = 0.0, None, False
        canopys, apis, watches, is_due = self.MOMENTS[self.case.moment]
        silent = [{"verb": "watch", "path": path, "agent": "understory/*", "never": True, "times": 1} for path in watches]
        call("POST", self.stage.canopy + "/_faults", canopys)
        call("POST", self.stage.api + "/_faults", apis)
        self.leader = self.start_one(OPERATORS[0])
        wait_until("the first leader", self.has_another_holder, 30, 0.02)
        wait_until("what is due", lambda: self.shown(is_due) >= MAX_RESTORES, 60, 0.05)
        call("POST", self.stage.api + "/_faults", [*silent, *apis])
        self.other = self.start_one(OPERATORS[1])
        wait_until("the second's watches", lambda: all(row["hits"] for row in call("GET", self.stage.api + "/_faults")[:len(silent)]), 60, 0.05)
        for url in (self.stage.api, self.stage.canopy):
            call("POST", url + "/_faults", [])

    def shown(self, is_due):
        rows = call("GET", self.stage.api + NAMESPACES)["items"]
        return sum(is_due(row["metadata"].get("annotations", {})) for row in rows)

    def look(self):
        if self.kills == 0 and super().is_first_state():
            self.stop_leader(self.case.stopped_s)
            self.kills = 1
        elif self.kills == 1 and not self.has_taken_over and self.has_another_holder():
            self.leader, self.other = self.other, self.leader
            self.has_taken_over = True

    def is_first_state(self):
        """Nothing new is wanted before the second leads."""
        return self.has_taken_over and super().is_first_state()

    def judge(self):
        super().judge()
        self.result.hits = int(self.has_taken_over)
