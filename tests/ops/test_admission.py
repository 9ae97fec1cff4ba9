#!/usr/bin/python3
"""The overlay admission: requests as the API server would put them to its policy, each of whose expressions is evaluated. TAP.

usage: test_admission.py SOURCE_ROOT DUMP_OBJECTS
What a ValidatingAdmissionPolicy does with the results is here, the language is another's (cel.sh); both after
https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/.
"""
import json
import pathlib
import subprocess
import sys

import yaml

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True  # the source folder stays as it was
sys.path.insert(0, str(HERE))
import tap

SOURCE, DUMP_OBJECTS = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
NPM = SOURCE / "build/npm"
OPERATOR, SOMEBODY = "system:serviceaccount:pgro-system:understory", "kubernetes-admin"
OURS = {"pgro.bes.au/managed-by": "pgro-canopy"}
GROUPS = {"namespaces": "", "secrets": "", "rolebindings": "rbac.authorization.k8s.io", "clusterrolebindings": "rbac.authorization.k8s.io"}
ACCOUNT = {"kind": "ServiceAccount", "name": "understory", "namespace": "pgro-system"}
ALLOWED, UNTOUCHED, ERROR = "allowed", "not asked", "an expression cannot be evaluated"
# The beginnings of the policy's messages.
CHANGES = "understory changes and deletes only Namespaces"
KEEPS = "a Namespace that understory makes has the label"
BINDS_THERE = "understory binds itself only in Namespaces"
BINDS_ITSELF = "understory binds understory-replica, and to itself alone"


def namespace(labels=None, name="x", **annotations):
    meta = {"name": name, "uid": "1", **({} if labels is None else {"labels": labels}), **({"annotations": annotations} if annotations else {})}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": meta, "spec": {}, "status": {}}


def binding(*subjects, role="understory-replica", kind="ClusterRole"):
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "understory", "namespace": "x"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}, **({"subjects": list(subjects)} if subjects else {})}


def request(operation, resource, new=None, old=None, where=None, user=OPERATOR):
    """The variables that expressions have. where: the Namespace of the object, None when it has none."""
    return {"request": {"operation": operation, "resource": {"group": GROUPS[resource], "version": "v1", "resource": resource},
                        "userInfo": {"username": user}},
            "object": new, "oldObject": old, "namespaceObject": where}


def bind(*subjects, where=OURS, user=OPERATOR, **more):
    return request("CREATE", "rolebindings", binding(*subjects, **more), where=namespace(where), user=user)


def update(old, new, user=OPERATOR):
    return request("UPDATE", "namespaces", namespace(new, changed="1"), namespace(old), user=user)


def delete(labels, user=OPERATOR):
    return request("DELETE", "namespaces", old=namespace(labels), user=user)


# (what, outcome, request)
CASES = [
    ("makes a Namespace with our label", ALLOWED, request("CREATE", "namespaces", namespace(OURS))),
    ("makes one without labels", KEEPS, request("CREATE", "namespaces", namespace())),
    ("makes one with other labels", KEEPS, request("CREATE", "namespaces", namespace({"a": "b"}))),
    ("makes one with another's label", KEEPS, request("CREATE", "namespaces", namespace({"pgro.bes.au/managed-by": "another"}))),
    ("annotates ours", ALLOWED, update(OURS, OURS)),
    ("gives ours one label more", ALLOWED, update(OURS, {**OURS, "a": "b"})),
    ("takes our label off", KEEPS, update(OURS, {})),
    ("takes all labels off", KEEPS, update(OURS, None)),
    ("gives ours another value", KEEPS, update(OURS, {"pgro.bes.au/managed-by": "another"})),
    ("puts our label on a foreign one", CHANGES, update(None, OURS)),
    ("puts it on one with labels", CHANGES, update({"a": "b"}, {"a": "b", **OURS})),
    ("annotates a foreign one", CHANGES, update({"a": "b"}, {"a": "b"})),
    ("deletes ours", ALLOWED, delete(OURS)),
    ("deletes one with other labels", CHANGES, delete({"kubernetes.io/metadata.name": "kube-system"})),
    ("deletes one without labels", CHANGES, delete(None)),
    ("binds itself in ours", ALLOWED, bind(ACCOUNT)),
    ("binds itself in a Namespace without labels", BINDS_THERE, bind(ACCOUNT, where=None)),
    ("binds itself in one with other labels", BINDS_THERE, bind(ACCOUNT, where={"app.kubernetes.io/name": "understory"})),
    ("binds cluster-admin", BINDS_ITSELF, bind(ACCOUNT, role="cluster-admin")),
    ("binds a Role of that name", BINDS_ITSELF, bind(ACCOUNT, kind="Role")),
    ("binds a User", BINDS_ITSELF, bind({"kind": "User", "name": "understory", "namespace": "pgro-system"})),
    ("binds another account", BINDS_ITSELF, bind({**ACCOUNT, "name": "default"})),
    ("binds an account of its name elsewhere", BINDS_ITSELF, bind({**ACCOUNT, "namespace": "x"})),
    ("binds itself and somebody", BINDS_ITSELF, bind(ACCOUNT, {"kind": "User", "name": "eve"})),
    ("binds a Group", BINDS_ITSELF, bind({"kind": "Group", "name": "system:serviceaccounts:pgro-system"})),
    ("binds nobody", ERROR, bind()),
    ("makes a Secret", UNTOUCHED, request("CREATE", "secrets", {"metadata": {"name": "x"}}, where=namespace())),
    ("somebody deletes a Namespace", UNTOUCHED, delete(None, user=SOMEBODY)),
    ("somebody makes one", UNTOUCHED, request("CREATE", "namespaces", namespace(), user=SOMEBODY)),
    ("somebody labels one", UNTOUCHED, update(None, OURS, user=SOMEBODY)),
    ("somebody takes our label off", UNTOUCHED, update(OURS, None, user=SOMEBODY)),
    ("somebody binds cluster-admin", UNTOUCHED, bind({"kind": "User", "name": "eve"}, role="cluster-admin", where=None, user=SOMEBODY)),
    ("an account of its name elsewhere deletes one", UNTOUCHED, delete(None, user="system:serviceaccount:x:understory")),
    ("another account of its Namespace deletes one", UNTOUCHED, delete(None, user="system:serviceaccount:pgro-system:default")),
]


class Policy:
    def __init__(self, objects):
        spec, = (o["spec"] for o in objects if o["kind"] == "ValidatingAdmissionPolicy")
        self.failure, self.constraints = spec["failurePolicy"], spec["matchConstraints"]
        self.conditions, self.rules = spec["matchConditions"], spec["validations"]

    def is_matched(self, variables):
        of = variables["request"]
        return any(of["operation"] in rule["operations"] and of["resource"]["group"] in rule["apiGroups"]
                   and of["resource"]["version"] in rule["apiVersions"] and of["resource"]["resource"] in rule["resources"]
                   for rule in self.constraints["resourceRules"])

    def results(self, requests):
        """Of each expression, conditions first, for each request."""
        expressions = [part["expression"] for part in self.conditions + self.rules]
        done = subprocess.run(["node", HERE / "evaluate.mjs", NPM / "cel-js"], text=True, capture_output=True,
                              input=json.dumps({"expressions": expressions, "requests": requests}))
        if done.returncode != 0:
            raise SystemExit(f"Bail out! node: {done.stderr[-500:]}")
        return json.loads(done.stdout)

    def outcomes(self, variables, results):
        """What becomes of a request: one word, or the messages of all rules that it breaks."""
        conditions, rules = results[:len(self.conditions)], results[len(self.conditions):]
        if not self.is_matched(variables) or False in conditions:
            return {UNTOUCHED}
        broken = {rule["message"] for rule, result in zip(self.rules, rules) if result is False}
        unclear = {ERROR for result in conditions + rules if not isinstance(result, bool)}
        return broken | unclear or {ALLOWED}


def operators_own():
    """Requests for the objects that the operator makes."""
    text = subprocess.run([DUMP_OBJECTS], check=True, stdout=subprocess.PIPE, text=True).stdout
    for made in json.loads(text):
        if made["kind"] == "Namespace":
            yield request("CREATE", "namespaces", made)
            yield request("UPDATE", "namespaces", made, made)
            yield request("DELETE", "namespaces", old=made)
        elif made["kind"] == "RoleBinding":
            yield request("CREATE", "rolebindings", made, where=namespace(OURS))


def check_cases(policy):
    """Each is decided as it has to be; and each rule alone decides one of them."""
    alone = set()
    for (what, wanted, variables), results in zip(CASES, policy.results([variables for _, _, variables in CASES])):
        is_ = policy.outcomes(variables, results)
        alone |= is_ if len(is_) == 1 else set()
        tap.check(f"{what}: {wanted}", None if any(one.startswith(wanted) for one in is_) else f"{is_}, of {results}")
    idle = [rule["message"] for rule in policy.rules if rule["message"] not in alone]
    tap.check("there is a request that breaks this rule alone, for each", idle)


def check_own(policy):
    own = list(operators_own())
    refused = [f"{variables}: {outcome}" for variables, results in zip(own, policy.results(own))
               for outcome in [policy.outcomes(variables, results)] if outcome != {ALLOWED}]
    tap.check(f"{len(own)} requests for what the operator makes are allowed", None if own and not refused else refused or "there are none")


def main():
    fetched = subprocess.run([HERE / "cel.sh", NPM], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if fetched.returncode != 0:
        raise SystemExit(f"Bail out! {fetched.stdout}")
    objects = list(yaml.safe_load_all((SOURCE / "ops/overlays/admission/policy.yaml").read_text()))
    policy = Policy(objects)
    binding_of = next(o for o in objects if o["kind"] == "ValidatingAdmissionPolicyBinding")["spec"]
    account = next(o for o in yaml.safe_load_all((SOURCE / "ops/base/account.yaml").read_text()) if o["kind"] == "ServiceAccount")["metadata"]
    tap.check("the operator is the account of ops/base",
              None if OPERATOR == f"system:serviceaccount:{account['namespace']}:{account['name']}" else account)
    tap.check("what breaks the policy is denied, everywhere",
              None if binding_of == {"policyName": "understory", "validationActions": ["Deny"]} else binding_of)
    tap.check("and what cannot be evaluated", None if policy.failure == "Fail" else policy.failure)
    check_cases(policy)
    check_own(policy)
    return tap.end()


sys.exit(main())
