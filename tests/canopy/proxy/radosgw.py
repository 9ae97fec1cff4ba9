#!/usr/bin/env python3
"""understory-proxy before a real S3 server (radosgw), which checks every signature and session token. Speaks TAP.

usage: radosgw.py UNDERSTORY-PROXY RADOSGW.SH
"""
import hashlib
import http.client
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import s3sign
import testbed

BIG = 64 << 20
CASES = []


def case(function):
    CASES.append(function)
    return function


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class World:
    def __init__(self, program, script, folder):
        self.program, self.folder, self.sets = program, folder, []
        testbed.make_certificate(folder, "s3", "DNS:localhost,IP:127.0.0.1")
        tls_port = str(free_port())
        subprocess.run([script, "start", str(folder / "s3"), str(free_port()), "--mon-port", str(free_port()), "--tls-port", tls_port,
                        "--tls-cert", str(folder / "s3.crt"), "--tls-key", str(folder / "s3.key")], check=True,
                       stdout=subprocess.DEVNULL)
        env = testbed.settings_of(folder / "s3/env")
        key = testbed.settings_of(folder / "s3/keys/backup.key")
        self.endpoint, self.tls, self.role = env["S3_ENDPOINT"], "https://localhost:" + tls_port, env["S3_ROLE_ARN"]
        self.key, self.secret = key["AWS_ACCESS_KEY_ID"], key["AWS_SECRET_ACCESS_KEY"]
        self.big = os.urandom(1 << 20) * (BIG >> 20)
        self.put("/bucket", b"")
        for name, body in (("p/hello", b"hello world"), ("p/big", self.big), ("p/odd%20name%2B%3D%26~%C3%A9", b"odd"), ("q/secret", b"no")):
            self.put("/bucket/" + name, body)
        for i in range(30):
            self.put(f"/bucket/p/many/{i:02}", b"x")
        self.broker = testbed.Broker(folder, self.give)

    def put(self, path, body):
        status, answer = s3sign.call(self.endpoint, "PUT", path, "", body, self.key, self.secret)
        assert status == 200, (path, answer)

    def give(self):
        self.sets.append(s3sign.assume_role(self.endpoint, self.role, self.key, self.secret))
        return self.sets[-1]

    def proxy(self, **settings):
        return testbed.Proxy(self.program, self.folder, self.broker, **{
            "PGRO_REGION": "default", "PGRO_BUCKET": "bucket", "PGRO_PREFIX": "p/", "S3_ENDPOINT": self.endpoint,
            "LOG_LEVEL": "debug", **settings})

    def over_tls(self):
        return self.proxy(S3_ENDPOINT=self.tls, S3_CA_FILE=str(self.folder / "ca.crt"))


def ask(connection, method, path, **headers):
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read(), answer


def check_reads(world, proxy):
    c = http.client.HTTPConnection(proxy.host, proxy.port, timeout=60)
    assert ask(c, "GET", "/bucket/p/hello")[:2] == (200, b"hello world")
    status, body, answer = ask(c, "HEAD", "/bucket/p/big")
    assert (status, body, answer.getheader("Content-Length")) == (200, b"", str(BIG))
    status, body, answer = ask(c, "GET", "/bucket/p/big", Range="bytes=5-9")
    assert (status, body, answer.getheader("Content-Range")) == (206, world.big[5:10], f"bytes 5-9/{BIG}")
    assert ask(c, "GET", "/bucket/p/big", Range=f"bytes={BIG}-")[0] == 416
    etag = ask(c, "HEAD", "/bucket/p/hello")[2].getheader("ETag")
    assert ask(c, "GET", "/bucket/p/hello", **{"If-None-Match": etag})[:2] == (304, b"")
    assert ask(c, "GET", "/bucket/p/odd%20name%2B%3D%26~%C3%A9")[:2] == (200, b"odd")
    assert ask(c, "GET", "/bucket/p/odd%20name%2b=&~%c3%a9")[:2] == (200, b"odd"), "encoded otherwise, it is the same key"
    status, body, _ = ask(c, "GET", "/bucket/p/none")
    assert status == 404 and b"<Code>NoSuchKey</Code>" in body
    assert ask(c, "HEAD", "/bucket/p/none")[0] == 404
    assert ask(c, "GET", "/bucket/?location=")[0] == 200
    status, body, _ = ask(c, "GET", "/bucket/?prefix=p%2Fmany%2F&max-keys=10&list-type=2&delimiter=%2F")
    assert status == 200 and body.count(b"<Key>") == 10, body
    token = body.split(b"<NextContinuationToken>")[1].split(b"<")[0].decode()
    status, body, _ = ask(c, "GET", f"/bucket/?list-type=2&prefix=p/many/&continuation-token={token.replace('+', '%2B')}")
    assert status == 200 and body.count(b"<Key>") == 20, body
    status, body, _ = ask(c, "GET", "/bucket/?prefix=p/many/&marker=p/many/27")
    assert status == 200 and body.count(b"<Key>") == 2, body
    assert ask(c, "GET", "/bucket/q/secret")[0] == 403
    assert hashlib.sha256(ask(c, "GET", "/bucket/p/big")[1]).digest() == hashlib.sha256(world.big).digest()


@case
def reads_are_accepted_over_plain_http(world):
    proxy = world.proxy()
    check_reads(world, proxy)
    assert proxy.stop() == 0


@case
def reads_are_accepted_over_tls(world):
    proxy = world.over_tls()
    check_reads(world, proxy)
    assert proxy.stop() == 0
    path, totals = world.broker.posted[-1]
    assert path == "/stats" and totals["received_payload_bytes"] > BIG and totals["received_raw_bytes"] > totals["received_payload_bytes"]
    assert totals["sent_raw_bytes"] > 0 and totals["sent_payload_bytes"] == 0


@case
def sixty_four_stalled_readers_get_their_bytes_with_one_set_of_keys(world):
    asked, good = len(world.broker.asked), [] # before the proxy is there: it asks as soon as it is
    proxy = world.over_tls()

    def read_slowly():
        c = http.client.HTTPConnection(proxy.host, proxy.port, timeout=120)
        c.request("GET", "/bucket/p/big")
        answer = c.getresponse()
        barrier.wait()  # all stall with full buffers
        digest = hashlib.sha256()
        while block := answer.read(1 << 20):
            digest.update(block)
        good.append(digest.digest() == want)

    want, barrier = hashlib.sha256(world.big).digest(), threading.Barrier(64)
    threads = [threading.Thread(target=read_slowly) for _ in range(64)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    proxy.stop()
    assert good == [True] * 64, f"{len(good)} readers, {good.count(True)} good"
    assert len(world.broker.asked) == asked + 1


@case
def a_session_that_the_store_refuses_is_not_shown_as_expired(world):
    good, world.broker.give = world.broker.give, lambda: {**world.give(), "SessionToken": "garbage"}
    proxy = world.proxy()
    c = http.client.HTTPConnection(proxy.host, proxy.port, timeout=60)
    status, body, _ = ask(c, "GET", "/bucket/p/hello")
    assert status == 403 and b"AccessDenied" in body, "radosgw says AccessDenied to every bad token"
    proxy.stop()
    world.broker.give = good


@case
def restic_restores_through_it(world):
    if not shutil.which("restic"):
        return "restic is not installed"
    source, target = world.folder / "source", world.folder / "target"
    (source / "deep").mkdir(parents=True)
    for i in range(200):
        (source / "deep" / f"f{i}").write_bytes(os.urandom(10000 + 997 * i))
    base = {"PATH": os.environ["PATH"], "RESTIC_PASSWORD": "x", "RESTIC_CACHE_DIR": str(world.folder / "cache"), "HOME": str(world.folder)}
    direct = {**base, "AWS_ACCESS_KEY_ID": world.key, "AWS_SECRET_ACCESS_KEY": world.secret, "AWS_DEFAULT_REGION": "default",
              "RESTIC_REPOSITORY": f"s3:{world.tls}/bucket/repo"}
    run = lambda env, *a: subprocess.run(["restic", *a], env=env, check=True, capture_output=True, text=True)
    for command in (["init"], ["backup", str(source)]):
        run(direct, "--cacert", str(world.folder / "ca.crt"), *command)
    proxy = world.proxy(PGRO_PREFIX="repo", S3_ENDPOINT=world.tls, S3_CA_FILE=str(world.folder / "ca.crt"))
    dummy = {**base, "AWS_ACCESS_KEY_ID": "DUMMY", "AWS_SECRET_ACCESS_KEY": "DUMMY",
             "RESTIC_REPOSITORY": f"s3:http://{proxy.address}/bucket/repo"}
    run(dummy, "--no-lock", "restore", "latest", "--target", str(target))
    subprocess.run(["diff", "-r", str(source), str(target) + str(source)], check=True)
    assert proxy.stop() == 0


@case
def a_refusal_of_the_broker_is_passed_on_and_ready_needs_a_listener(world):
    good, world.broker.give = world.broker.give, lambda: (403, {"title": "Forbidden", "detail": "the grant is gone"})
    proxy = world.proxy()
    ready = lambda: subprocess.run([world.program, "--ready"], env=proxy.environment, capture_output=True).returncode
    assert ready() == 0
    c = http.client.HTTPConnection(proxy.host, proxy.port, timeout=60)
    status, body, _ = ask(c, "GET", "/bucket/p/hello")
    assert status == 403 and b"the grant is gone" in body
    assert proxy.stop() == 0
    assert ready() == 1
    world.broker.give = good


@case
def no_secret_is_in_what_it_logged(world):
    before = (world.folder / "proxy.log").read_text()
    proxy = world.proxy()
    c = http.client.HTTPConnection(proxy.host, proxy.port, timeout=60)
    ask(c, "GET", "/bucket/p/hello")
    ask(c, "GET", "/bucket/p/hello?X-Amz-Signature=abcdef0123")
    assert not pathlib.Path(f"/proc/{proxy.process.pid}/environ").read_bytes().count(world.sets[-1]["SecretAccessKey"].encode())
    proxy.stop()
    log = before + proxy.log.read_text()
    assert "serving" in log
    for keys in world.sets:
        for name in ("SecretAccessKey", "SessionToken", "AccessKeyId"):
            assert keys[name] not in log, name
    assert "test-token" not in log and "abcdef0123" not in log


def main():
    program, script = (str(pathlib.Path(a).resolve()) for a in sys.argv[1:])
    print(f"1..{len(CASES)}", flush=True)
    missing = [tool for tool in ("radosgw", "ceph-mon", "ceph-osd", "openssl") if not shutil.which(tool)]
    if missing:
        for number, function in enumerate(CASES, 1):
            print(f"ok {number} - {function.__name__} # SKIP {', '.join(missing)} not installed")
        return 0
    folder = pathlib.Path(tempfile.mkdtemp(prefix="understory-proxy-radosgw."))
    failed = False
    try:
        world = World(program, script, folder)
        for number, function in enumerate(CASES, 1):
            try:
                skipped = function(world)
                print(f"ok {number} - {function.__name__}" + (f" # SKIP {skipped}" if skipped else ""), flush=True)
            except Exception as problem:  # one case must not hide the others
                failed = True
                print(f"not ok {number} - {function.__name__}", flush=True)
                print("# " + repr(problem).replace("\\n", "\n# "), flush=True)
                if hasattr(problem, "stderr") and problem.stderr:
                    print("# " + str(problem.stderr)[-2000:].replace("\n", "\n# "), flush=True)
    finally:
        subprocess.run([script, "stop", str(folder / "s3")], stdout=subprocess.DEVNULL)
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


sys.exit(main())
