#!/usr/bin/python3
"""Where are the secrets of a run? Keys of the store (the long-lived one, and every set that stub-canopy has handed out) and tokens for
the API server may be nowhere; the password of the repository in Secret restore-<key> and in the environment of the engine, by its own
variable, and nowhere else.

  leaks.py look WORK           all objects of stub-apiserver and all logs, now
  leaks.py watch WORK RESULTS  arguments and environment of all processes of this machine, and all objects, again and again until
                                 SIGTERM; what was found is in RESULTS then
  leaks.py expired WORK        does the store refuse the first set that was handed out, and take the newest?

WORK is that of data_path.sh. A line a finding, with the name of the secret, never the secret; then a line that begins with
"looked at" and says how much was looked at, and how often the password was seen where it belongs: nobody has looked who has not seen
that. Exit 1 when there is a finding, or nothing was seen.
"""
import base64
import json
import os
import pathlib
import re
import signal
import ssl
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "canopy/proxy"))
import s3sign

PASSWORD = "the repository's password"
PASSWORD_VARIABLES = {"RESTIC_PASSWORD", "KOPIA_PASSWORD"}


def get(url, **trust):
    with urllib.request.urlopen(url, timeout=20, **trust) as answer:
        return json.load(answer)


class Scan:
    def __init__(self, work):
        self.work = pathlib.Path(work)
        self.secrets = {}  # bytes: what it is
        self.findings = set()
        self.counts = dict.fromkeys(("processes", "engines", "proxies", "objects", "Secrets of rounds", "logs"), 0)
        self.seen = set()  # (pid, program): counted
        self.searched = set()  # (pid, arguments, number of secrets): an environment stays as it is until the next exec
        keys = dict(line.split("=", 1) for line in (self.work / "s3/keys/backup.key").read_text().splitlines())
        self.add(keys["AWS_ACCESS_KEY_ID"], "the long-lived access key id")
        self.add(keys["AWS_SECRET_ACCESS_KEY"], "the long-lived secret access key")
        source = pathlib.Path((self.work / "source.dir").read_text().strip())
        self.add((source / "repository.password").read_text().strip(), PASSWORD)

    def add(self, value, what):
        """Also as base64, at whichever of three places in a longer text it may begin."""
        raw = value.encode()
        self.secrets[raw] = what
        for shift in range(3):
            encoded = base64.b64encode(b"\0" * shift + raw)
            self.secrets[encoded[4 if shift else 0:-4]] = what + " in base64"

    def add_token(self, user):
        self.add((self.work / f"{user}.token").read_text().strip(), f"the token of {user} for the API server")

    def url(self, name):
        return "http://127.0.0.1:" + (self.work / f"{name}.port").read_text().strip()

    def kube(self, path):
        """A GET at the API server, as the one who may do everything."""
        where = self.url("apiserver").replace("http:", "https:") + path
        name, value = (self.work / "admin.header").read_text().strip().split(": ")
        return get(urllib.request.Request(where, headers={name: value}), context=ssl.create_default_context(cafile=self.work / "ca.crt"))

    def learn(self):
        for user in ("admin", "operator"):
            self.add_token(user)
        for number, issued in enumerate(get(self.url("canopy") + "/_issued"), 1):
            for member in ("AccessKeyId", "SecretAccessKey", "SessionToken"):
                self.add(issued[member], f"{member} of set {number}")

    def search(self, data, place, allowed=None):
        for secret, what in self.secrets.items():
            if secret in data and what != allowed:
                self.findings.add(f"{what} is in {place}")

    def processes(self):
        for name in filter(str.isdigit, os.listdir("/proc")):
            if int(name) == os.getpid():
                continue
            try:
                arguments = pathlib.Path(f"/proc/{name}/cmdline").read_bytes()
                key = (name, arguments, len(self.secrets))
                if key in self.searched:
                    continue
                environment = pathlib.Path(f"/proc/{name}/environ").read_bytes()
            except OSError:
                continue
            self.searched.add(key)
            program = arguments.split(b"\0")[0].decode(errors="replace").rsplit("/", 1)[-1]
            self.process(int(name), program, arguments, [v.partition(b"=") for v in environment.split(b"\0")])

    def process(self, pid, program, arguments, environment):
        self.search(arguments, f"the arguments of {program}")
        names = {name.decode(errors="replace") for name, _, _ in environment}
        is_engine = "SNAPSHOT_ID" in names and "PGRO_BROKER_URL" not in names
        for name, _, value in environment:
            belongs = is_engine and name.decode(errors="replace") in PASSWORD_VARIABLES
            self.search(value, f"the environment of {program}: {name.decode(errors='replace')}", PASSWORD if belongs else None)
            if (pid, program) not in self.seen and belongs and self.secrets.get(value) == PASSWORD:
                self.counts["engines"] += 1
        if (pid, program) not in self.seen:
            self.seen.add((pid, program))
            self.counts["processes"] += 1
            its_own = ("http://127.0.0.1:" + (self.work / "throttle.port").read_text().strip()).encode()
            self.counts["proxies"] += program == "understory-proxy" and (b"S3_ENDPOINT", b"=", its_own) in environment

    def resources(self):
        """The path of every resource that can be listed."""
        groups = ["/api/v1"] + ["/apis/" + group["preferredVersion"]["groupVersion"] for group in self.kube("/apis")["groups"]]
        return [f"{group}/{resource['name']}" for group in groups for resource in self.kube(group)["resources"]
                if "list" in resource["verbs"] and "/" not in resource["name"]]

    def objects(self):
        number = rounds = 0
        for path in self.resources():
            for item in self.kube(path).get("items", []):
                number += 1
                rounds += self.object(path.rsplit("/", 1)[-1], item)
        self.counts["objects"] = max(self.counts["objects"], number)
        self.counts["Secrets of rounds"] = max(self.counts["Secrets of rounds"], rounds)

    def object(self, kind, item):
        """How often the password was where it belongs."""
        place = f"{kind} {item['metadata'].get('namespace', '')}/{item['metadata']['name']}"
        belongs = 0
        if kind == "secrets":
            for key, value in item.pop("data", {}).items():
                is_its_own = re.fullmatch("restore-[0-9a-f]{8}", item["metadata"]["name"]) and key == "repositoryPassword"
                data = base64.b64decode(value)
                self.search(data, f"{place}: {key}", PASSWORD if is_its_own else None)
                belongs += bool(is_its_own and self.secrets.get(data) == PASSWORD)
        self.search(json.dumps(item, ensure_ascii=False).encode(), place)
        return belongs

    def logs(self):
        for folder in ("log", "node"):
            for path in (self.work / folder).rglob("*.log"):
                self.counts["logs"] += 1
                self.search(path.read_bytes(), f"the log {path.relative_to(self.work)}")

    def tell(self, to, needed):
        for finding in sorted(self.findings):
            print(finding, file=to)
        print("looked at " + ", ".join(f"{count} {what}" for what, count in self.counts.items() if count), file=to)
        return not self.findings and all(self.counts[what] > 0 for what in needed)


def look(work):
    scan = Scan(work)
    scan.learn()
    scan.objects()
    scan.logs()
    return scan.tell(sys.stdout, ("objects", "Secrets of rounds", "logs"))


def watch(work, results):
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    scan = Scan(work)
    while not ended:
        try:
            scan.learn()
            scan.objects()
        except OSError:
            pass  # stand-ins come and go between scenarios
        for _ in range(5):
            scan.processes()
            time.sleep(0.2)
    with open(results, "w", encoding="utf-8") as file:
        return scan.tell(file, ("engines", "proxies", "objects", "Secrets of rounds"))


def expired(work):
    scan = Scan(work)
    sets = get(scan.url("canopy") + "/_issued")
    endpoint = dict(line.split("=", 1) for line in (scan.work / "s3/env").read_text().splitlines())["S3_ENDPOINT"]
    ask = lambda keys: s3sign.call(endpoint, "GET", "/backups/nauru/config", "", b"", keys["AccessKeyId"], keys["SecretAccessKey"],
                                   token=keys["SessionToken"])
    old, new = ask(sets[0]), ask(sets[-1])
    print(f"{len(sets)} sets; the first: {old[0]} {old[1][:200]}; the last: {new[0]}")
    return old[0] in (400, 403) and new[0] == 200


def main():
    command = {"look": look, "watch": watch, "expired": expired}[sys.argv[1]]
    return 0 if command(*sys.argv[2:]) else 1


sys.exit(main())
