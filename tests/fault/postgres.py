"""One real PostgreSQL for all databases that "came up": it listens where the pods' addresses point to and lets everybody in.

It cannot show each replica's own certificate. So all operators are given one CA, and it shows a certificate of that for all replicas.
"""
import base64
import os
import pathlib
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile

import faketime
from stage import wait_until

PORT = 5432  # where the operator expects a pod's database


def free_address():
    """A loopback address whose port 5432 nobody listens on; apart from those that the stub's node hands out (127.64.0.0/10)."""
    for _ in range(100):
        address = f"127.{random.randint(10, 63)}.{random.randint(0, 255)}.{random.randint(1, 254)}"
        try:
            with socket.create_server((address, PORT)):
                return address
        except OSError:
            continue
    raise SystemExit("no loopback address with a free port 5432")


class Postgres:
    """namespaces: those of the replicas. address: where it listens; else some loopback address."""

    def __init__(self, namespaces, address=None):
        self.address = address or free_address()
        self.names = ",".join(f"DNS:postgres.{namespace}.svc" for namespace in sorted(namespaces))

    def __enter__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="understory-fault-postgres."))
        self.server = None
        try:
            self.set_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def set_up(self):
        self.bin = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        self.major = self.bin.parent.name
        self.user = []
        if os.geteuid() == 0:  # which PostgreSQL refuses
            owner = pwd.getpwnam("postgres")
            os.chown(self.dir, owner.pw_uid, owner.pw_gid)
            self.user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=QUIT"]
        self.run("initdb", "-D", self.dir / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        with open(self.dir / "data/pg_hba.conf", "a") as rules:
            rules.write("host all all all trust\n")
        self.make_certificates()
        options = {"listen_addresses": self.address, "port": PORT, "unix_socket_directories": self.dir, "fsync": "off", "autovacuum": "off",
                   "ssl": "on", "ssl_cert_file": self.dir / "tls.crt", "ssl_key_file": self.dir / "tls.key",
                   "shared_buffers": "16MB", "max_connections": 100, "jit": "off"}
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with open(self.dir / "log", "ab") as log:
            self.server = subprocess.Popen([*self.user, self.bin / "postgres", "-D", self.dir / "data", *settings], cwd="/",
                                           stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until("PostgreSQL", self.answers, 60)
        # What a backup of nothing would lack: the operator wants to see an application's database.
        self.run("psql", "-h", self.address, "-U", "postgres", "-X", "-q", "-c", "CREATE DATABASE clinic",
                 "-c", "ALTER DATABASE template1 ALLOW_CONNECTIONS false")  # one connection less in each check

    def make_certificates(self):
        self.make_certificate("ca", "/CN=CA of the faults", "basicConstraints=critical,CA:TRUE", "-days", "900")
        self.make_certificate("tls", "/CN=postgres", "subjectAltName=" + self.names, "-CA", self.dir / "ca.crt",
                              "-CAkey", self.dir / "ca.key")

    def make_certificate(self, name, subject, extension, *options):
        earlier = (f"{name}={value}" for name, value in faketime.days_ago(3).items())
        self.run("/usr/bin/env", *earlier, "/usr/bin/openssl", "req", "-x509", "-newkey", "ec",
                 "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject, "-addext", extension, *options,
                 "-keyout", self.dir / (name + ".key"), "-out", self.dir / (name + ".crt"))

    def ca_secret(self):
        """As an operator finds it."""
        data = {f"ca.{part}": base64.b64encode((self.dir / f"ca.{part}").read_bytes()).decode() for part in ("crt", "key")}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "understory-ca"}, "data": data}

    def run(self, program, *arguments):
        done = subprocess.run([*self.user, self.bin / program, *arguments], cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{program} ended with {done.returncode}: {done.stdout[-500:]}")

    def answers(self):
        return subprocess.run([self.bin / "pg_isready", "-q", "-h", self.address], cwd="/").returncode == 0

    def __exit__(self, *_):
        if self.server is not None:
            self.server.send_signal(signal.SIGINT)
            self.server.wait(30)
        shutil.rmtree(self.dir)
