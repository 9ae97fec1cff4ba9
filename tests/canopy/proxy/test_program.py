#!/usr/bin/env python3
"""What understory-proxy says and how it ends: its arguments, a probe, a start that fails, an end in order, a broker that refuses.

usage: test_program.py UNDERSTORY_PROXY
"""
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "e2e"))
import tap
import testbed

WAIT_S = 20
GIVEN = {"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "S", "SessionToken": "T", "Expiration": "2099-01-01T00:00:00Z"}


def ask(program, *arguments, **environment):
    return subprocess.run([program, *arguments], env=environment, capture_output=True, text=True, timeout=WAIT_S)


def check_arguments(program):
    said = ask(program, "--help")
    tap.check("--help goes to stdout", said.returncode == 0 and said.stderr == "" and "usage: understory-proxy" in said.stdout, said)
    tap.check("--help names the settings", all(name in said.stdout for name in ("PGRO_BROKER_URL", "PGRO_PORT_FILE", "S3_CA_FILE")), said)
    said = ask(program, "--version")
    tap.check("--version is one line", said.returncode == 0 and said.stdout.startswith("understory-proxy "), said)
    for arguments in (["--verbose"], ["--help", "more"], ["--ready", "now"]):
        said = ask(program, *arguments)
        tap.check(f"{' '.join(arguments)}: usage, on stderr", said.returncode == 2 and "usage:" in said.stderr and not said.stdout, said)
    said = ask(program)
    tap.check("without settings the first is named", said.returncode == 2 and said.stderr.startswith("understory-proxy: PGRO_"), said)


def check_probe(program, folder):
    said = ask(program, "--ready")
    tap.equal("a probe needs the file", (said.returncode, said.stderr), (1, "understory-proxy: PGRO_PORT_FILE is not set\n"))
    said = ask(program, "--ready", PGRO_PORT_FILE=str(folder / "absent"))
    tap.check("nobody serves yet", said.returncode == 1 and "absent" in said.stderr, said)


def check_start(program, folder, broker):
    proxy = testbed.Proxy(program, folder, broker, **settings())
    said = ask(program, "--ready", PGRO_PORT_FILE=str(folder / "address"))
    tap.check("it is ready", said.returncode == 0 and not said.stderr, said)
    limits = pathlib.Path(f"/proc/{proxy.process.pid}/limits").read_text()
    tap.check("its keys get into no core file", any(line.split()[:6] == ["Max", "core", "file", "size", "0", "0"]
                                                    for line in limits.splitlines()), limits)
    proxy.process.send_signal(signal.SIGTERM)
    tap.equal("SIGTERM ends it in order", (proxy.process.wait(WAIT_S), proxy.log.read_text().count("totals")), (0, 1))
    tap.check("the totals have been posted", any(path == "/stats" for path, _ in broker.posted), broker.posted)
    said = ask(program, "--ready", PGRO_PORT_FILE=str(folder / "address"))
    tap.check("after its end it is not ready", said.returncode == 1 and said.stderr, said)


def check_refusal(program, folder, broker):
    broker.give = lambda: (403, {"title": "Forbidden", "detail": "no grant"})
    asked = len(broker.asked)
    proxy = testbed.Proxy(program, folder, broker, **settings())
    until = time.monotonic() + WAIT_S
    while len(broker.asked) == asked and time.monotonic() < until:
        time.sleep(0.01)
    while "credentials are refused" not in proxy.log.read_text() and time.monotonic() < until:
        time.sleep(0.01)
    proxy.process.send_signal(signal.SIGINT)
    tap.equal("a refusal is no error of its own", proxy.process.wait(WAIT_S), 0)
    tap.check("it says so", "the broker refused keys" in proxy.log.read_text(), proxy.log.read_text())


def check_bad_start(program, folder, broker):
    (folder / "bad.crt").write_text("no certificate")
    environment = {**settings(), "PGRO_BROKER_URL": broker.url, "PGRO_BROKER_CA_FILE": str(folder / "ca.crt"),
                   "PGRO_TOKEN_FILE": str(folder / "token"), "PGRO_GROUP": "g", "PGRO_TYPE": "t",
                   "PGRO_PORT_FILE": str(folder / "address"), "S3_ENDPOINT": "https://127.0.0.1:1",
                   "S3_CA_FILE": str(folder / "bad.crt")}
    said = ask(program, **environment)
    tap.check("a start that fails says why", said.returncode == 1 and 'msg="cannot start"' in said.stderr and "bad.crt" in said.stderr, said)


def settings():
    return {"PGRO_REGION": "us-east-1", "PGRO_BUCKET": "bucket", "PGRO_PREFIX": "p/", "S3_ENDPOINT": "http://127.0.0.1:1"}


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        broker = testbed.Broker(folder, lambda: GIVEN)
        check_arguments(program)
        check_probe(program, folder)
        check_start(program, folder, broker)
        check_refusal(program, folder, broker)
        check_bad_start(program, folder, broker)
        broker.stop()
    return tap.end()


sys.exit(main())
