"""Replicas that serve, as the lines of the file that stub-apiserver starts with (fixtures/apiserver/datafile.h).

Each has what an active replica has in the field: its Namespace with all annotations and the operator's rights in it, the Job of its
round with that Job's pod, the Deployment with its pod, and the claim. Except for names, labels and annotations, objects are as recordings/node-1.26 shows them.
"""
import hashlib
import json
import pathlib
import time
import uuid

import people
from stage import GROUP, SERVER, namespace

RECORDINGS = pathlib.Path(__file__).resolve().parents[1] / "recordings/node-1.26"
P = "pgro.bes.au/"
SIZED_BY_NOTHING = "492504b5"  # builders/sizing.c, of the settings' defaults; else each Deployment would be sized anew


def when(seconds_ago):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds_ago))


def round_key(snapshot, attempt=1):
    return hashlib.sha256(f"{snapshot}\n{attempt}".encode()).hexdigest()[:8]


def labels(component, with_round=True):
    """With words in place of what differs from replica to replica: REPLICA, INTENT, NAMESPACE, ROUND."""
    made = {P + "managed-by": "pgro-canopy", P + "declaration-id": "REPLICA", P + "group": GROUP, P + "server": SERVER,
            P + "type": "tamanu-postgres", P + "intent": "INTENT", "app.kubernetes.io/name": "postgres-replica",
            "app.kubernetes.io/instance": "NAMESPACE", "app.kubernetes.io/component": component,
            "app.kubernetes.io/managed-by": "understory"}
    return {**made, P + "round": "ROUND"} if with_round else made


def annotations():
    made = {"restore-state": "active", "desired-snapshot-id": "SNAPSHOT", "desired-snapshot-at": "TAKEN", "round": "ROUND",
            "round-snapshot-id": "SNAPSHOT", "attempt": "1", "run-id": "RUN", "round-started-at": when(22000), "active-round": "ROUND",
            "last-restored-snapshot-id": "SNAPSHOT", "last-restored-at": when(21600), "postgres-version": "15.20",
            "traffic": '{"received_payload_bytes":4831838208,"received_raw_bytes":4835201024,"sent_payload_bytes":0,'
                       '"sent_raw_bytes":9437184}',
            "last-verification-reported-at": when(21500), "last-verification-reported-round": "ROUND"}
    return {P + key: value for key, value in made.items()}


def recorded(name, prefix, component, more_labels):
    """A recorded object under another name; owners are left out, since not every one is there."""
    made = json.loads((RECORDINGS / name).read_text())["object"]
    made = {key: value for key, value in made.items() if key not in ("kind", "apiVersion")}
    made["metadata"] = {key: value for key, value in made["metadata"].items() if key not in ("ownerReferences", "generateName")}
    made["metadata"].update(name=prefix + "ROUND", namespace="NAMESPACE", labels={**labels(component), **more_labels}, uid="UID",
                            resourceVersion="VERSION")
    return made


def prepared():
    """The status of the container that recovered the database, with all that it says."""
    made = json.loads((RECORDINGS / "15-pod-init-failed.json").read_text())["object"]["status"]["initContainerStatuses"][0]
    said = {"postgres_version": "15", "capture": "crash_consistent", "disarmed": ["postgresql.auto.conf: archive_command"] * 8,
            "recovery_seconds": 12, "checkpoint_at": when(30000), "recovered_to": "2/9E0148F8", "repaired": [], "notes": []}
    made["state"]["terminated"].update(exitCode=0, reason="Completed", message=json.dumps(said))
    return made


def templates():
    """(kind, text) of the objects of one replica; of one kind in the order of their names."""
    job = {"job-name": "restore-ROUND"}
    pod_security = {"pod-security.kubernetes.io/" + mode: "restricted" for mode in ("audit", "enforce", "warn")}
    deployment = recorded("18-deployment-available.json", "postgres-", "database", {"app.kubernetes.io/version": "15"})
    deployment["metadata"]["annotations"].update({P + "restored-bytes": "4831838208", P + "restored-files": "1412",
                                                  P + "sizing": SIZED_BY_NOTHING})
    postgres = recorded("19-pod-ready.json", "postgres-", "database", {})
    postgres["status"]["initContainerStatuses"] = [prepared()]
    objects = [
        ("namespaces", {"metadata": {"name": "NAMESPACE", "uid": "UID", "resourceVersion": "VERSION", "creationTimestamp": when(22000),
                                     "labels": {**labels("replica", False), "kubernetes.io/metadata.name": "NAMESPACE", **pod_security},
                                     "annotations": annotations()},
                        "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}),
        ("rolebindings.rbac.authorization.k8s.io", {
            "metadata": {"name": people.ACCOUNT, "namespace": "NAMESPACE", "uid": "UID", "resourceVersion": "VERSION",
                         "creationTimestamp": when(22000), "labels": labels("replica", False)},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "understory-replica"},
            "subjects": [{"kind": "ServiceAccount", "name": people.ACCOUNT, "namespace": people.OPERATOR_NAMESPACE}]}),
        ("jobs.batch", recorded("05-job-complete.json", "restore-", "restore", job)),
        ("deployments.apps", deployment),
        ("pods", postgres),
        ("pods", recorded("06-pod-succeeded.json", "restore-", "restore", job)),
        ("persistentvolumeclaims", recorded("02-pvc-bound.json", "pgdata-", "restore", {}))]
    return [(kind, json.dumps(made, separators=(",", ":"))) for kind, made in objects]


def lines(worklist):
    kinds, version = {}, 1000
    shapes = templates()
    for e in sorted(worklist, key=namespace):
        name, snapshot = namespace(e), e["snapshot_id"]
        words = {"NAMESPACE": name, "REPLICA": e["replica_id"], "INTENT": e["intent"], "SNAPSHOT": snapshot, "TAKEN": e["snapshot_at"],
                 "RUN": str(uuid.UUID(snapshot)), "ROUND": round_key(snapshot)}
        for kind, text in shapes:
            version += 1
            for word, value in {**words, "UID": str(uuid.UUID(int=version)), "VERSION": str(version)}.items():
                text = text.replace(f'{word}"', f'{value}"')
            kinds.setdefault(kind, []).append(f"{kind} {text}\n")
    yield json.dumps({"resourceVersion": str(version), "objects": sum(len(rows) for rows in kinds.values())}) + "\n"
    for rows in kinds.values():
        yield from rows
