"""The same life while the wall clock jumps by a day, by libfaketime; the monotonic clock goes on as ever.

Ahead for a moment, as a wrong time server has it, or behind for good. A jump comes while a request is on its way (Cycle; the cases are in
cases.py). Unlike in other lives there are a back-off and a grace, and a Lease: of all these a day would be seen.
"""
import time

import faketime
from cycle import CONFIG, Cycle

DAY_S = 86400
AHEAD_S = 2
LOOK_EVERY_S = 0.05
SLOWER = CONFIG.replace("[0, 0, 0]", "[1s, 1s, 1s]").replace("switchoverGrace: 0", "switchoverGrace: 1s")


class JumpingClock(Cycle):
    def begin_operator(self):
        self.config_file().write_text(SLOWER)
        self.offset, self.next_look_at, self.back_at = self.stage.dir / "clock", 0.0, None
        self.set_clock(0)
        self.operator = self.start(
            faketime.library(), LEADER_ELECTION="on", FAKETIME_TIMESTAMP_FILE=str(self.offset), FAKETIME_NO_CACHE="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1")

    def set_clock(self, seconds):
        new = self.offset.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self.offset)

    def operator_lives_on(self):
        now = time.monotonic()
        if self.back_at is not None and now > self.back_at:
            self.set_clock(0)
            self.back_at = None
        elif self.kills == 0 and now > self.next_look_at:
            self.next_look_at = now + LOOK_EVERY_S
            hits = self.case.hits(self.stage, 0)
            for fault in hits:
                self.set_clock(DAY_S if fault.kind == "clock-ahead" else -DAY_S)
                self.back_at = now + AHEAD_S if fault.kind == "clock-ahead" else None
            self.hits += hits
            self.kills = len(hits)
        return super().operator_lives_on()

    def end_operators(self):
        super().end_operators()
        faketime.clean(self.operator.pid)

    def judge(self):
        super().judge()
        if "the lease is lost" in self.stage.log("operator"):
            self.result.wrong("leadership lost", "")
