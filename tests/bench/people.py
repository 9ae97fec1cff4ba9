"""Who asks an API server: the one who may do everything, and the operator, who may do what the roles of ops/ say."""
import http.client
import json
import os
import pathlib
import ssl
import subprocess
import urllib.parse

SOURCE = pathlib.Path(__file__).resolve().parents[2]
ROLES = SOURCE / "ops/install.yaml"
OPERATOR_NAMESPACE, ACCOUNT = "pgro-system", "understory"


class Admin:
    """May do everything. folder: what fixtures/apiserver/identities.sh leaves goes there; None: so may everybody, without TLS.
    environment: more of that script's."""

    def __init__(self, folder=None, environment=None):
        self.headers, self.context, self.options = {}, None, []
        if folder is None:
            return
        subprocess.run([SOURCE / "fixtures/apiserver/identities.sh", folder], check=True, env={**os.environ, **(environment or {})})
        name, value = (folder / "admin.header").read_text().strip().split(": ")
        self.headers, self.context = {name: value}, ssl.create_default_context(cafile=folder / "ca.crt")
        self.options = ["--tls-cert", folder / "tls.crt", "--tls-key", folder / "tls.key", "--token-file", folder / "admin.token",
                        "--rbac", ROLES]


known = {}  # by "HOST:PORT", of the API servers that are up
EVERYBODY = Admin()


def admin_of(url):
    return known.get(urllib.parse.urlsplit(url).netloc, EVERYBODY)


def connect(url, timeout):
    """(a connection to this API server, the headers that each request needs)"""
    host, admin = urllib.parse.urlsplit(url).netloc, admin_of(url)
    if admin.context is None:
        return http.client.HTTPConnection(host, timeout=timeout), {}
    return http.client.HTTPSConnection(host, timeout=timeout, context=admin.context), admin.headers


def write_kubeconfig(path, api, user):
    """user: as a kubeconfig has it. Paths are relative to that of the file."""
    cluster = {"server": api, **({"certificate-authority": "ca.crt"} if api.startswith("https:") else {})}
    path.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}], "users": [{"name": "u", "user": user}]}))
