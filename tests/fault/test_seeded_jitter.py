#!/usr/bin/python3
"""The operator waits by the seed that it is given (seeded_jitter.c): what the lives of faults.py rest on to be the same each time.

usage: test_seeded_jitter.py BUILD_FOLDER; speaks TAP
"""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
import preload
from stage import Stage, wait_until

NOBODY = "http://127.0.0.1:1"  # the intents cannot be registered there; each try is told with the pause after it
TRIES = 2


def pauses(build, seed):
    """Before the first tries of an operator to register its intents, in ms."""
    with Stage(build) as stage:
        stage.operator(CANOPY_BASE_URL=NOBODY, LEADER_ELECTION="off", JITTER_SEED=str(seed),
                       **preload.environment(preload.seeded_jitter(build)))
        said = lambda: re.findall(r"next_try_ms=(\d+)", stage.log("operator"))
        wait_until("the tries", lambda: len(said()) >= TRIES, 60)
        return said()[:TRIES]


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    first, again, other = pauses(build, 1), pauses(build, 1), pauses(build, 2)
    checks = {f"one seed, the same pauses: {first} and {again}": first == again, f"another seed, others: {other}": first != other}
    for number, (what, is_so) in enumerate(checks.items(), 1):
        print(f"{'ok' if is_so else 'not ok'} {number} - {what}")
    print(f"1..{len(checks)}")
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
