#!/usr/bin/env python3
"""Two figures of the operator, each beside something real, in one run.

  in_sync    a pass over 1,000 replicas in sync: CPU, requests to each side, resident memory
  provision  100 new entries until every object of theirs is made, against a bare libcurl client that creates the same objects with
             the same concurrency on a fresh API server

usage: skeleton.py BUILD_FOLDER OUTPUT.json
"""
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid

IN_SYNC, NEW, WORKERS, PASSES = 1000, 100, 8, 10
GROUP = str(uuid.UUID(int=7))


def entries(count, intent):
    for i in range(count):
        yield {"replica_id": str(uuid.UUID(int=1000 + i)), "group_id": GROUP, "server_id": str(uuid.UUID(int=2)),
               "type": "tamanu-postgres", "intent": intent, "name": f"bench {i}", "params": {}, "storage": "s3",
               "bucket": "b", "prefix": "p", "region": "r", "snapshot_id": f"snapshot{i}", "snapshot_at": None}


def namespace(entry):
    raw = uuid.UUID(entry["replica_id"]).bytes + uuid.UUID(entry["server_id"]).bytes
    return entry["name"].replace(" ", "-") + "-" + hashlib.sha256(raw).hexdigest()[:8]


def call(method, url, body=None, kind="application/json"):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if answer.headers.get("Content-Type", "").startswith("application/json") and text else None


def wait_until(what, condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"bench: {what} did not come within {seconds} s")
        time.sleep(0.005)


class Stage:
    """The stand-ins and one operator; all of it ends with the block."""

    def __init__(self, build, worklist):
        self.build, self.worklist, self.running = build, list(worklist), []

    def __enter__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="understory-bench."))
        (self.dir / "worklist.yaml").write_text(json.dumps(self.worklist))
        self.canopy = self.start("canopy", "fixtures/canopy/stub-canopy", "--worklist", str(self.dir / "worklist.yaml"))
        self.api = self.start("api", "fixtures/stub-apiserver")
        call("POST", self.api + "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "pgro-system"}})
        (self.dir / "kubeconfig").write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": self.api}}], "users": [{"name": "u", "user": {}}]}))
        return self

    def start(self, name, program, *options):
        port = self.dir / (name + ".port")
        self.spawn(name, [self.build / program, "--listen", "127.0.0.1:0", "--port-file", str(port), *options])
        wait_until(name, lambda: port.exists() and port.read_text().strip())
        return "http://127.0.0.1:" + port.read_text().strip()

    def spawn(self, name, command, **environment):
        log = open(self.dir / (name + ".log"), "wb")
        base = {k: v for k, v in os.environ.items() if k in ("PATH", "LC_ALL")}
        process = subprocess.Popen([str(c) for c in command], stdout=log, stderr=log, env={**base, **environment})
        self.running.append(process)
        return process

    def operator(self):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.metrics = f"http://127.0.0.1:{port}/metrics"
        return self.spawn("operator", [self.build / "reconciler/understory", "run"], CANOPY_BASE_URL=self.canopy,
                          KUBECONFIG=str(self.dir / "kubeconfig"), CANOPY_RECONCILE_INTERVAL_SECS="1", METRICS_ADDR=f"127.0.0.1:{port}",
                          MAX_CONCURRENT_RESTORES="1000", CREDENTIALS="direct")

    def __exit__(self, *_):
        for process in reversed(self.running):
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        shutil.rmtree(self.dir)

    def canopy_requests(self):
        """All requests to canopy so far, as the operator counts them."""
        with urllib.request.urlopen(self.metrics, timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("understory_canopy_requests_total{"))

    def requests(self):
        """Requests per (verb, resource) since the last reset."""
        return call("GET", self.api + "/_requests")



def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid):
    """RssAnon and the private file pages of this process alone."""
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    kib = {line.split(":")[0]: int(line.split()[1]) for line in rollup[1:]}
    return (kib["Private_Clean"] + kib["Private_Dirty"]) / 1024


def seed(stage):
    """Each entry as a replica that serves, in sync and reported."""
    for e in stage.worklist:
        ns, key = namespace(e), hashlib.sha256(f"{e['snapshot_id']}\n1".encode()).hexdigest()[:8]
        p = "pgro.bes.au/"
        labels = {p + "managed-by": "pgro-canopy", p + "round": key}
        call("POST", stage.api + "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": ns, "labels": {p + "managed-by": "pgro-canopy", p + "declaration-id": e["replica_id"], p + "group": GROUP,
                                   p + "server": e["server_id"], p + "type": e["type"], p + "intent": e["intent"]},
            "annotations": {p + "restore-state": "active", p + "desired-snapshot-id": e["snapshot_id"], p + "round": key,
                            p + "round-snapshot-id": e["snapshot_id"], p + "attempt": "1", p + "active-round": key,
                            p + "last-restored-snapshot-id": e["snapshot_id"], p + "last-restored-at": "2026-01-01T00:00:00Z",
                            p + "postgres-version": "15.20", p + "last-verification-reported-round": key}}})
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "postgres", "image": "postgres:15"}]}}
        call("POST", f"{stage.api}/apis/apps/v1/namespaces/{ns}/deployments", {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "postgres-" + key, "labels": labels},
            "spec": {"selector": {"matchLabels": labels}, "template": template}})
        call("PATCH", f"{stage.api}/apis/apps/v1/namespaces/{ns}/deployments/postgres-{key}/status", {"status": {
            "observedGeneration": 1, "replicas": 1, "availableReplicas": 1,
            "conditions": [{"type": "Available", "status": "True"}]}}, "application/merge-patch+json")
        call("POST", f"{stage.api}/api/v1/namespaces/{ns}/pods", {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "postgres-" + key, "labels": labels}, "spec": template["spec"]})
        call("POST", f"{stage.api}/api/v1/namespaces/{ns}/persistentvolumeclaims", {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "pgdata-" + key, "labels": labels},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})


def total(requests):
    return sum(row["count"] for row in requests)


def passes(requests):
    """Each pass lists Namespaces once per page of 500."""
    pages = -(-IN_SYNC // 500)
    return sum(r["count"] for r in requests if r["verb"] == "list" and r["resource"] == "namespaces") / pages


def in_sync(build):
    with Stage(build, entries(IN_SYNC, "analytics")) as stage:
        seed(stage)
        operator = stage.operator()
        wait_until("the first passes", lambda: passes(stage.requests()) >= 3)
        call("DELETE", stage.api + "/_requests")
        before, asked_before = cpu_seconds(operator.pid), stage.canopy_requests()
        wait_until("the passes", lambda: passes(stage.requests()) >= PASSES)
        requests = stage.requests()
        cpu, done = cpu_seconds(operator.pid) - before, passes(requests)
        asked = stage.canopy_requests() - asked_before
        writes = total(r for r in requests if r["verb"] not in ("list", "get", "watch"))
        return {"replicas": IN_SYNC, "passes": round(done, 1), "cpu_ms_per_pass": round(1000 * cpu / done, 1),
                "kube_requests_per_pass": round(total(requests) / done, 1), "kube_writes": writes, "canopy_requests_per_pass": round(asked / done, 1),
                "rss_mib": round(resident_mib(operator.pid), 1)}


KINDS = ("api/v1:namespaces", "apis/rbac.authorization.k8s.io/v1:rolebindings", "api/v1:serviceaccounts",
         "apis/networking.k8s.io/v1:networkpolicies", "api/v1:secrets", "api/v1:persistentvolumeclaims", "apis/batch/v1:jobs",
         "apis/events.k8s.io/v1:events")


def made_objects(stage):
    """Every object that the operator made, as lines for tests/bench/bare.c, grouped by Namespace."""
    groups = {}
    for kind in KINDS:
        prefix, plural = kind.split(":")
        answer = call("GET", f"{stage.api}/{prefix}/{plural}")
        for item in answer["items"]:
            meta, where = item["metadata"], item["metadata"].get("namespace")
            if plural == "namespaces" and "pgro.bes.au/managed-by" not in meta.get("labels", {}):
                continue
            item.setdefault("apiVersion", answer["apiVersion"])
            item.setdefault("kind", answer["kind"].removesuffix("List"))
            for key in ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "selfLink"):
                meta.pop(key, None)
            item.pop("status", None)
            if plural == "jobs":
                item["spec"].pop("selector", None)
                item["spec"]["template"]["metadata"].get("labels", {}).pop("controller-uid", None)
            path = f"/{prefix}/namespaces/{where}/{plural}" if where else f"/{prefix}/{plural}"
            owner = meta["name"] if plural == "namespaces" else where
            if plural == "events":
                owner = (item.get("regarding") or {}).get("namespace") or (item.get("regarding") or {}).get("name")
            if owner in groups or plural == "namespaces":
                groups.setdefault(owner, []).append(f"{path}\t{json.dumps(item)}\n")
    return groups


def provision(build):
    with Stage(build, entries(NEW, "verify")) as stage:
        call("DELETE", stage.api + "/_requests")
        stage.operator()
        created = lambda resource: sum(r["count"] for r in stage.requests() if r["verb"] == "create" and r["resource"] == resource)
        wait_until("the first Namespace", lambda: created("namespaces") >= 1)
        begin = time.monotonic()
        wait_until("the last Job", lambda: created("jobs.batch") >= NEW)
        ours = time.monotonic() - begin
        groups = made_objects(stage)
        lines = [line for group in groups.values() for line in group]
        text = "\n".join("".join(group) for group in groups.values())
    with Stage(build, []) as stage:
        (stage.dir / "objects").write_text(text)
        out = subprocess.run([build / "tests/bench/bare", stage.api, stage.dir / "objects", str(WORKERS)], check=True,
                             stdout=subprocess.PIPE, text=True).stdout.split()
    bare = float(out[1])
    return {"entries": NEW, "objects": len(lines), "ours_s": round(ours, 3), "bare_s": round(bare, 3),
            "ours_per_s": round(NEW / ours, 1), "bare_per_s": round(NEW / bare, 1), "ratio": round(bare / ours, 2)}


def main():
    build, output = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    result = {"in_sync": in_sync(build), "provision": provision(build)}
    output.write_text(json.dumps(result, indent=2) + "\n")
    a, b = result["in_sync"], result["provision"]
    print(f"in sync, {a['replicas']} replicas: {a['cpu_ms_per_pass']} ms CPU, {a['kube_requests_per_pass']} requests to the API server and "
          f"{a['canopy_requests_per_pass']} to canopy a pass; {a['rss_mib']} MiB resident")
    print(f"provision, {b['entries']} entries, {b['objects']} objects: {b['ours_per_s']} replicas/s, a bare client {b['bare_per_s']}; "
          f"ratio {b['ratio']}")


main()
