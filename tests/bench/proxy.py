#!/usr/bin/env python3
"""understory-proxy beside what else could stand in its place, in one run over the same objects.

  upstream   nginx with static files (no signature is checked: the same for all), over plain HTTP and over TLS
  direct     the client to the upstream
  nginx      as reverse proxy, buffers of 128 KiB, buffering off
  haproxy    with splicing and buffers of 128 KiB
  understory understory-proxy, which also checks, signs and counts

The client has 16 connections. Two loads: one object of 1 GiB, again and again (the figures of each row), and many objects of
20 KiB to 5 MiB ("small"). Each proxy is one worker. CPU is that of the proxy's process alone. Rounds are interleaved after a
warm-up, and the median is given, since the processors are shared by client, proxy and upstream, and perhaps with others.

usage: proxy.py BUILD_FOLDER OUTPUT.json
environment: BENCH_BIG (GETs of 1 GiB a round, 16), BENCH_SMALL (objects a round, 4000; the full load is 10000), BENCH_ROUNDS (2)
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

BIG = int(os.environ.get("BENCH_BIG", 16))
SMALL = int(os.environ.get("BENCH_SMALL", 4000))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", 2))
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
        (self.dir / "big.paths").write_text("/bucket/p/big\n" * BIG)
        (self.dir / "warm.paths").write_text("".join(f"/bucket/p/size{i}\n" for i in range(SIZES)))
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
            process.wait(20)

    def run(self, transport, kind, load):
        address, pids = self.targets[transport][kind]
        ca = ["--ca", str(self.dir / "ca.crt")] if (transport, kind) == ("tls", "direct") else []
        before = cpu_seconds(pids)
        out = subprocess.run([self.load, *ca, address, str(CONNECTIONS), self.dir / f"{load}.paths"], check=True, capture_output=True,
                             text=True).stdout.split()
        seconds, size, requests = float(out[0]), int(out[1]), int(out[2])
        return {"mb_s": size / seconds / 1e6, "cpu_s_per_gb": (cpu_seconds(pids) - before) / (size / 1e9),
                "objects_s": requests / seconds}


def median_of(rounds, digits={"mb_s": 0, "cpu_s_per_gb": 3, "objects_s": 0}):
    return {k: round(statistics.median(r[k] for r in rounds), d) for k, d in digits.items()}


def measure(bench):
    found = {}
    for transport in ("http", "tls"):
        for kind in KINDS:
            bench.run(transport, kind, "warm")
    for _ in range(ROUNDS):
        for transport in ("http", "tls"):
            for kind in KINDS:
                for load in ("big", "small"):
                    found.setdefault((transport, kind, load), []).append(bench.run(transport, kind, load))
    result = {}
    for transport in ("http", "tls"):
        result[transport] = {}
        for kind in KINDS:
            big, small = (median_of(found[transport, kind, load]) for load in ("big", "small"))
            del big["objects_s"]
            result[transport][kind] = {**big, "peak_rss_mib": peak_mib(bench.targets[transport][kind][1]), "small": small}
    return result


def show(result):
    print(f"{'':16}{'1 GiB: MB/s':>12}{'CPU s/GB':>10}{'small: MB/s':>13}{'CPU s/GB':>10}{'peak MiB':>10}")
    for transport in ("http", "tls"):
        for kind, row in result[transport].items():
            print(f"{transport:5}{kind:11}{row['mb_s']:12.0f}{row['cpu_s_per_gb']:10.3f}{row['small']['mb_s']:13.0f}"
                  f"{row['small']['cpu_s_per_gb']:10.3f}{row['peak_rss_mib']:10.1f}")
        ours, theirs = result[transport]["understory"], result[transport]["nginx"]
        print(f"{transport:5}of nginx: throughput {ours['mb_s'] / theirs['mb_s']:.2f}, CPU per GB "
              f"{ours['cpu_s_per_gb'] / theirs['cpu_s_per_gb']:.2f}; small: {ours['small']['mb_s'] / theirs['small']['mb_s']:.2f}, "
              f"{ours['small']['cpu_s_per_gb'] / theirs['small']['cpu_s_per_gb']:.2f}")


def main():
    build, output = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    load_before = os.getloadavg()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="understory-bench-proxy."))
    bench = Bench(build, folder)
    try:
        bench.files()
        bench.start()
        result = measure(bench)
    finally:
        bench.stop()
        shutil.rmtree(folder)
    result["conditions"] = {"cpus": os.cpu_count(), "load_before": round(load_before[0], 2), "rounds": ROUNDS,
                            "big_gets": BIG, "small_objects": SMALL, "connections": CONNECTIONS}
    output.write_text(json.dumps(result, indent=2) + "\n")
    show(result)
    print(f"load of the machine before: {load_before[0]:.2f} on {os.cpu_count()} processors")


main()
