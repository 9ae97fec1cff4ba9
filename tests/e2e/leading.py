#!/usr/bin/env python3
"""An operator loses its Lease to somebody else and gets it back. Speaks TAP.

Who led meanwhile may have registered the intents of other settings with canopy, which drops the entries of what is not advertised: so each
time an operator begins to lead it registers its own before it asks for a worklist.

usage: leading.py BUILD_FOLDER
"""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
from stage import OPERATOR_NAMESPACE, P, Stage, call, entry, namespace, wait_until
from tap import end, equal

LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{OPERATOR_NAMESPACE}/leases/understory"
REGISTRATION, WORKLIST = "/restore-capabilities", "/restore-worklist"
PATCH = "application/merge-patch+json"


def is_managed(item):
    return P + "managed-by" in item["metadata"].get("labels", {})


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    with Stage(build, [entry(1, "analytics")], log=True) as stage:
        asked = lambda path: sum(row["count"] for row in stage.canopy_requests() if row["path"] == path)
        give_lease = lambda to: call("PATCH", stage.api + LEASE, {"spec": {"holderIdentity": to}}, PATCH)
        stage.operator()
        wait_until("passes", lambda: asked(WORKLIST) >= 3, 60)
        equal("it registers once", asked(REGISTRATION), 1)

        give_lease("somebody-else")
        wait_until("it stops", lambda: "the lease is lost" in stage.log("operator"), 60)
        time.sleep(1.5)
        before = asked(WORKLIST)
        call("POST", stage.canopy + REGISTRATION, {"intents": []})
        call("POST", stage.canopy + "/_faults", [{"path": REGISTRATION, "status": 502}])
        time.sleep(1.5)
        equal("without its Lease it asks for no worklist", asked(WORKLIST), before)

        give_lease("")
        wait_until("a try to register", lambda: asked(REGISTRATION) >= 3, 60)
        time.sleep(1.5)
        equal("leading again, it asks for none before its intents are registered", asked(WORKLIST), before)
        call("POST", stage.canopy + "/_faults", [])
        wait_until("passes again", lambda: asked(WORKLIST) >= before + 2, 60)
        equal("then it has said so twice", stage.log("operator").count("intents registered"), 2)
        equal("and its replica is wanted as before", [item["metadata"]["name"] for item in call("GET", stage.api + "/api/v1/namespaces")["items"]
                                                      if "deletionTimestamp" not in item["metadata"] and is_managed(item)],
              [namespace(entry(1, "analytics"))])
        equal("it is refused nothing", stage.refused(), [])
    return end()


sys.exit(main())
