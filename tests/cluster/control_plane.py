"""A real control plane on loopback: etcd, kube-apiserver and kube-controller-manager, with TLS, RBAC and tokens as in a cluster."""
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request

from stage import wait_until

# In a cluster of its own; the programs' own namespace of network addresses has it all (cluster.sh).
SERVICES = "10.96.0.0/16"
ISSUER = "https://kubernetes.default.svc"
# What needs a node that tells of itself, a cloud, or volumes that are made.
CONTROLLERS = ("*", "-nodelifecycle", "-nodeipam", "-attachdetach", "-persistentvolume-binder", "-persistentvolume-expander", "-bootstrapsigner",
               "-tokencleaner")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class ControlPlane:
    """It ends with the block. programs: the folder that has them; logs are left there. admin: the token that may do everything."""

    def __init__(self, programs):
        self.programs, self.running, self.admin = programs, {}, os.urandom(16).hex()

    def __enter__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="understory-cluster."))
        try:
            self.set_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def set_up(self):
        self.make_keys()
        (self.dir / "tokens.csv").write_text(f"{self.admin},admin,1,system:masters\n")
        (self.dir / "tokens.csv").chmod(0o600)
        self.etcd, peers, self.port = (free_port() for _ in range(3))
        urls = f"http://127.0.0.1:{self.etcd}", f"http://127.0.0.1:{peers}"
        self.spawn("etcd", shutil.which("etcd"), "--data-dir", self.dir / "etcd", "--listen-client-urls", urls[0],
                   "--advertise-client-urls", urls[0], "--listen-peer-urls", urls[1], "--initial-advertise-peer-urls", urls[1],
                   "--initial-cluster", f"default={urls[1]}", "--unsafe-no-fsync")
        self.url = f"https://127.0.0.1:{self.port}"
        self.trust = ssl.create_default_context(cafile=self.dir / "ca.crt")
        self.write_kubeconfig("admin", self.admin)
        self.start_apiserver()
        self.spawn("controllers", self.programs / "kube-controller-manager", "--kubeconfig", self.kubeconfig("admin"),
                   "--leader-elect=false", "--service-account-private-key-file", self.dir / "accounts.key", "--root-ca-file",
                   self.dir / "ca.crt", "--controllers", ",".join(CONTROLLERS), "--bind-address", "127.0.0.1", "--secure-port",
                   free_port(), "--port", "0", "--cert-dir", self.dir / "controllers")

    def start_apiserver(self):
        self.spawn("apiserver", self.programs / "kube-apiserver", "--etcd-servers", f"http://127.0.0.1:{self.etcd}", "--bind-address",
                   "127.0.0.1", "--secure-port", self.port, "--tls-cert-file", self.dir / "apiserver.crt", "--tls-private-key-file",
                   self.dir / "apiserver.key", "--token-auth-file", self.dir / "tokens.csv", "--authorization-mode", "RBAC",
                   "--service-account-issuer", ISSUER, "--service-account-signing-key-file", self.dir / "accounts.key",
                   "--service-account-key-file", self.dir / "accounts.key", "--service-cluster-ip-range", SERVICES,
                   "--advertise-address", "10.0.0.1", "--anonymous-auth=false")
        wait_until("the API server", self.is_ready, 120)

    def is_ready(self):
        try:
            return self.call("GET", "/readyz") == "ok"
        except OSError:
            return False

    def make_keys(self):
        self.openssl("genrsa", "-out", self.dir / "accounts.key", "2048")
        self.make_certificate("ca", "/CN=CA of the cluster", "basicConstraints=critical,CA:TRUE")
        self.make_certificate("apiserver", "/CN=kube-apiserver", "subjectAltName=IP:127.0.0.1", "-CA", self.dir / "ca.crt", "-CAkey",
                              self.dir / "ca.key")

    def make_certificate(self, name, subject, extension, *options):
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", subject,
                     "-addext", extension, *options, "-keyout", self.dir / f"{name}.key", "-out", self.dir / f"{name}.crt")

    def openssl(self, *arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kubeconfig(self, user):
        return self.dir / f"{user}.kubeconfig"

    def write_kubeconfig(self, user, token):
        file = self.kubeconfig(user)
        file.touch(0o600)
        file.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": user}}],
            "clusters": [{"name": "c", "cluster": {"server": self.url, "certificate-authority": str(self.dir / "ca.crt")}}],
            "users": [{"name": user, "user": {"token": token}}]}))

    def spawn(self, name, *command, **environment):
        base = {k: v for k, v in os.environ.items() if k in ("PATH", "LC_ALL", "ASAN_OPTIONS", "UBSAN_OPTIONS")}
        with open(self.dir / f"{name}.log", "ab") as log:
            self.running[name] = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                  cwd=self.dir, env={**base, **environment})
        return self.running[name]

    def stop(self, name, seconds=30):
        """Its exit status."""
        process = self.running.pop(name)
        process.terminate()
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def log(self, name):
        return (self.dir / f"{name}.log").read_text(errors="replace")

    def call(self, method, path, body=None, kind="application/json"):
        """As admin. Raises urllib.error.HTTPError."""
        request = urllib.request.Request(self.url + path, method=method, data=None if body is None else json.dumps(body).encode(),
                                         headers={"Authorization": f"Bearer {self.admin}", "Content-Type": kind})
        with urllib.request.urlopen(request, timeout=60, context=self.trust) as answer:
            text = answer.read().decode()
        return json.loads(text) if text.startswith("{") else text

    def items(self, path):
        return self.call("GET", path)["items"]

    def account_token(self, namespace, name, audience=None):
        """As the kubelet asks for it when it mounts one."""
        spec = {} if audience is None else {"audiences": [audience]}
        answer = self.call("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token",
                           {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
        return answer["status"]["token"]

    def __exit__(self, *_):
        for name in reversed(list(self.running)):
            self.stop(name)
        for log in self.dir.glob("*.log"):
            shutil.copy(log, self.programs)
        shutil.rmtree(self.dir)
