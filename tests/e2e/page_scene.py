"""A cluster in which each kind of thing is to be seen, as lines of the file that stub-apiserver starts with; and a browser."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
import replicas  # noqa: E402
from stage import P, entry, namespace  # noqa: E402

HOSTILE = '<script>document.title="taken"</script><img src=x onerror=alert(1)> "\'&\u202e end'
KINDS = ("active", "failed", "refused", "pending", "unavailable", "verify")


def remove(*keys):
    return {P + key: None for key in keys}


def annotations(kind, number):
    """What differs from a replica that serves; None: not there."""
    if kind == "failed":
        return {P + "restore-state": "failed", P + "failures": "3", P + "failed-at": replicas.when(5400 + number),
                P + "last-verdict": "failed recovery backup", P + "last-error":
                "FATAL: could not locate required checkpoint record: " + HOSTILE, **remove("active-round", "last-restored-snapshot-id")}
    if kind == "refused":
        return {P + "restore-state": "failed", P + "failures": "1", P + "failed-at": replicas.when(100), P + "last-verdict":
                "inconclusive restore cluster", P + "last-error": "the restore pod ended with exit code 1, Error: ServiceUnavailable",
                P + "last-verification-error": f"refused since {replicas.when(900)}: canopy: 404: no such declaration",
                **remove("last-verification-reported-round", "last-restored-snapshot-id")}
    if kind == "pending":
        return {P + "restore-state": "pending", **remove("round", "active-round", "last-restored-snapshot-id", "last-restored-at", "run-id",
                                                         "last-verification-reported-round")}
    return {P + "last-verdict": "clean checksums"}


def scene(count, kinds=KINDS):
    """(worklist, lines): count replicas, of these kinds in turn. A pending one has no snapshot, so that it stays as it is."""
    worklist, kind_of = [], {}
    for i in range(count):
        kind = kinds[i % len(kinds)]
        e = entry(i, "verify" if kind == "verify" else ("analytics", "disaster-recovery")[i % 2])
        kind_of[namespace(e)] = kind
        worklist.append(e)
    lines = []
    for line in replicas.lines(worklist):
        resource, _, text = line.partition(" ")
        if resource not in ("namespaces", "deployments.apps"):
            lines.append(line)
            continue
        made = json.loads(text)
        kind = kind_of[made["metadata"].get("namespace", made["metadata"]["name"])]
        if resource == "namespaces":
            for key, value in annotations(kind, len(lines)).items():
                made["metadata"]["annotations"][key] = value
            made["metadata"]["annotations"] = {k: v for k, v in made["metadata"]["annotations"].items() if v is not None}
        elif kind == "unavailable":
            for condition in made["status"]["conditions"]:
                if condition["type"] == "Available":
                    condition["status"] = "False"
        lines.append(f"{resource} {json.dumps(made)}\n")
    wanted = [{**e, "snapshot_id": None, "snapshot_at": None} if kind_of[namespace(e)] == "pending" else e for e in worklist]
    return wanted, lines


def browser(directory, *, dark=False, script=True, width=1440, height=900):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-proxy-server",
                     "--disable-background-networking", f"--window-size={width},{height}", f"--user-data-dir={directory}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if not script:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    driver.set_page_load_timeout(60)
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                           {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})
    if dark:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    return driver
