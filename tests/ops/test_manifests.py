#!/usr/bin/python3
"""The manifests of ops/: rendered, held against the schemas of the Kubernetes kinds and what the program knows. TAP.

usage: test_manifests.py SOURCE_ROOT SCHEMA UNDERSTORY
"""
import copy
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True  # the source folder stays as it was
sys.path[:0] = [str(HERE), str(HERE.parent / "builders")]
import kustomize
import validate

ROOT, SCHEMA, UNDERSTORY = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
OPS = ROOT / "ops"
OVERLAYS = sorted(f"overlays/{p.name}" for p in (OPS / "overlays").iterdir())
BESIDE = ("overlays/admission", "overlays/prometheus")  # they hold no operator
NAMESPACE = "pgro-system"
CLUSTER_SCOPED = {"Namespace", "ClusterRole", "ClusterRoleBinding", "ValidatingAdmissionPolicy",
                  "ValidatingAdmissionPolicyBinding"}
# The kinds of volume that Pod Security `restricted` lets through.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
# Of the container's environment, what is no setting of understory.
TAILSCALE = re.compile(r"TS_[A-Z0-9_]+")

count = bad = 0


def check(what, complaint):
    """complaint: None or empty when all is well."""
    global count, bad
    count += 1
    bad += bool(complaint)
    print(f"{'not ok' if complaint else 'ok'} {count} - {what}")
    if complaint:
        print("\n".join("# " + line for line in str(complaint).splitlines()[:20]))


# --- objects

def check_schema(rendered):
    if not os.path.exists(SCHEMA):
        check(f"objects against their schemas # SKIP {SCHEMA} does not lie beside the clone", None)
        return
    schema = validate.Schema(SCHEMA)
    for folder, things in rendered.items():
        known = [t for t in things if (t["apiVersion"], t["kind"]) in schema.kinds]
        check(f"{folder}: {len(known)} objects against their schemas",
              "\n".join(f"{t['kind']} {t['metadata']['name']}: {c}" for t in known for c in [schema.complaint(t)] if c))
    spoiled = copy.deepcopy(find(rendered["base"], "Deployment"))
    spoiled["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    check("a misspelled field is seen", None if schema.complaint(spoiled) else "readinesProbe was accepted")


def find(things, kind, name="understory"):
    return next(t for t in things if t["kind"] == kind and t["metadata"]["name"] == name)


def places(things):
    """Every object has a Namespace or is of a kind that has none."""
    return [f"{t['kind']} {t['metadata']['name']}" for t in things
            if t["metadata"].get("namespace") != (None if t["kind"] in CLUSTER_SCOPED else NAMESPACE)]


def references(things):
    """What objects say of one another: mounted ConfigMaps, ServiceAccounts, ports, selectors, roles."""
    there = {(t["kind"], t["metadata"]["name"]) for t in things}
    pod = find(things, "Deployment")["spec"]["template"]
    ports = {p["name"]: p["containerPort"] for c in pod["spec"]["containers"] for p in c.get("ports", [])}
    volumes = {v["name"] for v in pod["spec"]["volumes"]}
    for volume in pod["spec"]["volumes"]:
        if "configMap" in volume and ("ConfigMap", volume["configMap"]["name"]) not in there:
            yield f"volume {volume['name']}: ConfigMap {volume['configMap']['name']} is not there"
    for container in pod["spec"]["containers"]:
        for mount in container["volumeMounts"]:
            if mount["name"] not in volumes:
                yield f"{container['name']} mounts {mount['name']}, which is no volume"
    for t in things:
        spec = t.get("spec", {})
        selector = spec.get("selector", spec.get("podSelector", {})) if t["kind"] != "Deployment" else spec["selector"]
        labels = selector.get("matchLabels", selector) if isinstance(selector, dict) else {}
        if t["kind"] in ("Service", "NetworkPolicy", "PodDisruptionBudget", "Deployment") and \
                (not labels or not labels.items() <= pod["metadata"]["labels"].items()):
            yield f"{t['kind']} {t['metadata']['name']} selects nothing"
        if t["kind"] == "Service" and any(ports.get(p["targetPort"]) != p["port"] for p in spec["ports"]):
            yield f"Service {t['metadata']['name']} leads to no port"
        if t["kind"] == "NetworkPolicy" and any(p["port"] not in ports for rule in spec["ingress"] for p in rule["ports"]):
            yield f"NetworkPolicy {t['metadata']['name']} opens no port"
        if "roleRef" in t and (t["roleRef"]["kind"], t["roleRef"]["name"]) not in there:
            yield f"{t['kind']} {t['metadata']['name']}: {t['roleRef']['name']} is not there"
        for subject in t.get("subjects", []):
            if (subject["kind"], subject["name"], subject["namespace"]) != ("ServiceAccount", "understory", NAMESPACE):
                yield f"{t['kind']} {t['metadata']['name']} is for {subject}"
    if ("ServiceAccount", pod["spec"]["serviceAccountName"]) not in there:
        yield "the pods' ServiceAccount is not there"


def unrestricted(things):
    """What Pod Security `restricted` refuses, and what we ask beyond it (field-notes: read-only root, no token by default)."""
    spec = find(things, "Deployment")["spec"]["template"]["spec"]
    pod = spec["securityContext"]
    if pod.get("runAsNonRoot") is not True or not pod.get("runAsUser") or pod.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield f"the pod's securityContext {pod}"
    if spec.get("automountServiceAccountToken") is not False or spec.get("enableServiceLinks") is not False:
        yield "a token is mounted everywhere, or service links are"
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield key
    for volume in spec["volumes"]:
        if not volume.keys() & VOLUMES:
            yield f"volume {volume}"
    for container in spec["containers"] + spec.get("initContainers", []):
        own = container.get("securityContext", {})
        if own != {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}:
            yield f"{container['name']}: securityContext {own}"
        if "memory" not in container.get("resources", {}).get("limits", {}):
            yield f"{container['name']}: no memory limit"


def secret_rights(things):
    """A Secret is named wherever it is read, and nobody lists them; but for the role of the replicas' Namespaces."""
    for t in things:
        for rule in t.get("rules", []) if t["metadata"]["name"] != "understory-replica" else []:
            is_named = t["kind"] == "Role" and (rule.get("resourceNames") or rule["verbs"] == ["create"])
            if "secrets" in rule["resources"] and not is_named:
                yield f"{t['kind']} {t['metadata']['name']}: {rule}"
            if "*" in rule["verbs"] + rule["resources"] + rule["apiGroups"]:
                yield f"{t['kind']} {t['metadata']['name']}: {rule}"


# --- design.md, "Rights": what is there in the whole cluster, and nothing else
CLUSTER_RIGHTS = {
    ("", "namespaces"): {"get", "list", "watch", "create", "patch", "delete"},
    ("batch", "jobs"): {"get", "list", "watch"}, ("apps", "deployments"): {"get", "list", "watch"},
    ("", "pods"): {"get", "list", "watch"}, ("", "persistentvolumeclaims"): {"get", "list", "watch"},
    ("authentication.k8s.io", "tokenreviews"): {"create"}, ("events.k8s.io", "events"): {"create", "patch"},
    ("rbac.authorization.k8s.io", "rolebindings"): {"create", "get"},
    ("rbac.authorization.k8s.io", "clusterroles", "understory-replica"): {"bind"}}


def cluster_rights(things):
    made = {}
    for rule in find(things, "ClusterRole")["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                made.setdefault((group, resource, *rule.get("resourceNames", [])), set()).update(rule["verbs"])
    return [(key, made.get(key), CLUSTER_RIGHTS.get(key)) for key in made.keys() | CLUSTER_RIGHTS.keys()
            if made.get(key) != CLUSTER_RIGHTS.get(key)]


def without_hash(things):
    """kustomize's versions make different hashes of the same content."""
    return json.loads(re.sub(r"understory-settings-[a-z0-9]{10}", "understory-settings-HASH", json.dumps(things)))


def check_install(rendered):
    with open(OPS / "install.yaml", encoding="utf-8") as file:
        installed = kustomize.by_name(without_hash([t for t in yaml.safe_load_all(file) if t]))
    wanted = kustomize.by_name(without_hash(rendered["base"]))
    check("ops/install.yaml is what ./build.sh manifests renders",
          "\n".join(str(key) for key in installed.keys() | wanted.keys() if installed.get(key) != wanted.get(key)))


# --- settings

def settings_table():
    """The environment variables and the keys of the file, as --help lists them."""
    text = subprocess.run([UNDERSTORY, "--help"], stdout=subprocess.PIPE, check=True, text=True).stdout
    names = re.findall(r"^  ([A-Z][A-Z0-9_]+)(?:, in the file (\S+))?$|^  ([a-z]\S*)$", text, re.MULTILINE)
    return {env for env, _, _ in names if env}, {name for _, key, alone in names for name in (key, alone) if name}


def environment(things):
    return [e["name"] for t in things if t["kind"] == "Deployment" for c in t["spec"]["template"]["spec"]["containers"]
            for e in c.get("env", [])]


def paths_of(value, prefix=""):
    """Keys of the settings file as --help writes them."""
    for key, below in value.items():
        if key == "intents":
            yield from (f"intents.<intent>.{k}" for intent in below.values() for k in intent)
        elif key == "retry":
            yield from (f"retry.{k}" for k in below)
        else:
            yield prefix + key


def uncommented(text):
    """The settings file with what it shows in comments: "#key", and "#  key" below one; "# Words" are words."""
    return re.sub(r"^#(?=\S|  )", "", text, flags=re.MULTILINE)


def check_settings(rendered):
    variables, keys = settings_table()
    check("--help is understood", None if len(variables) > 20 and "intents.<intent>.storageSize" in keys else (variables, keys))
    used = {name for things in rendered.values() for name in environment(things) if not TAILSCALE.fullmatch(name)}
    check("every variable in ops/ is a setting", sorted(used - variables))
    text = (OPS / "base/understory.yaml").read_text()
    shown = list(paths_of(yaml.safe_load(uncommented(text))))
    check("every key in understory.yaml is a setting", sorted(set(shown) - keys))
    check("every setting is shown in understory.yaml", sorted(keys - set(shown)))
    words = "\n".join(p.read_text() for p in OPS.rglob("*.yaml"))
    named = {n for n in re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b", words) if not TAILSCALE.fullmatch(n)}
    check("every variable that a comment in ops/ names is a setting", sorted(named - variables))
    readme = re.search(r"^## Settings\n(.*?)^## ", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)[1]
    rows = "\n".join(line.split("|")[1] for line in readme.splitlines() if line.startswith("|"))
    named = set(re.findall(r"\b[A-Z][A-Z0-9_]{3,}\b", rows))
    check("every variable in README's table is a setting", sorted(named - variables) if named else "there is no table")


def check_config(folder, things):
    """The program takes the environment and the file that the Deployment gives it."""
    container = find(things, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    settings = next(t["data"]["understory.yaml"] for t in things if t["kind"] == "ConfigMap" and "understory.yaml" in t["data"])
    values = {e["name"]: e.get("value", NAMESPACE) for e in container["env"]}
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(settings)
        file.flush()
        values["UNDERSTORY_CONFIG"] = file.name
        done = subprocess.run([UNDERSTORY, "check-config"], env={**values, "PATH": os.environ["PATH"]}, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
    check(f"{folder}: the program takes its settings", None if done.returncode == 0 else done.stdout)
    image = re.search(r"^CANOPY_PROXY_IMAGE +(\S+)", done.stdout, re.MULTILINE)
    check(f"{folder}: the proxy's image is the Deployment's", None if image and image[1] == container["image"] else done.stdout)
    said = {name: value for name, value in re.findall(r"^(\S+) +(\S+) ", done.stdout, re.MULTILINE)}
    ports = {p["name"]: str(p["containerPort"]) for p in container["ports"]}
    listens = {"broker": said["PGRO_BROKER_LISTEN_ADDR"].rsplit(":", 1)[1], "metrics": said["METRICS_ADDR"].rsplit(":", 1)[1]}
    check(f"{folder}: the ports are those that are listened on", None if listens == ports else (listens, ports))


# --- overlays

def check_overlays(rendered):
    base = kustomize.by_name(without_hash(rendered["base"]))
    wanted = {
        "overlays/mtls": {("Role", NAMESPACE, "understory-device"), ("RoleBinding", NAMESPACE, "understory-device")},
        "overlays/tailscale": {("Role", NAMESPACE, "understory-tailscale"), ("RoleBinding", NAMESPACE, "understory-tailscale"),
                               ("Secret", NAMESPACE, "tailscale-state")},
        "overlays/worklist-file": {("Role", NAMESPACE, "understory-secrets"), ("RoleBinding", NAMESPACE, "understory-secrets"),
                                   ("ConfigMap", NAMESPACE, "understory-worklist")}}
    wanted["components"] = wanted["overlays/mtls"] | wanted["overlays/tailscale"] | {
        ("Role", NAMESPACE, "understory-secrets"), ("RoleBinding", NAMESPACE, "understory-secrets")}
    names = set(environment(rendered["components"]))
    check("components: the settings of both components are there", {"CANOPY_DEVICE_CERT_SECRET", "CANOPY_SOCKS5_PROXY"} - names)
    for folder, more in wanted.items():
        there = kustomize.by_name(without_hash(rendered[folder]))
        check(f"{folder} adds its own objects to the base", sorted(there.keys() ^ (base.keys() | more)))
    tailscale = find(rendered["overlays/tailscale"], "Deployment")["spec"]
    environment_of = {e["name"]: e.get("value") for e in tailscale["template"]["spec"]["containers"][1]["env"]}
    is_alone = tailscale["replicas"] == 1 and tailscale["strategy"] == {"type": "Recreate"}
    check("tailscale: one pod at a time", None if is_alone else tailscale)
    is_found = environment_of["TS_SOCKS5_SERVER"] == "[::]:1055" and "socks5h://[::1]:1055" in json.dumps(tailscale)
    check("tailscale: SOCKS5 where the operator looks for it", None if is_found else environment_of)
    worklist = find(rendered["overlays/worklist-file"], "ConfigMap", "understory-worklist")["data"]["worklist.yaml"]
    check("worklist-file: the file is a worklist", None if yaml.safe_load(worklist) == [] else worklist)
    example = yaml.safe_load("\n".join(line[2:] for line in worklist.splitlines() if re.match(r"# (- |  )\w+: ", line)))
    role = find(rendered["overlays/worklist-file"], "Role", "understory-secrets")
    check("worklist-file: its example names a Secret that the role names",
          None if example[0]["secret"] in role["rules"][0]["resourceNames"] else example)


def check_prometheus(things, base):
    rules = yaml.safe_load((OPS / "alerts.yaml").read_text())
    check("prometheus: its rules are those of ops/alerts.yaml (./build.sh manifests)",
          None if find(things, "PrometheusRule")["spec"] == rules else "they differ")
    scrape = find(things, "ServiceMonitor")["spec"]
    service = find(base, "Service", "understory-metrics")
    is_found = scrape["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    check("prometheus: the Service of the metrics is scraped", None if is_found else scrape)
    check("prometheus: at its port", {e["port"] for e in scrape["endpoints"]} ^ {p["name"] for p in service["spec"]["ports"]})


def check_admission(things):
    """What its expressions say, test_admission.py asks."""
    policy = find(things, "ValidatingAdmissionPolicy")["spec"]
    matched = {(r["resources"][0], op) for r in policy["matchConstraints"]["resourceRules"] for op in r["operations"]}
    check("admission: it sees what the operator may do to Namespaces and RoleBindings",
          matched ^ {("namespaces", "CREATE"), ("namespaces", "UPDATE"), ("namespaces", "DELETE"), ("rolebindings", "CREATE")})


def main():
    rendered = {folder: kustomize.render(OPS, folder) for folder in ["base", *OVERLAYS]}
    rendered["components"] = kustomize.render(OPS, "all", sorted(p.name for p in (OPS / "components").iterdir()))
    check_schema(rendered)
    check_install(rendered)
    for folder, things in rendered.items():
        check(f"{folder}: objects are where they belong", places(things))
        check(f"{folder}: no right to a Secret that is not named", list(secret_rights(things)))
        if folder in BESIDE:
            continue
        check(f"{folder}: what objects say of one another is so", "\n".join(references(things)))
        check(f"{folder}: pods are restricted", "\n".join(unrestricted(things)))
        check(f"{folder}: the rights in the whole cluster are those of the design", cluster_rights(things))
        check_config(folder, things)
    level = find(rendered["base"], "Namespace", NAMESPACE)["metadata"]["labels"].get("pod-security.kubernetes.io/enforce")
    check("the operator's Namespace enforces restricted", None if level == "restricted" else level)
    check_settings(rendered)
    check_overlays(rendered)
    check_admission(rendered["overlays/admission"])
    check_prometheus(rendered["overlays/prometheus"], rendered["base"])
    print(f"1..{count}")
    return 1 if bad else 0


sys.exit(main())
