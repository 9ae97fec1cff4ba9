"""What benchmarks and tests share: the stand-ins around one operator, a worklist, what the cluster holds, and what the kernel says of
a process."""
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
import uuid

import people
from people import OPERATOR_NAMESPACE

GROUP = str(uuid.UUID(int=7))
SERVER = str(uuid.UUID(int=2))
P = "pgro.bes.au/"
KINDS = ("api/v1:namespaces", "api/v1:serviceaccounts", "api/v1:secrets", "api/v1:persistentvolumeclaims", "api/v1:pods", "api/v1:services",
         "apis/batch/v1:jobs", "apis/apps/v1:deployments", "apis/networking.k8s.io/v1:networkpolicies",
         "apis/rbac.authorization.k8s.io/v1:rolebindings")
SERVERS_OWN = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation")
# Of a round, not of what is wanted.
MOMENTARY = (P + "run-id", P + "round-started-at")


def entry(number, intent):
    """One entry of the worklist, with texts as long as they are in the field; every snapshot is another."""
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return {"replica_id": str(uuid.UUID(digest[32:])), "group_id": GROUP, "server_id": SERVER, "type": "tamanu-postgres",
            "intent": intent, "name": f"country-facility-{number:04} {intent}", "params": {}, "storage": "s3",
            "bucket": "country-backups", "prefix": f"facility-{number:04}/", "region": "ap-southeast-2",
            "snapshot_id": digest[:32], "snapshot_at": "2026-11-20T00:00:00Z"}


def namespace(e):
    """The name that design.md's rule makes of an entry; of these names only the blank needs changing."""
    raw = uuid.UUID(e["replica_id"]).bytes + uuid.UUID(e["server_id"]).bytes
    return e["name"].replace(" ", "-") + "-" + hashlib.sha256(raw).hexdigest()[:8]


def call(method, url, body=None, kind="application/json"):
    """At an API server as the one who may do everything."""
    data, admin = None if body is None else json.dumps(body).encode(), people.admin_of(url)
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": kind, **admin.headers})
    with urllib.request.urlopen(request, timeout=60, context=admin.context) as answer:
        text = answer.read()
    return json.loads(text) if answer.headers.get("Content-Type", "").startswith("application/json") and text else None


def wait_until(what, condition, seconds=120, every=0.1):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"{what} did not come within {seconds} s")
        time.sleep(every)


def cpu_seconds(pid):
    """CPU of a process with all its threads, also those that have ended: its CPU-time clock, as clock_getcpuclockid(3) makes it."""
    return time.clock_gettime((~pid << 3) | 2)


def memory_mib(pid):
    """(what it holds now, the most that was resident at once). Now: RssAnon and the private file pages of this process alone."""
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    status = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    kib = {line.split(":")[0]: int(line.split()[1]) for line in rollup + [s for s in status if s.startswith("VmHWM")]}
    return (kib["Private_Clean"] + kib["Private_Dirty"]) / 1024, kib["VmHWM"] / 1024


def is_sanitized(program):
    """Built with a sanitizer, whose allocator holds more and gives little back."""
    text = program.read_bytes()
    return b"__asan_init" in text or b"__tsan_init" in text


def with_small_quarantine():
    """AddressSanitizer keeps what was freed, up to this much: with its default memory would grow for longer than a test runs."""
    return os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"


def differences(is_, wanted):
    """One line for each object that is missing, too many, or another than it should be (Stage.cluster())."""
    lines = [f"missing: {key}" for key in sorted(wanted.keys() - is_.keys())]
    lines += [f"too many: {key}" for key in sorted(is_.keys() - wanted.keys())]
    return lines + [f"differs: {key}: {is_[key]} / {wanted[key]}" for key in sorted(is_.keys() & wanted.keys()) if is_[key] != wanted[key]]


class Stage:
    """The stand-ins and one operator, under the roles of ops/; all of it ends with the block. objects: lines of the file that
    stub-apiserver starts with; with it, objects outlive that program (restart_api). log: the API server's requests are logged
    (fixtures/apiserver/tally.h). has_node: pods run, below dir/node. is_open: everybody may do everything, without TLS. identities: the
    environment in which who is who is made up (people.py). options: more of a program's own, by its name, "canopy" and "api"."""

    def __init__(self, build, worklist=(), objects=None, log=False, has_node=False, is_open=False, identities=None, options=None):
        self.build, self.worklist, self.objects, self.is_logging, self.running = build, list(worklist), objects, log, {}
        self.has_node, self.is_open, self.identities, self.options, self.address = has_node, is_open, identities, options or {}, None

    def __enter__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="understory-stage."))
        try:
            self.set_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def set_up(self):
        (self.dir / "worklist.yaml").write_text(json.dumps(self.worklist))
        self.canopy = self.start("canopy", "fixtures/canopy/stub-canopy", "--worklist", str(self.dir / "worklist.yaml"),
                                 *self.options.get("canopy", ()))
        admin = people.Admin(None if self.is_open else self.dir, self.identities)
        self.api_options = [*admin.options, *self.options.get("api", ())]
        if self.objects is not None:
            with open(self.dir / "objects", "w") as file:
                file.writelines(self.objects)
            self.api_options += ["--data", str(self.dir / "objects")]
        if self.is_logging:
            self.api_options += ["--log", str(self.dir / "requests.log")]
        if self.has_node:
            self.api_options += ["--node", str(self.dir / "node")]
        self.address = self.start("api", "fixtures/stub-apiserver", *self.api_options).removeprefix("http://")
        self.api = ("http://" if self.is_open else "https://") + self.address
        people.known[self.address] = admin
        call("POST", self.api + "/api/v1/namespaces", {"metadata": {"name": OPERATOR_NAMESPACE}})
        people.write_kubeconfig(self.dir / "kubeconfig", self.api, {} if self.is_open else {"tokenFile": "admin.token"})
        self.let_the_operator_in()

    def let_the_operator_in(self):
        """As its ServiceAccount. In a cluster the node mounts the token."""
        accounts = f"{self.api}/api/v1/namespaces/{OPERATOR_NAMESPACE}/serviceaccounts"
        call("POST", accounts, {"metadata": {"name": people.ACCOUNT}})
        made = call("POST", f"{accounts}/{people.ACCOUNT}/token", {"spec": {}})
        (self.dir / "operator.token").write_text(made["status"]["token"])
        people.write_kubeconfig(self.dir / "operator.kubeconfig", self.api, {"tokenFile": "operator.token"})

    def start(self, name, program, *options, port=0):
        file = self.dir / (name + ".port")
        file.unlink(missing_ok=True)
        process = self.spawn(name, [self.build / program, "--listen", f"127.0.0.1:{port}", "--port-file", str(file), *options])
        wait_until(name, lambda: process.poll() is not None or file.exists(), every=0.005)
        if process.poll() is not None:
            raise SystemExit(f"{name} ended: {self.log(name)[-500:]}")
        return "http://127.0.0.1:" + file.read_text().strip()

    def restart_api(self):
        """End the API server in order and start it again on its port, with what it held."""
        self.stop("api")
        self.start("api", "fixtures/stub-apiserver", *self.api_options, port=self.api.rsplit(":", 1)[1])

    def spawn(self, name, command, is_held=False, **environment):
        """is_held: it begins when a line is written to its stdin; its process id is known before."""
        if is_held:
            command = ["/bin/sh", "-c", 'read -r _ && exec "$0" "$@"', *command]
        base = {k: v for k, v in os.environ.items() if k in ("PATH", "LC_ALL", "ASAN_OPTIONS", "UBSAN_OPTIONS")}
        with open(self.dir / (name + ".log"), "ab") as log:
            self.running[name] = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE if is_held else subprocess.DEVNULL,
                                                  stdout=log, stderr=log, env={**base, **environment})
        return self.running[name]

    def stop(self, name):
        self.running[name].send_signal(signal.SIGTERM)
        if self.running[name].wait(30) != 0:
            raise SystemExit(f"{name} ended with {self.running[name].returncode}: {self.log(name)[-2000:]}")

    def operator(self, is_held=False, name="operator", **settings):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.metrics_url = f"http://127.0.0.1:{port}/metrics"
        environment = {"CANOPY_BASE_URL": self.canopy, "KUBECONFIG": str(self.dir / "operator.kubeconfig"), "CANOPY_RECONCILE_INTERVAL_SECS": "1",
                       "OPERATOR_NAMESPACE": OPERATOR_NAMESPACE, "METRICS_ADDR": f"127.0.0.1:{port}", "CREDENTIALS": "direct"}
        return self.spawn(name, [self.build / "reconciler/understory", "run"], is_held, **{**environment, **settings})

    def bare(self, lines, threads):
        """Let the bare client send these lines (tests/bench/bare.c); its CPU seconds."""
        (self.dir / "bare.lines").write_text(lines)
        done = subprocess.run([self.build / "tests/bench/bare", self.api, self.dir / "bare.lines", str(threads)], check=True,
                              stdout=subprocess.PIPE, text=True)
        return float(done.stdout.split()[2])

    def __exit__(self, *_):
        hung = []
        for process in reversed(self.running.values()):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                hung.append(str(process.args[0]))
        people.known.pop(self.address, None)
        shutil.rmtree(self.dir)
        if hung:
            raise SystemExit(f"did not end: {', '.join(hung)}")

    def log(self, name):
        return (self.dir / (name + ".log")).read_text(errors="replace")

    def refused(self):
        """The operator's requests that the API server refused for want of a right, as lines of its log."""
        requests = [line for line in self.log("requests").splitlines() if " understory/" in line]
        return [line for line in requests if line.split()[4] == "403"] if requests else ["no request is in the log"]

    def canopy_wants(self, worklist):
        """Offer this worklist from now on, instead of the file."""
        call("PUT", self.canopy + "/_worklist", worklist)

    def cluster(self):
        """{(kind, namespace, name): text} of everything that the operator made, without what differs from run to run."""
        made = {}
        for kind in KINDS:
            prefix, plural = kind.split(":")
            for item in call("GET", f"{self.api}/{prefix}/{plural}")["items"]:
                meta = item["metadata"]
                where = meta.get("namespace", meta["name"])
                if where in ("default", "kube-system", "kube-public", "kube-node-lease", OPERATOR_NAMESPACE):
                    continue
                for key in SERVERS_OWN:
                    meta.pop(key, None)
                for owner in meta.get("ownerReferences", []):
                    owner.pop("uid")
                if plural == "jobs":
                    item["spec"].pop("selector", None)
                    item["spec"]["template"]["metadata"].get("labels", {}).pop("controller-uid", None)
                run = meta.get("annotations", {}).get(P + "run-id")
                made[plural, where, meta["name"]] = (run, item)
        runs = {where: run for (plural, where, _), (run, _) in made.items() if plural == "namespaces"}
        for key, (_, item) in made.items():
            for annotation in MOMENTARY:
                item["metadata"].get("annotations", {}).pop(annotation, None)
            text = json.dumps(item, sort_keys=True)
            made[key] = text.replace(runs[key[1]], "RUN") if runs.get(key[1]) else text
        return made

    def passes(self):
        """How many passes the operator has finished; 0 while it does not serve its metrics yet."""
        try:
            with urllib.request.urlopen(self.metrics_url, timeout=60) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return 0
        return int(next(float(line.split()[1]) for line in lines if line.startswith("understory_tick_duration_seconds_count")))

    def forget_requests(self):
        call("DELETE", self.api + "/_requests")
        call("DELETE", self.canopy + "/_requests")

    def kube_requests(self):
        """Requests per verb and resource that the API server answered since they were last forgotten; without the Lease's."""
        return [row for row in call("GET", self.api + "/_requests") if not row["resource"].startswith("leases")]

    def lease_requests(self):
        return sum(row["count"] for row in call("GET", self.api + "/_requests") if row["resource"].startswith("leases"))

    def canopy_requests(self):
        return call("GET", self.canopy + "/_requests")


def total(rows, *members):
    return sum(row[member] for row in rows for member in members or ("count",))
