#!/usr/bin/env python3
"""The API server is restarted 200 times under a changing worklist, while one operator runs. Speaks TAP.

Nothing is restored: there is no node, so the Jobs wait for ever. Replicas come into the worklist and leave it all the while, each with
its Namespace and everything in it. At the end the cluster must be what the last worklist makes of an empty one, object by object, and
the operator must hold no more descriptors and no more memory than after the first restarts.

usage: restarts.py BUILD_FOLDER
"""
import json
import os
import pathlib
import random
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
import replicas
from stage import P, Stage, call, differences, entry, is_sanitized, namespace, wait_until, with_small_quarantine
from tap import check, end

RESTARTS, WARM, POOL = 200, 60, 16
# A request more at one time than before opens a connection more, which is kept: three descriptors, and more of them on a busy machine. What
# is lost at each restart would be 140.
FD_TOLERANCE = 20
# A sanitizer's allocator gives little back, and each connection takes of it for TLS; what nothing points to any more, LeakSanitizer finds
# at the operator's end.
MEMORY_TOLERANCE_MIB, SANITIZED_TOLERANCE_MIB = 2, 16
SETTLED_S = 240  # what failed again and again in the restarts is tried again after 72 s at most (reconciler/memo.c), and a call may take 30 s


def start_operator(stage):
    return stage.operator(TEARDOWN_GUARD="off", MAX_CONCURRENT_RESTORES=str(POOL), ASAN_OPTIONS=with_small_quarantine())


def is_settled(stage, wanted):
    """Every wanted Namespace has its Job and no other is there."""
    names = {item["metadata"]["name"] for item in call("GET", stage.api + "/api/v1/namespaces")["items"]
             if P + "managed-by" in item["metadata"].get("labels", {})}
    jobs = {item["metadata"]["namespace"] for item in call("GET", stage.api + "/apis/batch/v1/jobs")["items"]}
    return names == jobs == {namespace(e) for e in wanted}


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def anonymous_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 1024


def look(stage):
    """Somebody looks at the status page meanwhile: it reads what all threads write."""
    for path in ("", "status.json"):
        with urllib.request.urlopen(stage.metrics_url.replace("metrics", path), timeout=60) as answer:
            text = answer.read()
    json.loads(text)


def measure(operator, stage, wanted):
    """When it has come to rest: what is held then is held for good."""
    wait_until("the worklist", lambda: is_settled(stage, wanted), SETTLED_S)
    time.sleep(1.5)
    return descriptors(operator.pid), anonymous_mib(operator.pid)


def without_restarts(build, wanted):
    with Stage(build, wanted) as stage:
        start_operator(stage)
        wait_until("the worklist", lambda: is_settled(stage, wanted), SETTLED_S)
        time.sleep(1.5)
        return stage.cluster()


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    pool = [entry(i, "analytics" if i % 2 else "disaster-recovery") for i in range(POOL)]
    chance = random.Random(3)
    wanted, first = [], None
    with Stage(build, pool, replicas.lines([]), log=True) as stage:
        operator = start_operator(stage)
        stage.canopy_wants(pool)
        for i in range(1, RESTARTS + 1):
            wanted = [e for e in pool if chance.random() < 0.6]
            stage.canopy_wants(wanted)
            time.sleep(chance.uniform(0.05, 0.15))
            stage.restart_api()
            look(stage)
            if operator.poll() is not None:
                raise SystemExit(f"Bail out! the operator ended after {i} restarts: {stage.log('operator')[-2000:]}")
            if i % WARM == 0:  # else a busy machine may do nothing but connect
                wait_until("the worklist", lambda: is_settled(stage, wanted), SETTLED_S)
            if i == WARM:
                first = measure(operator, stage, wanted)
        last = measure(operator, stage, wanted)
        check(f"the operator lives through {RESTARTS} restarts", operator.poll() is None, stage.log("operator"))
        torn_down = stage.log("operator").count("replica torn down")
        check(f"Namespaces came and went meanwhile: {torn_down} were torn down", torn_down > POOL, stage.log("operator"))
        different = differences(stage.cluster(), without_restarts(build, wanted))
        check("the cluster is what the last worklist makes of an empty one", not different, "\n".join(different))
        check(f"descriptors do not grow: {first[0]} after {WARM} restarts, {last[0]} after {RESTARTS}", last[0] <= first[0] + FD_TOLERANCE)
        tolerance = SANITIZED_TOLERANCE_MIB if is_sanitized(build / "reconciler/understory") else MEMORY_TOLERANCE_MIB
        check(f"memory does not grow: {first[1]:.1f} MiB after {WARM} restarts, {last[1]:.1f} after {RESTARTS}",
              last[1] <= first[1] + tolerance)
        check("it is refused nothing", not stage.refused(), "\n".join(stage.refused()))
        operator.terminate()
        check("it ends in order, and no leak is found", operator.wait(30) == 0, stage.log("operator"))
    return end()


sys.exit(main())
