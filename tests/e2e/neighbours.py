#!/usr/bin/python3
"""Neighbours that mean harm, against the listeners of one operator: thousands of connections that say nothing or a byte now and then,
bytes that are no TLS, requests that never end, tokens of others. Meanwhile the operator works and serves those who ask in order, and its
memory stays bounded. Speaks TAP.

usage: neighbours.py BUILD_FOLDER
"""
import json
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
from stage import GROUP, Stage, call, cpu_seconds, entry, is_sanitized, memory_mib, namespace, wait_until, with_small_quarantine
from tap import check, end

CREDENTIALS, AUDIENCE = "/internal/restore-creds", "understory-broker"
FLOOD_S = 12
# (listener, kind, connections, addresses): ten thousand at once, from one address each and from more than fill a listener.
FLOODS = [("broker", "hello", 3000, 1), ("broker", "silent", 2000, 200), ("broker", "garbage", 1000, 1), ("web", "headers", 2000, 200),
          ("web", "silent", 2000, 1)]
HONEST = "127.0.0.3"  # the limits are for each address
# Generous: seen were 1 s for a pass, 3 s for keys and probes, and 8 MiB more than before.
ACT_S, ANSWER_S, GROWTH_MIB, SANITIZED_GROWTH_MIB = 20, 30, 24, 100
SLOW_WITHIN_TLS = 60
FD_TOLERANCE = 6  # connections of our own to the API server and canopy


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def dial(port, source, is_tls):
    raw = socket.create_connection(("127.0.0.1", port), 5, (source, 0))
    if not is_tls:
        return raw
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        return context.wrap_socket(raw)
    except BaseException:
        raw.close()
        raise


def ask(port, request, source=HONEST, is_tls=True):
    """The whole answer; what came until the connection ended otherwise."""
    answer = b""
    with dial(port, source, is_tls) as one:
        try:
            one.sendall(request)
            while piece := one.recv(65536):
                answer += piece
        except OSError:
            pass
    return answer


def status(answer):
    """Of an answer; 0 when the connection was closed without one."""
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def post(path, token, body, headers=""):
    return (f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n{headers}"
            "Connection: close\r\n\r\n").encode() + body


def seconds_until(what, is_answered, limit_s):
    """How long it took; limit_s when it never came."""
    begin = time.monotonic()
    while time.monotonic() < begin + limit_s:
        try:
            if is_answered():
                return time.monotonic() - begin
        except OSError:
            pass
        time.sleep(0.1)
    return limit_s


class Neighbourhood:
    def __init__(self, stage, pool):
        self.stage, self.pool, self.ports = stage, pool, {"broker": free_port()}
        self.operator = stage.operator(CREDENTIALS="proxy", CANOPY_PROXY_IMAGE="proxy", TEARDOWN_GUARD="off", ASAN_OPTIONS=with_small_quarantine(),
                                       PGRO_BROKER_LISTEN_ADDR=f"127.0.0.1:{self.ports['broker']}")
        self.ports["web"] = int(stage.metrics_url.split(":")[2].split("/")[0])
        self.wish = json.dumps({"group": GROUP, "type": pool[0]["type"]}).encode()

    def namespaces(self):
        return {item["metadata"]["name"] for item in call("GET", self.stage.api + "/api/v1/namespaces")["items"]}

    def jobs(self):
        return {item["metadata"]["namespace"] for item in call("GET", self.stage.api + "/apis/batch/v1/jobs")["items"]}

    def token(self, e, audience=AUDIENCE):
        answer = call("POST", f"{self.stage.api}/api/v1/namespaces/{namespace(e)}/serviceaccounts/restore/token",
                      {"spec": {"audiences": [audience], "expirationSeconds": 3600}})
        return answer["status"]["token"]

    def keys(self, token, source=HONEST):
        return ask(self.ports["broker"], post(CREDENTIALS, token, self.wish), source)

    def is_given_keys(self, token):
        return status(self.keys(token)) == 200

    def is_live(self):
        return status(ask(self.ports["web"], b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", is_tls=False)) == 200


def refusals(at, good, other, gone):
    """What is asked by whoever may not, or not so. 0: closed without an answer."""
    broker, other_group = at.ports["broker"], json.dumps({"group": namespace(at.pool[0]), "type": "x"}).encode()
    stats = f"/api/v1/canopy-stats/{namespace(at.pool[0])}/restore-x"
    rows = [
        ("a token of nobody", post(CREDENTIALS, "nobody.nothing.x", at.wish), {401}),
        ("a token for another audience", post(CREDENTIALS, at.token(at.pool[0], "https://kubernetes.default.svc"), at.wish), {401}),
        ("another group than the Namespace's", post(CREDENTIALS, good, other_group), {400, 403}),
        ("counts for another Namespace", post(stats, other, b"{}"), {403}),
        ("the token of a Namespace that is gone", post(CREDENTIALS, gone, at.wish), {401, 403}),
        ("a head of 64 KiB", post(CREDENTIALS, good, at.wish, f"X-Long: {'a' * 65536}\r\n"), {431, 0}),
        ("a body of 10 MB", post(CREDENTIALS, good, b"a" * 10_000_000), {413, 0}),  # the answer may be lost with what is not read
        ("a body without an end", post(CREDENTIALS, good, b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"), {411}),
        ("no JSON", post(CREDENTIALS, good, b"\0\1\2"), {400}),
        ("another path", post("/internal/", good, at.wish), {404}),
    ]
    for number, (what, request, wanted) in enumerate(rows):
        answer = ask(broker, request, f"127.0.3.{1 + number}")
        check(f"{what} is refused", status(answer) in wanted and b"SecretAccessKey" not in answer, answer[:300])
    answer = ask(broker, post(CREDENTIALS, good, at.wish), "127.0.3.99", is_tls=False)
    check("plain HTTP is no way to the broker", status(answer) == 0, answer[:300])


def slow_within_tls(at, good):
    """Handshakes that are made and requests that never end: heads, and bodies."""
    held = []
    for number in range(SLOW_WITHIN_TLS):
        try:
            one = dial(at.ports["broker"], f"127.0.4.{1 + number % 2}", True)
            one.sendall(post(CREDENTIALS, good, at.wish)[:-len(at.wish) if number % 2 else 60])
            held.append(one)
        except OSError:
            pass
    return held


def under_flood(at, good):
    pid, before = at.operator.pid, memory_mib(at.operator.pid)[1]
    held = slow_within_tls(at, good)
    flood = str(pathlib.Path(__file__).with_name("flood.py"))
    begin, cpu = time.monotonic(), cpu_seconds(pid)
    floods = [subprocess.Popen([sys.executable, flood, str(at.ports[where]), kind, str(number), str(addresses), str(FLOOD_S)],
                               stdout=subprocess.PIPE, text=True) for where, kind, number, addresses in FLOODS]
    time.sleep(1)
    at.stage.canopy_wants(at.pool)
    acted = seconds_until("the pass", lambda: namespace(at.pool[-1]) in at.namespaces(), ACT_S)
    answered = seconds_until("keys", lambda: at.is_given_keys(good), ANSWER_S)
    live = seconds_until("a probe", at.is_live, ANSWER_S)
    rows = [json.loads(one.communicate(timeout=60)[0]) for one in floods]
    took, cpu, most = time.monotonic() - begin, cpu_seconds(pid) - cpu, memory_mib(pid)[1]
    for one in held:
        one.close()
    print(f"# {sum(row['tried'] for row in rows)} connections tried, {sum(row['connected'] for row in rows)} made, at most "
          f"{sum(row['most'] for row in rows)} at once, in {took:.1f} s; {cpu:.1f} s of CPU; {before:.1f} MiB resident before, {most:.1f} "
          "at most")
    check("a thousand connections were held at once", sum(row["most"] for row in rows) >= 1000, rows)
    check(f"a change of the worklist is acted on: after {acted:.1f} s", acted < ACT_S, at.stage.log("operator"))
    check(f"keys are given to whom they are due: after {answered:.1f} s", answered < ANSWER_S, at.stage.log("operator"))
    check(f"the kubelet's probe is answered: after {live:.1f} s", live < ANSWER_S, at.stage.log("operator"))
    limit = SANITIZED_GROWTH_MIB if is_sanitized(at.stage.build / "reconciler/understory") else GROWTH_MIB
    check(f"memory is bounded: {before:.1f} MiB resident before, {most:.1f} at most", most <= before + limit)


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    pool = [entry(i, "analytics") for i in range(4)]
    with Stage(build, pool[:3], log=True) as stage:
        at = Neighbourhood(stage, pool)
        wait_until("three restores", lambda: at.jobs() == {namespace(e) for e in pool[:3]}, 60)
        good, other, gone = (at.token(e) for e in pool[:3])
        check("keys are given to whom they are due", at.is_given_keys(good) and at.is_given_keys(gone), stage.log("operator"))
        stage.canopy_wants(pool[:2])
        wait_until("the end of a Namespace", lambda: namespace(pool[2]) not in at.namespaces(), 60)
        refusals(at, good, other, gone)
        at.pool = pool[:2] + pool[3:]
        open_before = descriptors(at.operator.pid)
        under_flood(at, good)
        wait_until("the end of the flood", lambda: descriptors(at.operator.pid) <= open_before + FD_TOLERANCE, 60)
        check("afterwards all is as it was", at.is_given_keys(good) and at.is_live(), stage.log("operator"))
        check("no key and no token is in the log", not any(secret in stage.log("operator") for secret in (good, gone, "stub-secret")))
        check("the operator is refused nothing", not stage.refused(), "\n".join(stage.refused()))
        at.operator.terminate()
        check("the operator ends in order", at.operator.wait(30) == 0, stage.log("operator"))
    return end()


sys.exit(main())
