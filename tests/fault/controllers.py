"""The controllers and the node of a cluster in which no container runs.

A Job is done, and a Deployment has its pod, as soon as it is seen: statuses are those of recordings/node-1.26, with the operator's
termination message in the restore's pod and the address of a real PostgreSQL as the database's. All that is seen is noted, with its
time, so that it can be judged afterwards.
"""
import http.client
import json
import threading
import time

import people
from replicas import RECORDINGS
from stage import P, call

MERGE = "application/merge-patch+json"
RESTORE_MESSAGE = '{"postgres_version":"%s","bytes":4831838208,"files":1412}\n'
FAILURE_MESSAGE = '{"error":"pg_control of the capture is not readable","stage":"capture"}\n'
EXIT_INCOMPLETE = 15  # builders/exit_codes.h: the backup is at fault

PATHS = {"namespaces": "/api/v1/namespaces", "jobs": "/apis/batch/v1/jobs", "deployments": "/apis/apps/v1/deployments",
         "persistentvolumeclaims": "/api/v1/persistentvolumeclaims"}
RUN = ("jobs", "deployments")


def recorded_status(file):
    return json.loads((RECORDINGS / file).read_text())["object"]["status"]


class Controllers:
    """Watches until stopped. fails: (namespace, name) of the Jobs whose restore fails."""

    def __init__(self, api, postgres, fails):
        self.api, self.postgres, self.fails = api, postgres, fails
        self.lock = threading.Lock()
        self.now = {kind: {} for kind in PATHS}  # (namespace, name): object
        self.seen = []                           # (time, type, kind, object)
        self.errors = []
        self.is_ending = False
        self.threads = [threading.Thread(target=self.watch, args=(kind,), daemon=True) for kind in PATHS]
        for thread in self.threads:
            thread.start()

    def stop(self):
        """After the API server's end, which ends the watches."""
        for thread in self.threads:
            thread.join(30)

    def watch(self, kind):
        connection, headers = people.connect(self.api, 600)
        try:
            connection.request("GET", PATHS[kind] + "?watch=1", headers={"User-Agent": "controllers", **headers})
            answer = connection.getresponse()
            for line in answer:
                self.take(kind, json.loads(line))
        except (OSError, http.client.HTTPException, ValueError) as error:
            if not self.is_ending:
                self.errors.append(f"{kind}: {error!r}")

    def take(self, kind, event):
        item = event["object"]
        key = (item["metadata"].get("namespace", ""), item["metadata"]["name"])
        with self.lock:
            self.seen.append((time.time(), event["type"], kind, item))
            if event["type"] == "DELETED":
                self.now[kind].pop(key, None)
            else:
                self.now[kind][key] = item
        if event["type"] == "ADDED" and kind in RUN:
            try:
                (self.run_job if kind == "jobs" else self.run_deployment)(item)
            except OSError as error:  # its Namespace may be on its way out
                if getattr(error, "code", None) not in (403, 404, 409) and not self.is_ending:
                    self.errors.append(f"{kind} {key}: {error!r}")

    def make_pod(self, owner, kind, more_labels, status):
        meta, template = owner["metadata"], owner["spec"]["template"]
        where = f"{self.api}/api/v1/namespaces/{meta['namespace']}/pods"
        labels = {**template["metadata"].get("labels", {}), **more_labels}
        reference = {"apiVersion": owner["apiVersion"], "kind": kind, "name": meta["name"], "uid": meta["uid"], "controller": True}
        call("POST", where, {"metadata": {"name": meta["name"] + "-pod", "labels": labels, "ownerReferences": [reference]},
                             "spec": {**template["spec"], "nodeName": "node"}})  # on a node it holds its claim
        call("PATCH", f"{where}/{meta['name']}-pod/status", {"status": status}, MERGE)

    def set_status(self, plural, item, status):
        prefix = PATHS[plural].rsplit("/", 1)[0]
        meta = item["metadata"]
        call("PATCH", f"{self.api}{prefix}/namespaces/{meta['namespace']}/{plural}/{meta['name']}/status", {"status": status}, MERGE)

    def run_job(self, job):
        meta = job["metadata"]
        is_failing = (meta["namespace"], meta["name"]) in self.fails
        pod = recorded_status("10-pod-failed.json" if is_failing else "06-pod-succeeded.json")
        ended = pod["containerStatuses"][0]["state"]["terminated"]
        ended["message"] = FAILURE_MESSAGE if is_failing else RESTORE_MESSAGE % self.postgres.major
        ended["exitCode"] = EXIT_INCOMPLETE if is_failing else 0
        self.make_pod(job, "Job", {"job-name": meta["name"]}, pod)
        self.set_status("jobs", job, recorded_status("11-job-failed-by-policy.json" if is_failing else "05-job-complete.json"))

    def run_deployment(self, deployment):
        pod = recorded_status("19-pod-ready.json")
        pod.update(podIP=self.postgres.address, podIPs=[{"ip": self.postgres.address}])
        self.make_pod(deployment, "Deployment", {}, pod)
        status = recorded_status("18-deployment-available.json")
        status["observedGeneration"] = deployment["metadata"]["generation"]
        self.set_status("deployments", deployment, status)

    def namespace(self, name):
        """The Namespace as it was seen last; None when it is not there."""
        with self.lock:
            return self.now["namespaces"].get(("", name))

    def annotations(self, name):
        """Without our prefix; {} when the Namespace is not there."""
        found = self.namespace(name)
        given = {} if found is None else found["metadata"].get("annotations", {})
        return {key.removeprefix(P): value for key, value in given.items()}

    def names(self, kind, namespace):
        with self.lock:
            return {name for where, name in self.now[kind] if where == namespace}

    def history(self, kind, type_):
        """(time, object) of these events, oldest first."""
        with self.lock:
            return [(at, item) for at, what, of, item in self.seen if what == type_ and of == kind]
