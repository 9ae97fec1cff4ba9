"""One run of the operator over many backups: an S3 server, a repository, a worklist with an entry for each cell, pods that run, and the
report that the central service got for each.

A cell is offered to the operator as soon as its backup is there. Between the stages of its restore a cell may have something done to it
(its `act`): the API server refuses to make the next object until that has been done.
"""
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
for folder in ("tests/bench", "tests/canopy/proxy"):
    sys.path.insert(0, str(ROOT / folder))
import testbed
from server import MACHINE
from stage import GROUP, P, SERVER, Stage, call, namespace, wait_until

BUCKET, PREFIX, OTHER_PREFIX = "backups", "source", "locked"
REGION = "us-east-1"
JOBS, DEPLOYMENTS = "/apis/batch/v1/namespaces/{}/jobs", "/apis/apps/v1/namespaces/{}/deployments"
SETTINGS = """
engines: {tamanu-postgres: restic}
intents:
  verify: {readyTimeout: %(ready)ds, storageSize: 1Gi, switchoverGrace: 0s}
  analytics: {readyTimeout: %(ready)ds, storageSize: 1Gi, depth: deep}
"""


class Trial:
    """build: the folder of the programs. ready_s: how long a database may take to come up. options: of the API server. has_tls: pods
    reach the store by TLS. settings: of the operator, over the ones below."""

    def __init__(self, build, ready_s=60, options=(), has_tls=False, settings=None):
        self.build, self.ready_s, self.options = pathlib.Path(build).resolve(), ready_s, list(options)
        self.has_tls, self.settings = has_tls, settings or {}
        self.offered, self.entries, self.rules, self.reports = [], [], {}, {}
        self.ends_at = float("inf") # (monotonic) when nothing more is waited for
        self.lock = threading.Lock()
        self.mounted = [] # volumes that are file systems of their own
        self.failure = None

    def __enter__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="understory-verdict."))
        self.dir.chmod(0o755) # the server's user comes through here
        self.stage = None
        self.starting = threading.Thread(target=self.start_quietly)
        self.starting.start()
        return self

    def start_quietly(self):
        try:
            self.start()
        except BaseException as error: # said where it is waited for
            self.failure = error

    def start(self):
        ports = free_ports(3)
        tls = []
        if self.has_tls:
            testbed.make_certificate(self.dir, "store", "DNS:localhost,IP:127.0.0.1")
            tls = ["--tls-port", ports[2], "--tls-cert", self.dir / "store.crt", "--tls-key", self.dir / "store.key"]
        subprocess.run([ROOT / "fixtures/s3/radosgw.sh", "start", self.dir / "s3", ports[0], "--mon-port", ports[1], *tls], check=True)
        self.tls_endpoint = f"https://localhost:{ports[2]}"
        env = testbed.settings_of(self.dir / "s3/env")
        self.endpoint, self.keys = env["S3_ENDPOINT"], testbed.settings_of(self.dir / "s3/keys/backup.key")
        (self.dir / "password").write_text(os.urandom(16).hex())
        self.restic("init")
        canopy = ["--sts-endpoint", self.endpoint, "--sts-role-arn", env["S3_ROLE_ARN"], "--sts-key-file", str(self.dir / "s3/keys/backup.key"),
                  "--repo-password-file", str(self.dir / "password")]
        stage = Stage(self.build, [], has_node=True, options={"canopy": canopy, "api": self.options})
        stage.__enter__()
        self.stage = stage
        (stage.dir / "understory.yaml").write_text(SETTINGS % {"ready": self.ready_s})
        self.start_operator()

    def start_operator(self):
        way = {"S3_ENDPOINT": self.tls_endpoint, "S3_CA_FILE": str(self.dir / "ca.crt")} if self.has_tls else {"S3_ENDPOINT": self.endpoint}
        self.stage.operator(**{**way, "UNDERSTORY_CONFIG": str(self.stage.dir / "understory.yaml"), "MAX_CONCURRENT_RESTORES": "6",
                               "MAX_CONCURRENT_CHECKS": "4", "LEADER_ELECTION": "off", "LOG_LEVEL": "info", **self.settings})

    def wait_for_start(self):
        self.starting.join()
        if self.failure is not None:
            raise SystemExit(f"the parts did not start: {self.failure}")

    # --- backups

    def restic(self, *words, prefix=PREFIX, password=None):
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.dir), "AWS_DEFAULT_REGION": REGION, **self.keys}
        environment.update({"RESTIC_PASSWORD": password} if password else {"RESTIC_PASSWORD_FILE": str(self.dir / "password")})
        done = subprocess.run(["restic", "-r", f"s3:{self.endpoint}/{BUCKET}/{prefix}", "--cache-dir", self.dir / "cache", *map(str, words)],
                              env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"restic {words[0]}: {done.stderr[-500:]}")
        return done.stdout

    def back_up(self, tree):
        """The whole id of the snapshot, by its summary."""
        self.wait_for_start()
        lines = self.restic("backup", "--json", "--host", "source", tree).splitlines()
        return next(row["snapshot_id"] for row in map(json.loads, lines) if row["message_type"] == "summary")

    # --- what the operator is given

    def offer(self, cell, snapshot):
        """From now on the worklist has it."""
        self.wait_for_start()
        number = len(self.offered)
        entry = {"replica_id": str(uuid.UUID(int=(9 << 64) + number)), "group_id": GROUP, "server_id": SERVER, "type": "tamanu-postgres",
                 "intent": cell.intent, "name": cell.name, "params": cell.params, "storage": "s3", "bucket": BUCKET,
                 "prefix": cell.prefix or PREFIX, "region": REGION, "snapshot_id": snapshot, "snapshot_at": "2026-11-20T00:00:00Z", **cell.says}
        cell.entry, cell.namespace = entry, namespace(entry)
        with self.lock:
            if cell.act is not None:
                path = {"volume": JOBS, "data": DEPLOYMENTS}[cell.act_on].format(cell.namespace)
                self.rules[cell.name] = {"verb": "create", "path": path, "status": 503, "reason": "ServiceUnavailable",
                                         "message": "held by the test"}
                self.set_rules()
            self.offered.append(cell)
            self.entries.append(entry)
            self.stage.canopy_wants(self.entries)
        if entry["storage"] == "file":
            self.claim_volume(cell, entry["bucket"])

    # --- volumes with backups, and what an administrator does

    def have_volume(self, name, folder):
        """The node's storage has it from now on."""
        (self.stage.dir / "node/.volumes").mkdir(exist_ok=True)
        (self.stage.dir / "node/.volumes" / name).symlink_to(folder)

    def claim_volume(self, cell, name):
        """In the replica's Namespace, when that is there."""
        wait_until("the Namespace", lambda: self.has_namespace(cell), 60, every=0.02)
        call("POST", f"{self.stage.api}/api/v1/namespaces/{cell.namespace}/persistentvolumeclaims",
             {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
              "spec": {"accessModes": ["ReadOnlyMany"], "volumeName": name, "storageClassName": "",
                       "resources": {"requests": {"storage": "1Gi"}}}})

    def has_namespace(self, cell):
        return any(one["metadata"]["name"] == cell.namespace for one in call("GET", f"{self.stage.api}/api/v1/namespaces")["items"])

    def set_rules(self):
        call("POST", self.stage.api + "/_faults", list(self.rules.values()))

    # --- what it makes of it

    def look(self):
        """What landed, and what has to be done meanwhile."""
        for cell in list(self.offered):
            self.act_when_due(cell)
        for row in call("GET", self.stage.canopy + "/_reports"):
            cell = next((c for c in self.offered if c.entry["replica_id"] == row["body"].get("replica_id")), None)
            if cell is not None:
                self.reports.setdefault(cell.name, row["body"]) # of its first round

    def judge_all(self, cells):
        """Until there is a report for each of these, or the time is over."""
        while any(cell.name not in self.reports for cell in cells) and time.monotonic() < self.ends_at:
            if self.stage.running["operator"].poll() is not None:
                raise SystemExit(f"the operator ended: {self.log('operator')[-1000:]}")
            self.look()
            time.sleep(0.1)

    def act_when_due(self, cell):
        if cell.name not in self.rules:
            return
        volume = self.volume(cell)
        if volume is None or (cell.act_on == "data" and not (volume / "pgdata/PG_VERSION").exists()):
            return
        cell.act(self, cell, volume)
        with self.lock:
            del self.rules[cell.name]
            self.set_rules()

    def volume(self, cell):
        """Where the node keeps, or will keep, the volume of the round in hand."""
        try:
            claims = call("GET", f"{self.stage.api}/api/v1/namespaces/{cell.namespace}/persistentvolumeclaims")["items"]
        except OSError:
            return None
        made = [claim["metadata"]["uid"] for claim in claims if claim["metadata"]["name"].startswith("pgdata-")]
        return self.stage.dir / f"node/.volumes/pvc-{made[0]}" if made else None

    def annotation(self, cell, key):
        return call("GET", f"{self.stage.api}/api/v1/namespaces/{cell.namespace}")["metadata"].get("annotations", {}).get(P + key)

    def ask(self, cell, database, query):
        """As a user of an analytics replica does: where its Service leads to, with the password of its Secret."""
        base = f"{self.stage.api}/api/v1/namespaces/{cell.namespace}"
        selector = call("GET", base + "/services/postgres")["spec"]["selector"]
        pods = call("GET", base + "/pods?labelSelector=" + ",".join(f"{key}={value}" for key, value in selector.items()))["items"]
        secret = call("GET", base + "/secrets/analytics-credentials")["data"]["password"]
        password = subprocess.run(["base64", "-d"], input=secret, capture_output=True, text=True, check=True).stdout
        done = subprocess.run([f"{MACHINE}/psql", "-h", pods[0]["status"]["podIP"], "-U", "analytics", "-d", database, "-X", "-A", "-t", "-c", query],
                              cwd="/", env={"PATH": os.environ["PATH"], "PGPASSWORD": password, "PGCONNECT_TIMEOUT": "10"},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        return done.stdout.strip() or done.stderr.strip()

    def log(self, name):
        return self.stage.log(name)

    def __exit__(self, *_):
        self.starting.join()
        if self.stage is not None:
            self.stage.stop("operator")
            for volume in self.mounted: # the node would find them busy
                subprocess.run(["umount", "--lazy", volume], check=False)
            self.stage.__exit__()
        if (self.dir / "s3").exists():
            subprocess.run([ROOT / "fixtures/s3/radosgw.sh", "stop", self.dir / "s3"], check=False)
        shutil.rmtree(self.dir)


def free_ports(count):
    """Below those that connections going out are given, so that none takes one of them before its server listens."""
    held = []
    for port in random.sample(range(20000, 32000), 1000):
        if len(held) == count:
            break
        try:
            held.append(socket.create_server(("127.0.0.1", port)))
        except OSError:
            pass
    ports = [str(s.getsockname()[1]) for s in held]
    for s in held:
        s.close()
    return ports
