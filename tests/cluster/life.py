#!/usr/bin/python3
"""A life of three replicas under a real API server and its controllers (control_plane.py), with the operator as ops/install.yaml lets it be:
its ServiceAccount's token and the rights of that, and no others. Only the node is a double (kubelet.py), and canopy. Speaks TAP.

usage: life.py BUILD_FOLDER    (by cluster.sh)
"""
import datetime
import json
import pathlib
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

import yaml

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[1:1] = [str(TESTS / room) for room in ("bench", "fault", "e2e")]
from control_plane import ControlPlane, free_port
from kubelet import Kubelet
from postgres import Postgres
from replicas import round_key
from stage import OPERATOR_NAMESPACE, P, call, entry, namespace
from tap import check, end, equal

MANIFESTS = TESTS.parent / "ops/install.yaml"
NOT_IN_1_20 = ("PodDisruptionBudget",)  # policy/v1 is of 1.21
POD_ADDRESS, EVERY_ADDRESS = "10.1.0.1", "0.0.0.0"
CONFIG = """
retry: {backoff: [0, 0, 0]}
intents:
  verify: {depth: quick}
  analytics: {depth: quick, switchoverGrace: 2s, minimumTtl: 0s}
  disaster-recovery: {depth: quick}
"""
VERIFY, ANALYTICS, RECOVERY = (entry(i, intent) for i, intent in enumerate(("verify", "analytics", "disaster-recovery")))
NEWER = {**ANALYTICS, "snapshot_id": "f" * 32, "snapshot_at": "2026-11-21T00:00:00Z"}
KINDS = {"persistentvolumeclaims": "/api/v1", "secrets": "/api/v1", "services": "/api/v1", "pods": "/api/v1", "jobs": "/apis/batch/v1",
         "deployments": "/apis/apps/v1", "networkpolicies": "/apis/networking.k8s.io/v1"}
AROUND_RESTART_S = 15
BROKER_AUDIENCE = "understory-broker"


class Life:
    def __init__(self, build, plane, postgres):
        self.build, self.plane, self.postgres, self.restarted_at = build, plane, postgres, 0.0

    # --- what runs

    def deploy(self):
        objects = [o for o in yaml.safe_load_all(MANIFESTS.read_text()) if o and o["kind"] not in NOT_IN_1_20]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        done = subprocess.run(["kubectl", "--kubeconfig", self.plane.kubeconfig("admin"), "apply", "-f", "-"], input=text, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        check("kubectl applies the manifests", done.returncode == 0, done.stdout)

    def start_canopy(self, worklist):
        file, port_file = self.plane.dir / "worklist.yaml", self.plane.dir / "canopy.port"
        file.write_text(json.dumps(worklist))
        self.plane.spawn("canopy", self.build / "fixtures/canopy/stub-canopy", "--listen", "127.0.0.1:0", "--worklist", file, "--port-file",
                         port_file)
        self.comes("canopy", port_file.exists, 20)
        self.canopy = "http://127.0.0.1:" + port_file.read_text().strip()

    def start_operator(self):
        self.plane.write_kubeconfig("operator", self.plane.account_token(OPERATOR_NAMESPACE, "understory"))
        config = self.plane.dir / "understory.yaml"
        config.write_text(CONFIG)
        self.broker = f"127.0.0.1:{free_port()}"
        self.plane.spawn("operator", self.build / "reconciler/understory", "run", CANOPY_BASE_URL=self.canopy,
                         KUBECONFIG=str(self.plane.kubeconfig("operator")), CANOPY_RECONCILE_INTERVAL_SECS="1", UNDERSTORY_CONFIG=str(config),
                         OPERATOR_NAMESPACE=OPERATOR_NAMESPACE, METRICS_ADDR="127.0.0.1:0", CANOPY_PROXY_IMAGE="understory:local",
                         PGRO_BROKER_LISTEN_ADDR=self.broker, PGRO_BROKER_URL=f"https://{self.broker}", LOG_LEVEL="debug")

    def command(self, *words):
        """(exit status, what it printed) of the program, as the person who may do everything."""
        done = subprocess.run([self.build / "reconciler/understory", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env={"PATH": "/usr/bin:/bin", "KUBECONFIG": str(self.plane.kubeconfig("admin")),
                                   "OPERATOR_NAMESPACE": OPERATOR_NAMESPACE, "CANOPY_BASE_URL": self.canopy})
        return done.returncode, done.stdout

    # --- what is seen

    def comes(self, what, is_so, seconds=60):
        deadline = time.monotonic() + seconds
        while not (found := is_so()) and time.monotonic() < deadline:
            time.sleep(0.2)
        check(what, bool(found), "\n".join(self.plane.log("operator").splitlines()[-15:]) if "operator" in self.plane.running else "")
        return bool(found)

    def annotations(self, e):
        try:
            meta = self.plane.call("GET", "/api/v1/namespaces/" + namespace(e))["metadata"]
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None
        return {key.removeprefix(P): value for key, value in meta.get("annotations", {}).items()}

    def is_active(self, e):
        shown = self.annotations(e) or {}
        return shown.get("restore-state") == "active" and shown.get("last-restored-snapshot-id") == e["snapshot_id"] and "report" not in shown

    def has_failed(self, e):
        return (self.annotations(e) or {}).get("restore-state") == "failed"

    def is_gone(self, e):
        return self.annotations(e) is None

    def names(self, plural, e):
        return {item["metadata"]["name"] for item in self.plane.items(f"{KINDS[plural]}/namespaces/{namespace(e)}/{plural}")}

    def is_swept(self, e, attempt=1):
        key = round_key(e["snapshot_id"], attempt)
        return self.names("deployments", e) == {"postgres-" + key} and self.names("persistentvolumeclaims", e) == {"pgdata-" + key}

    def reports(self):
        return call("GET", self.canopy + "/_reports")

    def event_is(self, reason):
        return any(item["reason"] == reason for item in self.plane.items("/apis/events.k8s.io/v1/events"))

    def ask_broker(self, token):
        """(status, body): as the proxy in a pod asks."""
        trust = ssl.create_default_context(cafile=self.postgres.dir / "ca.crt")
        trust.check_hostname = False
        body = json.dumps({"group": ANALYTICS["group_id"], "type": ANALYTICS["type"]}).encode()
        request = urllib.request.Request(f"https://{self.broker}/internal/restore-creds", data=body, method="POST",
                                         headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30, context=trust) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def is_lasting_refusal(self, line):
        """While an API server starts it knows no role yet."""
        said_at = datetime.datetime.fromisoformat(line.split()[0].removeprefix("ts=").replace("Z", "+00:00")).timestamp()
        return "is forbidden" in line and "kind=transient" not in line and abs(said_at - self.restarted_at) > AROUND_RESTART_S

    # --- the scenes

    def restores(self):
        if not self.comes("verify is proven and goes", lambda: self.is_gone(VERIFY) and len(self.reports()) >= 1, 120):
            return False
        self.comes("analytics serves", lambda: self.is_active(ANALYTICS))
        if self.comes("a restore that is tried again and again", lambda: len(self.names("pods", RECOVERY)) > 0):
            self.tokens()
        self.comes("a restore that fails is told", lambda: self.has_failed(RECOVERY) or self.event_is("RestoreFailed"), 180)
        self.kubelet.fails.clear()
        return self.comes("the next one serves", lambda: self.is_active(RECOVERY), 120)

    def tokens(self):
        """The API server says whose a token is (TokenReview); a round is in hand."""
        where = namespace(RECOVERY)
        status, body = self.ask_broker(self.plane.account_token(where, "restore", BROKER_AUDIENCE))
        check("a restore's token gets keys", status == 200 and "AccessKeyId" in body, f"{status} {body[:200]}")
        for what, token in (("a token for another audience", self.plane.account_token(where, "restore")),
                            ("another Namespace's", self.plane.account_token("default", "default", BROKER_AUDIENCE)),
                            ("nobody's", "nobody")):
            status, body = self.ask_broker(token)
            check(f"{what} gets none", status in (401, 403) and "AccessKeyId" not in body, f"{status} {body[:200]}")

    def restart_and_refresh(self):
        self.plane.stop("apiserver")
        self.plane.start_apiserver()
        self.restarted_at = time.time()
        call("PUT", self.canopy + "/_worklist", [NEWER, RECOVERY])
        self.comes("after a restart of the API server a newer snapshot is restored", lambda: self.is_active(NEWER), 120)
        self.comes("the old round is swept", lambda: self.is_swept(NEWER), 120)

    def leaving(self):
        call("PUT", self.canopy + "/_worklist", [NEWER])
        self.comes("what leaves the worklist goes", lambda: self.is_gone(RECOVERY), 120)
        call("PUT", self.canopy + "/_worklist", [])
        # Not the Event: 1.20 wants those that regard a Namespace elsewhere than later ones, https://github.com/kubernetes/kubernetes/pull/100125
        self.comes("an empty worklist is held", lambda: 'msg="teardowns held"' in self.plane.log("operator"))
        check("and the replica stays", self.is_active(NEWER))

    def commands(self):
        status, text = self.command("status")
        check("status shows it", status == 0 and namespace(NEWER) in text, text)
        status, text = self.command("why", namespace(NEWER))
        check("why tells of it", status == 0 and "active" in text, text)

    def ends(self):
        equal("it ends in order", self.plane.stop("operator"), 0)
        lease = self.plane.call("GET", f"/apis/coordination.k8s.io/v1/namespaces/{OPERATOR_NAMESPACE}/leases/understory")
        check("and gives up the Lease", not lease["spec"].get("holderIdentity"), lease["spec"])
        lasting = [line for line in self.plane.log("operator").splitlines() if self.is_lasting_refusal(line)]
        check("no right is missing", not lasting, "\n".join(lasting))
        rows = [(row["landed"], row["healthy"], row["body"]["snapshot_id"]) for row in self.reports()]
        wanted = sorted([(1, True, e["snapshot_id"]) for e in (VERIFY, ANALYTICS, RECOVERY, NEWER)] + [(1, False, RECOVERY["snapshot_id"])])
        equal("each report has landed once", sorted(rows), wanted)
        equal("the node saw nothing strange", self.kubelet.errors, [])

    def live(self):
        self.kubelet = Kubelet(self.plane, self.postgres.major, POD_ADDRESS)
        self.kubelet.fails.add("disaster-recovery")
        try:
            self.deploy()
            self.start_canopy([VERIFY, ANALYTICS, RECOVERY])
            self.plane.call("POST", f"/api/v1/namespaces/{OPERATOR_NAMESPACE}/secrets", self.postgres.ca_secret())
            self.start_operator()
            if self.restores():
                self.restart_and_refresh()
                self.commands()
                self.leaving()
            self.ends()
        finally:
            self.kubelet.stop()


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    with Postgres([namespace(e) for e in (VERIFY, ANALYTICS, RECOVERY)], EVERY_ADDRESS) as postgres, \
            ControlPlane(build / "cluster") as plane:
        Life(build, plane, postgres).live()
    return end()


if __name__ == "__main__":
    sys.exit(main())
