"""A broker over TLS and an understory-proxy before any S3, for tests and benchmarks. Standard library only."""
import http.server
import json
import os
import pathlib
import signal
import ssl
import subprocess
import threading
import time


def make_certificate(folder, name, sans):
    """A private CA and a leaf that it signed: folder/ca.crt, name.crt, name.key."""
    run = lambda *a: subprocess.run(["openssl", *a], check=True, capture_output=True, cwd=folder)
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    if not (folder / "ca.crt").exists():
        run("req", "-x509", *ec, "-subj", "/CN=test CA", "-days", "2", "-keyout", "ca.key", "-out", "ca.crt")
    run("req", *ec, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
    (folder / f"{name}.ext").write_text("subjectAltName=" + sans)
    run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile",
        f"{name}.ext", "-out", f"{name}.crt")


class Broker:
    """Hands out what `give` returns (a dict: 200; a pair: status and problem) and keeps what is posted elsewhere."""

    def __init__(self, folder, give):
        self.asked, self.posted, self.give = [], [], give
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, answer = 204, None
                if self.headers["Authorization"] != "Bearer test-token":
                    status, answer = 401, {"title": "Unauthorized"}
                elif self.path == "/internal/restore-creds":
                    outer.asked.append(body)
                    given = outer.give()
                    status, answer = given if isinstance(given, tuple) else (200, given)
                else:
                    outer.posted.append((self.path, body))
                data = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(status)
                if status != 204:
                    self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        make_certificate(folder, "broker", "IP:127.0.0.1")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "broker.crt", folder / "broker.key")
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Proxy:
    """A running understory-proxy; settings are its environment, beside the broker's."""

    def __init__(self, program, folder, broker, **settings):
        (folder / "token").write_text("test-token\n")
        port_file = folder / "address"
        port_file.unlink(missing_ok=True)
        self.log = folder / "proxy.log"
        environment = {"PGRO_BROKER_URL": broker.url, "PGRO_BROKER_CA_FILE": str(folder / "ca.crt"),
                       "PGRO_TOKEN_FILE": str(folder / "token"), "PGRO_GROUP": "g", "PGRO_TYPE": "t",
                       "PGRO_PORT_FILE": str(port_file), "PGRO_STATS_CALLBACK_URL": broker.url + "/stats", **settings}
        for name in ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                environment[name] = os.environ[name]
        self.environment = environment
        self.program = program
        self.process = subprocess.Popen([str(program)], env=environment, stderr=open(self.log, "wb"), stdout=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while not port_file.exists():
            if time.monotonic() > end or self.process.poll() is not None:
                raise SystemExit("understory-proxy did not start: " + self.log.read_text())
            time.sleep(0.01)
        self.address = port_file.read_text().strip()
        self.host, _, port = self.address.rpartition(":")
        self.host, self.port = self.host.strip("[]"), int(port)

    def stop(self):
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def settings_of(path):
    """NAME=value lines."""
    return dict(line.split("=", 1) for line in pathlib.Path(path).read_text().split("\n") if "=" in line)
