#!/usr/bin/env python3
"""The rights that requests needed against the roles that grant them: nothing missing, nothing too much.

usage: rights.py MANIFESTS REQUESTS_LOG

REQUESTS_LOG is what stub-apiserver --log wrote (fixtures/apiserver/tally.h). Prints a line for each comparison: "ok" or "wrong",
what it is, details; divided by tabs.
"""
import datetime
import re
import sys

import yaml

OPERATOR_NAMESPACE, ACCOUNT = "pgro-system", "understory"
YOUNG_S = 30
LINE = re.compile(r"(\S+) (\S+) (\S+) (\S+) (\d+) \d+ms (.*)")
PATH = re.compile(r"/(?:api/v1|apis/(?P<group>[^/]+)/v1)(?:/namespaces/(?P<namespace>[^/]+)(?=/[a-z]+))?/(?P<resource>[a-z]+)"
                  r"(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?")

# Rights that a run like this does not use, and why the operator has them all the same.
REASONS = {
    ("", "", "pods", "get", "*"): "goes with list and watch, which show the same",
    (OPERATOR_NAMESPACE, "", "secrets", "patch", "understory-ca"): "the certificate is renewed after two thirds of its life",
}


def requests(path):
    """(time, verb, group, resource, namespace, name, status) of what the operator asked for, "" for the whole cluster."""
    for line in open(path, encoding="utf-8"):
        found = LINE.fullmatch(line.rstrip("\n"))
        if found is None:
            raise SystemExit(f"{path}: not understood: {line}")
        when, verb, method, target, status, agent = found.groups()
        there = PATH.fullmatch(target)
        if not agent.startswith("understory/") or there is None:
            continue
        resource = there["resource"] + ("/" + there["sub"] if there["sub"] else "")
        if verb == "other":  # a kind that the stand-in does not keep (TokenReview)
            verb = {"POST": "create"}[method]
        yield (datetime.datetime.fromisoformat(when.replace("Z", "+00:00")), verb, there["group"] or "", resource,
               there["namespace"] or "", there["name"] or "", int(status))


def grants(objects):
    """{where: rules}: where is "" for the whole cluster, a Namespace, or "replicas" where the operator binds itself."""
    roles = {(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o["rules"] for o in objects if "rules" in o}
    made = {"replicas": roles["ClusterRole", "", "understory-replica"]}
    for binding in objects:
        if "roleRef" not in binding or not any(s["name"] == ACCOUNT for s in binding["subjects"]):
            continue
        where, ref = binding["metadata"].get("namespace", ""), binding["roleRef"]
        made.setdefault(where, []).extend(roles[ref["kind"], where if ref["kind"] == "Role" else "", ref["name"]])
    return made


def rights(granted):
    """Each grant as single rights: (where, group, resource, verb, name or "*")."""
    return {(where, group, resource, verb, name) for where, rules in granted.items() for rule in rules
            for group in rule["apiGroups"] for resource in rule["resources"] for verb in rule["verbs"]
            for name in rule.get("resourceNames", ["*"])}


def place(namespace):
    return namespace if namespace in ("", OPERATOR_NAMESPACE) else "replicas"


def used(held, asked):
    """The rights that a request rests on: those of the whole cluster and of its Namespace that let it through."""
    _, verb, group, resource, namespace, name, status = asked
    verbs = {verb}
    if verb == "patch" and status == 201:
        verbs.add("create")  # an apply of something new
    of = {right for right in held if right[1:3] == (group, resource) and right[3] in verbs and right[0] in ("", place(namespace))
          and right[4] in ("*", name)}
    if (group, resource, verb) == ("rbac.authorization.k8s.io", "rolebindings", "create") and status == 201:
        of |= {right for right in held if right[3] == "bind"}
    return of


def young(log):
    """The Namespaces' first requests: a 403 within the first seconds of one is expected."""
    first = {}
    for asked in log:
        namespace = asked[4] or (asked[5] if asked[3] == "namespaces" else "")
        first.setdefault(namespace, asked[0])
    return first


def doubled(held):
    """Rights in a Namespace that the whole cluster's hold already."""
    return sorted(right for right in held if right[0] and ("",) + right[1:4] + ("*",) in held)


def main():
    manifests, log_path = sys.argv[1:]
    with open(manifests, encoding="utf-8") as file:
        held = rights(grants([o for o in yaml.safe_load_all(file) if o]))
    log = list(requests(log_path))
    first = young(log)
    refused = [a for a in log if a[6] == 403]
    old = [a for a in refused if not a[4] or (a[0] - first[a[4]]).total_seconds() >= YOUNG_S]
    missing = sorted({a[1:6] for a in log if a[6] != 403 and not used(held, a)})
    needed = set().union(*(used(held, a) for a in log if a[6] != 403))
    idle = sorted(held - needed - REASONS.keys())
    stale = sorted(REASONS.keys() & needed) + sorted(REASONS.keys() - held)
    for what, bad in ((f"{len(log)} requests, each refusal in a young Namespace", old), ("bindings took their time", not refused),
                      ("no right is missing in the roles", missing), ("no role gives a right that is not used", idle),
                      ("no right is given twice", doubled(held)), ("the rights that are excused are there and not used", stale)):
        shown = bad if bad is True else "; ".join(" ".join(map(str, item)) for item in list(bad or [])[:8])
        print(f"{'wrong' if bad else 'ok'}\t{what}\t{shown}")


main()
