#!/usr/bin/python3
"""The container image: made twice, looked into, and run as a pod would run it: uid 65532, read-only root, no capability. TAP.

usage: test_image.py SOURCE_ROOT BUILD_FOLDER
The programs inside are those of SOURCE_ROOT/build, the release build, which ./build.sh makes; the stand-ins are BUILD_FOLDER's.
"""
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
import tempfile
import threading
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True  # the source folder stays as it was
sys.path[:0] = [str(HERE), str(HERE.parent / "bench")]
import replicas
import tap
from stage import OPERATOR_NAMESPACE, Stage, entry, wait_until

SOURCE, BUILD = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
RELEASE = SOURCE / "build"
MOST_BYTES = 25_000_000
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
REPLICAS = [entry(n, "analytics") for n in range(3)]
LABELS = {"title", "description", "version", "revision", "created", "licenses", "source"}


def run(*command, **more):
    return subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)


def make(folder):
    done = run("/usr/bin/python3", SOURCE / "ops/image.py", SOURCE, RELEASE, folder,
               env={**os.environ, "IMAGE_SOURCE": "https://source.example/understory"})
    if done.returncode != 0:
        raise SystemExit(f"Bail out! ops/image.py: {done.stdout[-800:]}")
    return json.loads((folder / "index.json").read_text())["manifests"][0]


class Pod:
    """The root file system under bubblewrap."""

    def __init__(self, root):
        self.root = root
        (root / "mnt").mkdir()  # as a runtime makes what a volume is mounted on

    def command(self, *command, mounts=(), **environment):
        words = ["bwrap", "--unshare-user", "--unshare-ipc", "--unshare-uts", "--uid", "65532", "--gid", "65532", "--cap-drop", "ALL",
                 "--ro-bind", self.root, "/", "--proc", "/proc", "--dev", "/dev", "--die-with-parent", "--clearenv",
                 "--setenv", "PATH", "/usr/bin"]
        for there, here in mounts:
            words += ["--ro-bind", there, here]
        for name, value in environment.items():
            words += ["--setenv", name, value]
        return [str(word) for word in [*words, *command]]

    def run(self, *command, **more):
        return run(*self.command(*command, **more), timeout=60)


# --- what is in it

def check_layout(scratch):
    first, second = make(scratch / "image"), make(scratch / "again")
    tap.check("the same programs make the same image", None if first["digest"] == second["digest"] else (first, second))
    done = run("skopeo", "--insecure-policy", "copy", f"oci:{scratch}/image", f"dir:{scratch}/copied")
    tap.check("skopeo copies it", None if done.returncode == 0 else done.stdout)
    config = json.loads(run("skopeo", "inspect", "--config", f"oci:{scratch}/image").stdout)
    tap.check("its user is a number", None if re.fullmatch(r"[1-9]\d*:[1-9]\d*", config["config"]["User"]) else config)
    labels = {name.rpartition(".")[2] for name, value in config["config"]["Labels"].items() if name.startswith("org.opencontainers.image.")
              and value}
    tap.check("it has its labels", labels ^ LABELS)
    manifest = json.loads((scratch / "copied/manifest.json").read_text())
    blob = scratch / "copied" / manifest["layers"][0]["digest"].removeprefix("sha256:")
    with tarfile.open(blob) as tar:
        members = tar.getmembers()
        tar.extractall(scratch / "root")
    size = sum(member.size for member in members)
    tap.check(f"it is small: {blob.stat().st_size / 1e6:.1f} MB to pull, {size / 1e6:.1f} MB unpacked", size > MOST_BYTES and size)
    return members


def check_files(root, members):
    runs = sorted(m.name for m in members if m.isfile() and m.mode & 0o111)
    tap.check("what can be run are the two programs and the loader",
              [name for name in runs if name not in ("usr/bin/understory", "usr/bin/understory-proxy") and not re.search(r"/ld-linux", name)])
    tap.check("nothing is anybody's but root's, or can be written", [m.name for m in members if m.uid or m.gid or m.mode & 0o7022 and
                                                                     not m.issym() and m.name != "tmp"])
    places = [str(SOURCE).encode(), str(pathlib.Path.home()).encode() + b"/"]
    tap.check("nothing tells of the machine that made it", [m.name for m in members if m.isfile() and m.name.startswith("usr/bin") and
                                                            any(place in (root / m.name).read_bytes() for place in places)])
    bundle = (root / BUNDLE[1:]).read_text()
    there = ssl.create_default_context(cadata=bundle).cert_store_stats()["x509_ca"]
    tap.check(f"the CA bundle has {there} certificates", None if there > 100 else there)


def check_bill(root):
    bill = json.loads((root / "usr/share/doc/understory/sbom.spdx.json").read_text())
    named = {p["name"]: p["versionInfo"] for p in bill["packages"]}
    libraries = [path for path in root.glob("usr/lib*/**/*") if path.is_file()]
    there = {path.name: set() for path in libraries}
    for line in run("dpkg-query", "-S", *(f"*/{path.name}" for path in libraries)).stdout.splitlines():
        there.setdefault(pathlib.PurePath(line).name, set()).add(line.split(":")[0])
    tap.check(f"the bill names the package of each of {len(libraries)} libraries",
              [f"{name}: {packages}" for name, packages in there.items() if not packages & named.keys()] if libraries else "there is none")
    installed = dict(line.split(" ") for line in run("dpkg-query", "-W", "-f", "${Package} ${Version}\n").stdout.splitlines())
    tap.check("with the versions that were installed", [n for n, v in named.items() if n != "understory" and installed.get(n) != v])
    tap.check("and each package's notice is there",
              [n for n in named if n != "understory" and not (root / f"usr/share/doc/{n}/copyright").is_file()])
    ids = {p["SPDXID"] for p in bill["packages"]}
    tap.check("it holds together", [r for r in bill["relationships"] if r["relatedSpdxElement"] not in ids] or
              (bill["spdxVersion"] != "SPDX-2.3" and bill["spdxVersion"]))


# --- running it

def check_programs(pod, scratch):
    for program in ("understory", "understory-proxy"):
        done = pod.run(program, "--help")
        tap.check(f"{program} --help", None if done.returncode == 0 and "usage:" in done.stdout else done.stdout)
    tap.check("there is no shell", None if pod.run("sh", "-c", "true").returncode != 0 else "it ran")
    (scratch / "settings").mkdir()
    (scratch / "settings/understory.yaml").write_bytes((SOURCE / "ops/base/understory.yaml").read_bytes())
    done = pod.run("understory", "check-config", mounts=[(scratch / "settings", "/mnt")], UNDERSTORY_CONFIG="/mnt/understory.yaml",
                   OPERATOR_NAMESPACE=OPERATOR_NAMESPACE)
    tap.check("check-config takes the settings of ops/base", None if done.returncode == 0 and "canopy.example" in done.stdout else done.stdout)


class Canopy(http.server.BaseHTTPRequestHandler):
    """Over TLS: an empty worklist for everybody."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *_):
        pass


def tls_server(folder):
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost", "-days", "2",
        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem", check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Canopy)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def check_tls(pod, stage, scratch):
    """canopy's certificate is checked against the bundle at its place, found without any environment."""
    server = tls_server(scratch)
    given = {"KUBECONFIG": "/mnt/kubeconfig", "CANOPY_BASE_URL": f"https://127.0.0.1:{server.server_port}",
             "OPERATOR_NAMESPACE": OPERATOR_NAMESPACE}
    mounts = [(stage.dir, "/mnt")]
    done = pod.run("understory", "plan", mounts=mounts, **given)
    is_refused = done.returncode == 1 and re.search("certificate", done.stdout, re.IGNORECASE) and "locations" not in done.stdout
    tap.check("a certificate of nobody's is refused", None if is_refused else done.stdout)
    done = pod.run("understory", "plan", mounts=[*mounts, (scratch / "cert.pem", BUNDLE)], **given)
    tap.check("one that the bundle has is taken", None if done.returncode == 0 else done.stdout)
    server.shutdown()


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, OSError):
        return None


def check_run(pod, stage):
    port = free_port()
    process = stage.spawn("pod", pod.command(
        "understory", "run", mounts=[(stage.dir, "/mnt")], KUBECONFIG="/mnt/operator.kubeconfig", CANOPY_BASE_URL=stage.canopy, CREDENTIALS="direct",
        OPERATOR_NAMESPACE=OPERATOR_NAMESPACE, METRICS_ADDR=f"127.0.0.1:{port}", CANOPY_RECONCILE_INTERVAL_SECS="1"))
    base = f"http://127.0.0.1:{port}"
    wait_until("the pod", lambda: process.poll() is not None or answers(base + "/readyz") == "ok\n", 60)
    tap.check("run becomes ready", None if process.poll() is None else stage.log("pod"))
    wait_until("its replicas", lambda: f"understory_worklist_entries {len(REPLICAS)}\n" in (answers(base + "/metrics") or ""), 30)
    tap.check("and knows its replicas", None if 'understory_replicas{state="active",intent="analytics"} 3\n' in answers(base + "/metrics")
              else answers(base + "/metrics"))
    status = [pathlib.Path(f"/proc/{pid}/status").read_text() for pid in children(process.pid)]
    caps = re.findall(r"^CapEff:\s*(\S+)", "\n".join(status), re.MULTILINE)
    tap.check("it holds no capability", None if caps and not any(int(c, 16) for c in caps) else status)
    for pid in children(process.pid):
        os.kill(pid, signal.SIGTERM)
    tap.check("SIGTERM ends it in order", None if process.wait(30) == 0 and "msg=stopped" in stage.log("pod") else stage.log("pod"))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def children(pid):
    return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def main():
    if not (RELEASE / "reconciler/understory").exists():
        raise SystemExit("Bail out! there is no release build: ./build.sh")
    with tempfile.TemporaryDirectory(prefix="understory-image.") as name:
        scratch = pathlib.Path(name)
        scratch.chmod(0o755)
        members = check_layout(scratch)
        root = scratch / "root"
        check_files(root, members)
        check_bill(root)
        pod = Pod(root)
        check_programs(pod, scratch)
        with Stage(BUILD, REPLICAS, replicas.lines(REPLICAS)) as stage:
            stage.dir.chmod(0o755)
            check_tls(pod, stage, scratch)
            check_run(pod, stage)
    return tap.end()


sys.exit(main())
