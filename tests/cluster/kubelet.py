"""What a scheduler and a kubelet do of a pod's life, in a cluster in which no container runs: it is bound to the one node, its containers
have ended or are ready at once, and when it is deleted it goes. Statuses are those of recordings/node-1.26, with the operator's termination
message in the restore's pod and the address of a real PostgreSQL as the database's.
"""
import threading
import urllib.error

from controllers import EXIT_INCOMPLETE, FAILURE_MESSAGE, MERGE, RESTORE_MESSAGE, recorded_status

NODE = "node"
LOOK_EVERY_S = 0.2


class Kubelet:
    """Looks at all pods until stopped. fails: words of the names of Namespaces whose restores fail, until taken away."""

    def __init__(self, plane, major, address):
        self.plane, self.major, self.address, self.fails = plane, major, address, set()
        self.errors, self.is_ending, self.seen = [], threading.Event(), set()
        plane.call("POST", "/api/v1/nodes", {"metadata": {"name": NODE}})
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def stop(self):
        self.is_ending.set()
        self.thread.join(30)

    def run(self):
        while not self.is_ending.wait(LOOK_EVERY_S):
            try:
                for pod in self.plane.items("/api/v1/pods"):
                    self.look(pod)
            except OSError as error:
                if getattr(error, "code", 404) not in (404, 409) and not self.is_ending.is_set():
                    self.errors.append(f"{error!r}")

    def look(self, pod):
        meta = pod["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        if "deletionTimestamp" in meta:
            self.plane.call("DELETE", path, {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}})
        elif "pgro.bes.au/round" in meta.get("labels", {}) and meta["uid"] not in self.seen:
            self.seen.add(meta["uid"])
            self.plane.call("POST", path + "/binding", {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": meta["name"]},
                                                        "target": {"kind": "Node", "name": NODE}})
            self.plane.call("PATCH", path + "/status", {"status": self.status_of(pod)}, MERGE)

    def status_of(self, pod):
        """Containers are named as the pod names them."""
        is_restore = pod["metadata"]["ownerReferences"][0]["kind"] == "Job"
        is_failing = any(word in pod["metadata"]["namespace"] for word in self.fails)
        if not is_restore:
            status = recorded_status("19-pod-ready.json")
            status.update(podIP=self.address, podIPs=[{"ip": self.address}])
            return status
        status = recorded_status("10-pod-failed.json" if is_failing else "06-pod-succeeded.json")
        container = status["containerStatuses"][0]
        container["name"] = pod["spec"]["containers"][0]["name"]
        container["state"]["terminated"].update(message=FAILURE_MESSAGE if is_failing else RESTORE_MESSAGE % self.major,
                                                exitCode=EXIT_INCOMPLETE if is_failing else 0)
        return status
