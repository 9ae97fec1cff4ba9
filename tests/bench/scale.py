#!/usr/bin/env python3
"""How cost grows with the number of replicas, and how fast new ones are made: each figure beside something real, in one run.

  sizes      10, 1,000 and 10,000 replicas in sync: memory, CPU, requests and bytes of a pass, after the first sync; beside it the CPU
             that a bare client needs to list the same objects once and drop them
  change     10,000 replicas of which 1 % change their Deployment's availability every second
  provision  1,000 new entries until every object of theirs is made, against a bare libcurl client that creates the same objects over
             as many connections on a fresh API server; five pairs in turn, the middle one by ratio. provision_2ms: one pair with an API
             server that takes 2 ms for each request, as one with a disk behind it does at the least
  report     from a restore Job's failure to its report at canopy, with passes far apart: one after the other
  growth     what one replica more costs between the sizes

usage: scale.py BUILD_FOLDER OUTPUT.json [SECTION...]
"""
import http.client
import json
import pathlib
import sys
import threading
import time

import replicas
from stage import Stage, call, cpu_seconds, entry, memory_mib, namespace, total, wait_until

SIZES = (10, 1000, 10000)
REPORTS = 20
PASSES, NEW, WORKERS, PAIRS, CHANGING = 10, 1000, 8, 5, 100
P = "pgro.bes.au/"
SELECTOR = "labelSelector=pgro.bes.au%2Fmanaged-by%3Dpgro-canopy"
LISTED = ("/api/v1/namespaces", "/apis/batch/v1/jobs", "/apis/apps/v1/deployments", "/api/v1/pods", "/api/v1/persistentvolumeclaims")


def in_sync(count):
    return [entry(i, "disaster-recovery" if i % 5 == 0 else "analytics") for i in range(count)]


def window(stage, operator, foreign=None):
    """Cost of at least PASSES passes. Nothing is asked of the operator meanwhile: answering would be counted too. foreign: verb and
    resource of requests that are not the operator's."""
    stage.forget_requests()
    passes, cpu, begin = stage.passes(), cpu_seconds(operator.pid), time.monotonic()
    done = 0
    while done < PASSES:
        time.sleep(max(1.0, (PASSES - done) * 1.1))
        cpu_now, end = cpu_seconds(operator.pid), time.monotonic()
        kube = [row for row in stage.kube_requests() if (row["verb"], row["resource"]) != foreign]
        canopy, leases = stage.canopy_requests(), stage.lease_requests()
        done = stage.passes() - passes
    return {"passes": done, "cpu_ms_per_pass": round(1000 * (cpu_now - cpu) / done, 2),
            "cpu_ms_per_s": round(1000 * (cpu_now - cpu) / (end - begin), 2),
            "kube_requests_per_pass": round(total(kube) / done, 2), "canopy_requests_per_pass": round(total(canopy) / done, 2),
            "kube_bytes_per_pass": round(total(kube, "received_bytes", "sent_bytes") / done),
            "canopy_bytes_per_pass": round(total(canopy, "received_bytes", "sent_bytes") / done),
            "lease_requests_per_s": round(leases / (end - begin), 2)}


def sync(stage):
    """Start the operator and wait until it is in sync: what that took."""
    begin = time.monotonic()
    operator = stage.operator()
    wait_until("the first pass", lambda: stage.passes() >= 1)
    took, cpu = time.monotonic() - begin, cpu_seconds(operator.pid)
    wait_until("the first passes", lambda: stage.passes() >= 3)
    return operator, {"first_pass_s": round(took, 2), "first_pass_cpu_ms": round(1000 * cpu, 1)}


def check_in_sync(stage):
    """A replica that is not in sync would make the figures those of something else."""
    writes = [row for row in stage.kube_requests() if row["verb"] not in ("get", "list", "watch")]
    # Its CA and the Event of its election are its own and say nothing of a replica.
    own = {("create", "secrets", 1), ("create", "events.events.k8s.io", 1)}
    if not {(row["verb"], row["resource"], row["count"]) for row in writes} <= own:
        raise SystemExit(f"bench: the operator wrote, so it was not in sync: {writes}")


def size(build, count):
    worklist = in_sync(count)
    with Stage(build, worklist, replicas.lines(worklist), is_open=True) as stage:
        call("DELETE", stage.api + "/_requests")
        operator, first = sync(stage)
        check_in_sync(stage)
        figures = window(stage, operator)
        check_in_sync(stage)
        rss, peak = memory_mib(operator.pid)
        result = {"rss_mib": round(rss, 2), "peak_mib": round(peak, 1), **figures, **first}
        changed = change(stage, operator, worklist) if count == SIZES[-1] else None
        stage.stop("operator")
        listing = stage.bare("\n".join(f"{path}?{SELECTOR}" for path in LISTED) + "\n", 1)
        nothing = stage.bare("/readyz\n", 1)
    result["list_cpu_ms"] = round(1000 * (listing - nothing), 2)
    result["cpu_of_listing"] = round(result["cpu_ms_per_pass"] / result["list_cpu_ms"], 3)
    return result, changed


def flip(stage, worklist, ending, failures):
    """Every second 1 % of the Deployments become unavailable, and available again the next."""
    connection = http.client.HTTPConnection(*stage.api.removeprefix("http://").split(":"), timeout=60)
    paths = [f"/apis/apps/v1/namespaces/{namespace(e)}/deployments/postgres-{replicas.round_key(e['snapshot_id'])}/status"
             for e in worklist[:CHANGING]]
    available, at = False, time.monotonic()
    while not failures and not ending.wait(max(0.0, at - time.monotonic())):
        status = {"status": {"availableReplicas": int(available), "conditions": [{"type": "Available", "status": str(available)}]}}
        for path in paths:
            connection.request("PATCH", path, json.dumps(status), {"Content-Type": "application/merge-patch+json"})
            answer = connection.getresponse()
            failures += [] if answer.status == 200 else [f"PATCH {path}: {answer.status}"]
            answer.read()
        available, at = not available, at + 1
    connection.close()


def change(stage, operator, worklist):
    ending, failures = threading.Event(), []
    flipper = threading.Thread(target=flip, args=(stage, worklist, ending, failures))
    flipper.start()
    try:
        figures = window(stage, operator, ("patch", "deployments.apps"))
    finally:
        ending.set()
        flipper.join()
    if failures:
        raise SystemExit(f"bench: {failures[0]}")
    return {"replicas": len(worklist), "changed_per_s": CHANGING, "rss_mib": round(memory_mib(operator.pid)[0], 2), **figures}


KINDS = ("api/v1:namespaces", "apis/rbac.authorization.k8s.io/v1:rolebindings", "api/v1:serviceaccounts",
         "apis/networking.k8s.io/v1:networkpolicies", "api/v1:secrets", "api/v1:persistentvolumeclaims", "apis/batch/v1:jobs",
         "apis/events.k8s.io/v1:events")
SERVERS_OWN = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "selfLink")


def made_objects(stage):
    """Every object that the operator made, as lines for tests/bench/bare.c, grouped by Namespace, which comes first."""
    groups = {}
    for kind in KINDS:
        prefix, plural = kind.split(":")
        answer = call("GET", f"{stage.api}/{prefix}/{plural}")
        for item in answer["items"]:
            meta, where = item["metadata"], item["metadata"].get("namespace")
            item.update(apiVersion=answer["apiVersion"], kind=answer["kind"].removesuffix("List"))
            for key in SERVERS_OWN:
                meta.pop(key, None)
            item.pop("status", None)
            if plural == "jobs":
                item["spec"].pop("selector", None)
                item["spec"]["template"]["metadata"].get("labels", {}).pop("controller-uid", None)
            owner = meta["name"] if plural == "namespaces" else where
            if plural == "events":  # of a Namespace itself they are in `default`
                owner = item["regarding"].get("namespace") or item["regarding"]["name"]
            if owner in groups or (plural == "namespaces" and P + "managed-by" in meta.get("labels", {})):
                path = f"/{prefix}/namespaces/{where}/{plural}" if where else f"/{prefix}/{plural}"
                groups.setdefault(owner, []).append(f"{path}\t{json.dumps(item, separators=(',', ':'))}\n")
    return groups


def creates(stage):
    return [row for row in stage.kube_requests() if row["verb"] == "create"]


def span_s(stage):
    """From the first object that was made to the last, by the API server's clock: the same for both sides."""
    rows = creates(stage)
    return (max(row["last_ms"] for row in rows) - min(row["first_ms"] for row in rows)) / 1000


def slow_down(stage, delay_ms):
    if delay_ms:
        call("POST", stage.api + "/_faults", [{"path": "/api*", "delay_ms": delay_ms}])


def ours(build, delay_ms):
    """(seconds, CPU seconds, requests per replica, the objects)"""
    with Stage(build, [entry(i, "verify") for i in range(NEW)], is_open=True) as stage:
        slow_down(stage, delay_ms)
        stage.forget_requests()
        operator = stage.operator(MAX_CONCURRENT_RESTORES=str(NEW))
        jobs = lambda: total(row for row in creates(stage) if row["resource"] == "jobs.batch")
        wait_until("the last Job", lambda: jobs() >= NEW)
        # Events may come after the Job.
        seen = [0, 1]
        wait_until("the last object", lambda: seen.append(total(creates(stage))) or seen[-1] == seen[-2], every=0.3)
        cpu = cpu_seconds(operator.pid)
        slow_down(stage, 0)
        groups = made_objects(stage)
        if len(groups) != NEW:
            raise SystemExit(f"bench: {len(groups)} Namespaces were made, not {NEW}")
        requests = (total(stage.kube_requests()) - len(KINDS) + total(stage.canopy_requests())) / NEW
        return span_s(stage), cpu, requests, groups


def bare(build, delay_ms, groups):
    """(seconds, CPU seconds)"""
    with Stage(build, is_open=True) as stage:
        slow_down(stage, delay_ms)
        stage.forget_requests()
        cpu = stage.bare("\n".join("".join(group) for group in groups.values()), WORKERS)
        return span_s(stage), cpu


def pair(build, delay_ms=0):
    our_s, our_cpu, requests, groups = ours(build, delay_ms)
    bare_s, bare_cpu = bare(build, delay_ms, groups)
    objects = sum(len(group) for group in groups.values())
    return {"entries": NEW, "objects": objects, "ours_per_s": round(NEW / our_s, 1), "bare_per_s": round(NEW / bare_s, 1),
            "ratio": round(bare_s / our_s, 3), "ours_cpu_s": round(our_cpu, 2), "bare_cpu_s": round(bare_cpu, 2),
            "ours_requests_per_replica": round(requests, 2), "bare_requests_per_replica": round(objects / NEW, 2)}


def provision(build):
    pairs = sorted((pair(build) for _ in range(PAIRS)), key=lambda figures: figures["ratio"])
    best = {side: max(figures[side] for figures in pairs) for side in ("ours_per_s", "bare_per_s")}
    return {**pairs[PAIRS // 2], "ratios": [figures["ratio"] for figures in pairs],
            "ratio_of_best": round(best["ours_per_s"] / best["bare_per_s"], 3)}


def job_of(stage, where):
    items = call("GET", f"{stage.api}/apis/batch/v1/namespaces/{where}/jobs")["items"]
    return items[0]["metadata"]["name"] if items else None


def fail_job(stage, where):
    call("PATCH", f"{stage.api}/apis/batch/v1/namespaces/{where}/jobs/{job_of(stage, where)}/status", {"status": {
        "startTime": "2026-01-01T00:00:00Z", "failed": 1, "conditions": [
            {"type": kind, "status": "True", "reason": "BackoffLimitExceeded", "message": "it failed"}
            for kind in ("FailureTarget", "Failed")]}}, "application/merge-patch+json")


def report(build):
    wanted = [entry(i, "verify") for i in range(REPORTS)]
    reports = lambda: len(call("GET", stage.canopy + "/_reports"))
    took = []
    with Stage(build, wanted, is_open=True) as stage:
        stage.operator(MAX_CONCURRENT_RESTORES=str(REPORTS), CANOPY_RECONCILE_INTERVAL_SECS="600")
        for number, one in enumerate(wanted):
            wait_until("the Job", lambda: job_of(stage, namespace(one)))
            fail_job(stage, namespace(one))
            begin = time.monotonic()
            wait_until("the report", lambda: reports() > number, every=0.002)
            took.append(1000 * (time.monotonic() - begin))
    return {"reports": REPORTS, "median_ms": round(sorted(took)[REPORTS // 2], 1), "longest_ms": round(max(took), 1)}


def growth(sizes):
    """Per replica, from each size to the next."""
    steps = {}
    for small, large in zip(SIZES, SIZES[1:]):
        a, b, more = sizes[str(small)], sizes[str(large)], large - small
        steps[f"{small}..{large}"] = {
            "memory_bytes_per_replica": round((b["rss_mib"] - a["rss_mib"]) * 2**20 / more),
            "cpu_us_per_replica": round(1000 * (b["cpu_ms_per_pass"] - a["cpu_ms_per_pass"]) / more, 2)}
    return steps


COLUMNS = ("rss_mib", "peak_mib", "cpu_ms_per_pass", "cpu_ms_per_s", "list_cpu_ms", "cpu_of_listing", "kube_requests_per_pass",
           "canopy_requests_per_pass", "kube_bytes_per_pass", "canopy_bytes_per_pass", "lease_requests_per_s", "first_pass_s",
           "first_pass_cpu_ms")


def show(result):
    rows = {f"{count} in sync": figures for count, figures in result.get("sizes", {}).items()}
    if "change" in result:
        rows["1 % changing"] = result["change"]
    if rows:
        print(f"{'':26}" + "".join(f"{name:>17}" for name in rows))
        for column in COLUMNS:
            print(f"{column:26}" + "".join(f"{figures.get(column, ''):>17}" for figures in rows.values()))
    for step, f in result.get("growth", {}).items():
        print(f"growth {step}: {f['memory_bytes_per_replica']} bytes and {f['cpu_us_per_replica']} us of CPU a pass for a replica more")
    if "report" in result:
        f = result["report"]
        print(f"report: {f['median_ms']} ms after the Job's failure, the longest of {f['reports']} {f['longest_ms']} ms")
    for name in ("provision", "provision_2ms"):
        if name in result:
            f = result[name]
            print(f"{name}: {f['ours_per_s']} replicas/s with {f['ours_requests_per_replica']} requests each and {f['ours_cpu_s']} s CPU, "
                  f"the bare client {f['bare_per_s']} with {f['bare_requests_per_replica']} and {f['bare_cpu_s']} s; ratio {f['ratio']}"
                  + (f", of the best of {PAIRS} each {f['ratio_of_best']}" if "ratio_of_best" in f else ""))


def main():
    build, output, sections = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]), sys.argv[3:] or ["sizes", "report", "provision"]
    result = {}
    if "sizes" in sections:
        sizes = {}
        for count in SIZES:
            sizes[str(count)], changed = size(build, count)
        result.update(sizes=sizes, change=changed, growth=growth(sizes))
    if "report" in sections:
        result["report"] = report(build)
    if "provision" in sections:
        result.update(provision=provision(build), provision_2ms=pair(build, 2))
    output.write_text(json.dumps(result, indent=2) + "\n")
    show(result)


main()
