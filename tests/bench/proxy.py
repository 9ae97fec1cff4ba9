#!/usr/bin/env python3
"""understory-proxy beside what else could stand in its place, in one run over the same objects.

  upstream   nginx with static files (no signature is checked: the same for all), over plain HTTP and over TLS
  direct     the client to the upstream
  nginx      as reverse proxy, buffers of 128 KiB, buffering off
  haproxy    with splicing and buffers of 128 KiB
  understory understory-proxy, which also checks, signs and counts

The client has 16 connections and takes plain HTTP from each proxy; "http" and "tls" are the way to the upstream. Two loads: an
object of 1 GiB on each connection for 0.8 s, three times a round (the figures of each row), and 10,000 objects of 20 KiB to
5 MiB, 8.6 GB in all, each once a round ("small"), cut off after 6.5 s on a machine that has other work ("objects" is how many
were read in a run). A warm-up before them reads the 1 GiB whole. Each proxy is one worker. CPU is that of the proxy's process
alone. The candidates take turns, and medians are given, since the processors are shared by client, proxy and upstream, and
perhaps with others. Of TLS each has its own preference: understory-proxy AES with 128 bits, as S3 itself has, the others
OpenSSL's, 256.

peak_rss_mib is the kernel's own peak (VmHWM) of the proxy's process after all loads: anonymous pages and every file page, also
those of libraries that other processes map, too. private_mib is what it holds then and no other process: RssAnon and private
file pages (null where that may not be read). ratio_to_nginx is the median of the ratios of a run's mb_s to that of the run of
nginx beside it, cpu_ratio_to_nginx the same of cpu_s_per_gb: what else the machine does changes more slowly than they take turns.

A line is printed as each part ends. No round begins that would end later than 200 s after the start, the first excepted.

usage: proxy.py BUILD_FOLDER OUTPUT.json
environment: BENCH_ROUNDS (3), BENCH_SMALL (10000)
"""
import json
import os
import pathlib
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "canopy/proxy"))
import testbed

SMALL = int(os.environ.get("BENCH_SMALL", 10000))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", 3))
SECONDS = {"warm": 5, "big": 0.8, "small": 6.5}  # each run at most
STUCK_S = 15  # longer than that past its end a client is stuck
BUDGET_S = 200
BIG = 200  # GETs, more than fit into the time
PARTS = ("big", "big", "small", "big")  # of a round
CONNECTIONS = 16
SIZES = 200  # different sizes among the small objects
KINDS = ("direct", "nginx", "haproxy", "understory")

NGINX = """
daemon off; worker_processes 1; pid {dir}/{name}.pid; error_log {dir}/{name}.log warn;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000; client_body_temp_path {dir}/tmp1;
  proxy_temp_path {dir}/tmp2; fastcgi_temp_path {dir}/tmp3; uwsgi_temp_path {dir}/tmp4; scgi_temp_path {dir}/tmp5;
  {body}
}}
"""
ORIGIN = """
  server {{ listen 127.0.0.1:{http} reuseport; root {dir}/files; }}
  server {{ listen 127.0.0.1:{tls} ssl; root {dir}/files; ssl_certificate {dir}/origin.crt; ssl_certificate_key {dir}/origin.key;
            ssl_protocols TLSv1.3; ssl_buffer_size 16k; }}
"""
REVERSE = """
  upstream plain {{ server 127.0.0.1:{http}; keepalive 64; keepalive_requests 1000000; }}
  upstream secure {{ server 127.0.0.1:{tls}; keepalive 64; keepalive_requests 1000000; }}
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; proxy_buffer_size 128k;
  proxy_buffers 8 128k; proxy_busy_buffers_size 256k;
  proxy_ssl_verify on; proxy_ssl_trusted_certificate {dir}/ca.crt; proxy_ssl_name localhost; proxy_ssl_server_name on;
  proxy_ssl_protocols TLSv1.3;
  server {{ listen 127.0.0.1:{via_http}; location / {{ proxy_pass http://plain; }} }}
  server {{ listen 127.0.0.1:{via_tls}; location / {{ proxy_pass https://secure; }} }}
"""
HAPROXY = """
global
  nbthread 1
  tune.bufsize 131072
  tune.pipesize 1048576
defaults
  mode http
  option splice-auto
  http-reuse always
  timeout connect 10s
  timeout client 60s
  timeout server 60s
listen http
  bind 127.0.0.1:{ha_http}
  server s 127.0.0.1:{http}
listen tls
  bind 127.0.0.1:{ha_tls}
  server s 127.0.0.1:{tls} ssl verify required ca-file {dir}/ca.crt verifyhost localhost sni str(localhost) ssl-min-ver TLSv1.3
"""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def wait_for(port):
    end = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise SystemExit(f"bench: nothing listens on port {port}")
            time.sleep(0.05)


def children(pid):
    return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def peak_mib(pids):
    peak = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                peak = max(peak, int(line.split()[1]) / 1024)
    return round(peak, 1)


def private_mib(pids):
    total = 0
    for pid in pids:
        try:
            lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except PermissionError:
            return None
        total += sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:")))
    return round(total / 1024, 1)


class Bench:
    def __init__(self, build, folder):
        self.build, self.dir, self.processes, self.proxies = build, folder, [], []
        names = ("http", "tls", "via_http", "via_tls", "ha_http", "ha_tls")
        self.ports = dict(zip(names, free_ports(len(names))))
        self.load = build / "tests/bench/load"
        self.targets = {}

    def files(self):
        root = self.dir / "files" / "bucket" / "p"
        root.mkdir(parents=True)
        with open(root / "big", "wb") as f:
            f.truncate(0)
            block = os.urandom(1 << 20)
            for _ in range(1024):
                f.write(block)
        rng = random.Random(1)  # the same objects in every run
        for i in range(SIZES):
            (root / f"size{i}").write_bytes(os.urandom(int(20480 * (5 * 1024 * 1024 / 20480) ** rng.random())))
        for i in range(SMALL):
            os.link(root / f"size{i % SIZES}", root / f"object{i}")
        self.small_bytes = sum((root / f"object{i}").stat().st_size for i in range(SMALL))
        (self.dir / "big.paths").write_text("/bucket/p/big\n" * BIG)
        (self.dir / "warm.paths").write_text("/bucket/p/big\n" + "".join(f"/bucket/p/size{i}\n" for i in range(SIZES)))
        (self.dir / "small.paths").write_text("".join(f"/bucket/p/object{i}\n" for i in range(SMALL)))

    def spawn(self, name, command):
        log = open(self.dir / f"{name}.out", "wb")
        process = subprocess.Popen(command, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def start(self):
        values = {"dir": self.dir, **self.ports}
        testbed.make_certificate(self.dir, "origin", "DNS:localhost,IP:127.0.0.1")
        (self.dir / "haproxy.cfg").write_text(HAPROXY.format(**values))
        pids = {}
        for name, body in (("origin", ORIGIN), ("reverse", REVERSE)):
            (self.dir / f"{name}.conf").write_text("user root;" * (os.getuid() == 0) + NGINX.format(name=name, dir=self.dir,
                                                                                                    body=body.format(**values)))
            pids[name] = self.spawn(name, ["nginx", "-p", str(self.dir), "-c", str(self.dir / f"{name}.conf")]).pid
        pids["haproxy"] = self.spawn("haproxy", ["haproxy", "-db", "-f", str(self.dir / "haproxy.cfg")]).pid
        for port in self.ports.values():
            wait_for(port)
        self.broker = testbed.Broker(self.dir, lambda: {
            "Version": 1, "AccessKeyId": "AKID", "SecretAccessKey": "secret", "SessionToken": "token" * 100,
            "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))})
        p = self.ports
        for transport, scheme, settings in (("http", "http", {}), ("tls", "https", {"S3_CA_FILE": str(self.dir / "ca.crt")})):
            folder = self.dir / transport
            folder.mkdir()
            shutil.copy(self.dir / "ca.crt", folder)
            proxy = testbed.Proxy(self.build / "canopy/proxy/understory-proxy", folder, self.broker, PGRO_REGION="r",
                                  PGRO_BUCKET="bucket", PGRO_PREFIX="p/", S3_ENDPOINT=f"{scheme}://localhost:{p[transport]}",
                                  S3_CONNECT_TO=f"127.0.0.1:{p[transport]}", **settings)
            self.proxies.append(proxy)
            self.targets[transport] = {
                "direct": (f"127.0.0.1:{p[transport]}", []),
                "nginx": (f"127.0.0.1:{p['via_' + transport]}", children(pids["reverse"])),
                "haproxy": (f"127.0.0.1:{p['ha_' + transport]}", [pids["haproxy"]]),
                "understory": (proxy.address, [proxy.process.pid])}

    def stop(self):
        for proxy in self.proxies:
            proxy.stop()
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(20)

    def show_logs(self):
        for path in sorted(self.dir.glob("*.out")) + sorted(self.dir.glob("*.log")) + sorted(self.dir.glob("*/proxy.log")):
            for line in path.read_text(errors="replace").splitlines()[-5:]:
                print(f"{path.name}: {line}", file=sys.stderr)

    def run(self, transport, kind, load):
        address, pids = self.targets[transport][kind]
        ca = ["--ca", str(self.dir / "ca.crt")] if (transport, kind) == ("tls", "direct") else []
        before = cpu_seconds(pids)
        command = [self.load, *ca, address, str(CONNECTIONS), str(SECONDS[load]), self.dir / f"{load}.paths"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS[load] + STUCK_S)
        except subprocess.TimeoutExpired:
            raise SystemExit(f"bench: {transport} {kind} {load}: stuck")
        if done.returncode != 0:
            raise SystemExit(f"bench: {transport} {kind} {load}: {done.stderr.strip()}")
        seconds, size, requests = (float(word) for word in done.stdout.split())
        return {"mb_s": size / seconds / 1e6, "cpu_s_per_gb": (cpu_seconds(pids) - before) / (size / 1e9),
                "objects": requests, "seconds": seconds}


def say(text):
    print(f"{time.monotonic() - BEGIN:6.1f} s  {text}", flush=True)


def median_of(rounds, digits):
    return {k: round(statistics.median(r[k] for r in rounds), d) for k, d in digits.items()}


def one_round(bench, number, found):
    for part, load in enumerate(PARTS):
        for transport in ("http", "tls"):
            line = []
            for at in range(len(KINDS)):
                kind = KINDS[(at + number + part) % len(KINDS)]  # none is always first
                run = bench.run(transport, kind, load)
                found.setdefault((transport, kind, load), []).append(run)
                line.append(f"{kind} {run['mb_s']:.0f} MB/s {run['cpu_s_per_gb']:.3f} CPU s/GB")
            say(f"round {number + 1}, {transport} {load}: {', '.join(line)}")


def measure(bench):
    found = {}
    for transport in ("http", "tls"):
        for kind in KINDS:
            bench.run(transport, kind, "warm")
        say(f"warmed up: {transport}")
    rounds = 0
    longest = 0
    while rounds < ROUNDS and (rounds == 0 or time.monotonic() - BEGIN + longest < BUDGET_S):
        begin = time.monotonic()
        one_round(bench, rounds, found)
        longest = max(longest, time.monotonic() - begin)
        rounds += 1
    result = {"rounds": rounds}
    for transport in ("http", "tls"):
        rows = result[transport] = {}
        for kind in KINDS:
            rows[kind] = median_of(found[transport, kind, "big"], {"mb_s": 0, "cpu_s_per_gb": 3})
            rows[kind]["peak_rss_mib"] = peak_mib(bench.targets[transport][kind][1])
            rows[kind]["private_mib"] = private_mib(bench.targets[transport][kind][1])
            rows[kind]["small"] = median_of(found[transport, kind, "small"],
                                            {"mb_s": 0, "cpu_s_per_gb": 3, "objects": 0, "seconds": 1})
            for load, row in (("big", rows[kind]), ("small", rows[kind]["small"])):
                runs = list(zip(found[transport, kind, load], found[transport, "nginx", load]))
                row["ratio_to_nginx"] = round(statistics.median(a["mb_s"] / b["mb_s"] for a, b in runs), 2)
                row["cpu_ratio_to_nginx"] = round(statistics.median(a["cpu_s_per_gb"] / b["cpu_s_per_gb"] for a, b in runs), 2)
    return result


def show(result):
    print(f"{'':16}{'1 GiB: MB/s':>12}{'of nginx':>10}{'CPU s/GB':>10}{'of nginx':>10}{'small: MB/s':>13}{'of nginx':>10}"
          f"{'CPU s/GB':>10}{'of nginx':>10}{'peak MiB':>10}")
    for transport in ("http", "tls"):
        for kind, row in result[transport].items():
            print(f"{transport:5}{kind:11}{figures(row, 12)}{figures(row['small'], 13)}{row['peak_rss_mib']:10.1f}")


def figures(row, width):
    return (f"{row['mb_s']:{width}.0f}{row['ratio_to_nginx']:10.2f}{row['cpu_s_per_gb']:10.3f}{row['cpu_ratio_to_nginx']:10.2f}")


def main():
    build, output = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    load_before = os.getloadavg()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="understory-bench-proxy."))
    bench = Bench(build, folder)
    try:
        bench.files()
        say(f"objects: one of 1 GiB, {SMALL} of 20 KiB to 5 MiB, {bench.small_bytes / 1e9:.1f} GB in all")
        bench.start()
        say("upstream, proxies and broker are up")
        result = measure(bench)
    except BaseException:
        bench.show_logs()
        raise
    finally:
        bench.stop()
        shutil.rmtree(folder)
    result["conditions"] = {"cpus": os.cpu_count(), "load_before": round(load_before[0], 2), "connections": CONNECTIONS,
                            "small_objects": SMALL, "small_bytes": bench.small_bytes, "seconds_at_most": SECONDS}
    output.write_text(json.dumps(result, indent=2) + "\n")
    say(f"{result['rounds']} rounds; medians; load of the machine before: {load_before[0]:.2f} on {os.cpu_count()} processors")
    show(result)


BEGIN = time.monotonic()
main()
