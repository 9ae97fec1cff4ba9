#!/usr/bin/python3
"""What kubectl shows of replicas: Events and Namespaces, asked of the operator's work as people ask. TAP.

usage: test_kubectl.py BUILD_FOLDER
"""
import pathlib
import re
import subprocess
import sys
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True  # the source folder stays as it was
sys.path[:0] = [str(HERE), str(HERE.parent / "bench"), str(HERE.parent / "fault")]
import tap
from controllers import Controllers
from postgres import Postgres
from replicas import round_key
from stage import Stage, call, entry, namespace, wait_until

BUILD = pathlib.Path(sys.argv[1]).resolve()
VERIFY, ANALYTICS, TAKEN = entry(1, "verify"), entry(2, "analytics"), entry(3, "analytics")
NAME, KEY = namespace(ANALYTICS), round_key(ANALYTICS["snapshot_id"])


class Kubectl:
    def __init__(self, stage):
        self.stage = stage

    def __call__(self, *arguments):
        done = subprocess.run(["kubectl", "--kubeconfig", self.stage.dir / "kubeconfig", *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        return done.stdout if done.returncode == 0 else f"kubectl ended with {done.returncode}: {done.stdout}"

    def has(self, what, pattern, *arguments, times=1):
        """Lines that match, of a table or a description."""
        text = self(*arguments)
        found = re.findall(pattern, text, re.MULTILINE)
        tap.check(what, None if len(found) == times else f"{len(found)} times {pattern}\n{text}")


def metric(stage, line):
    with urllib.request.urlopen(stage.metrics_url, timeout=10) as answer:
        return line in answer.read().decode()


def reaches(stage, line):
    def is_there():
        try:
            return metric(stage, line + "\n")
        except OSError:
            return False
    wait_until(line, is_there, 60)


def check_life(kubectl):
    job, deployment = f"restore-{KEY}", f"postgres-{KEY}"
    of = ["get", "events", "-n", NAME]
    kubectl.has("get events: the restore began", rf"Normal +RestoreStarted +job/{job} +restoring snapshot {ANALYTICS['snapshot_id']}", *of)
    kubectl.has("get events: it is restored", rf"Normal +Restored +deployment/{deployment}", *of)
    kubectl.has("get events: it serves", rf"Normal +Active +deployment/{deployment}", *of)
    kubectl.has("describe job: its Events are there", r"^Events:$(?:\n.*)*Normal +RestoreStarted ", "describe", "job", job, "-n", NAME)
    kubectl.has("describe deployment: so are its own", r"^Events:$(?:\n.*)*Normal +Active ", "describe", "deployment", deployment, "-n", NAME)
    kubectl.has("get ns -L: the intents", r"^\S+ +Active +\S+ +analytics$", "get", "ns", "-l", "pgro.bes.au/managed-by=pgro-canopy", "-L",
                "pgro.bes.au/intent")
    for what, pattern in (("its state", r"pgro\.bes\.au/restore-state: active$"), ("whose it is", r"pgro\.bes\.au/intent=analytics$"),
                          ("when it was proven", r"pgro\.bes\.au/last-restored-at: 20\S+Z$")):
        kubectl.has(f"describe ns: {what}", pattern, "describe", "ns", NAME)


def check_namespaces(kubectl, stage):
    of = ["-n", "default", "get", "events"]
    kubectl.has("Events of a Namespace are in default: it was made", rf"Normal +Provisioned +namespace/{NAME} ", *of)
    kubectl.has("it was torn down", rf"Normal +TornDown +namespace/{namespace(VERIFY)} ", *of)
    kubectl.has("they are found by its name", r"Provisioned", *of, "--field-selector", f"involvedObject.name={NAME}")
    kubectl.has("and by their reason", r"ForeignNamespace", *of, "--field-selector", "reason=ForeignNamespace")
    stage.canopy_wants([])
    reaches(stage, "understory_teardowns_held 1")
    held = ["-n", "default", "get", "events.events.k8s.io", "-o", "yaml", "--field-selector", "reason=TeardownHeld"]
    wait_until("a series", lambda: "series:" in kubectl(*held), 30)
    kubectl.has("one hold is one Event", r"reason: TeardownHeld$", *held)
    kubectl.has("with how often and when it was seen last", r"series:\n +count: [2-9]\n +lastObservedTime: \"20\S+Z\"$", *held)


def main():
    with Postgres(["nobody"]) as postgres, Stage(BUILD, [VERIFY, ANALYTICS, TAKEN]) as stage:
        call("POST", stage.api + "/api/v1/namespaces", {"metadata": {"name": namespace(TAKEN)}})
        controllers = Controllers(stage.api, postgres, set())
        stage.operator(POSTGRES_TLS="off")
        reaches(stage, 'understory_reports_total{result="landed"} 2')
        reaches(stage, 'understory_actions_total{action="teardown",reason="gone"} 1')
        reaches(stage, "understory_foreign_namespaces 1")
        kubectl = Kubectl(stage)
        check_life(kubectl)
        check_namespaces(kubectl, stage)
        stage.stop("operator")
        controllers.is_ending = True
    controllers.stop()
    return tap.end()


sys.exit(main())
