#!/usr/bin/env python3
"""What the proxy costs a restore: `restic restore` of one snapshot from radosgw, straight and through understory-proxy.

The S3 server checks every signature and session token. Straight, restic signs with a session's keys itself; through the proxy it
has dummy keys, as in a pod, and the proxy those of the broker. "http" and "tls" are the way to the store; to the proxy it is plain
HTTP, so with "tls" the proxy decrypts what restic would. The files are random bytes, half in files of 64 MB and half of 1 MB, and
are restored to memory (/dev/shm) where that has room, so that no disk hides what the way costs.

The two take turns, and each pair is begun by the other one than the pair before; seconds are medians, the ratio is the median of
the ratios of the pairs, since store, restic and proxy share the processors, perhaps with others. cpu_s_per_gb is that of the
proxy's process; cpu_ratio is restic's and the proxy's CPU seconds to those of restic alone, on which other work has less say
than on the time. No pair begins that would end later than 270 s after the start, the first of each way excepted.

usage: restore.py BUILD_FOLDER OUTPUT.json
environment: BENCH_MB (2000), BENCH_PAIRS (5)
"""
import json
import os
import pathlib
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/canopy/proxy"))
import s3sign
import testbed

MB = int(os.environ.get("BENCH_MB", 2000))
PAIRS = int(os.environ.get("BENCH_PAIRS", 5))
BUDGET_S = 270
RESTORE_MAX_S = 120
LARGE_MB = 64
BUCKET, PREFIX, REGION = "backups", "bench", "us-east-1"
DUMMY = {"AWS_ACCESS_KEY_ID": "DUMMY", "AWS_SECRET_ACCESS_KEY": "DUMMY"}
WAYS = {"http": "S3_ENDPOINT", "tls": "S3_TLS_ENDPOINT"}
LAYOUT = (("large", MB // 2 // LARGE_MB, LARGE_MB), ("small", MB // 2, 1))


def free_ports(count):
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(s.getsockname()[1]) for s in held]
    for s in held:
        s.close()
    return ports


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children_cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def say(text):
    print(f"{time.monotonic() - BEGIN:6.1f} s  {text}", flush=True)


class Bench:
    def __init__(self, build, folder, memory):
        self.build, self.dir, self.memory, self.proxies, self.broker = build, folder, memory, {}, None
        self.s3 = folder / "s3"

    def restic(self, endpoint, keys, *arguments):
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.dir), "RESTIC_PASSWORD": "bench", "AWS_DEFAULT_REGION": REGION, **keys}
        ca = ["--cacert", str(self.dir / "ca.crt")] if endpoint.startswith("https") else []
        command = ["restic", "-r", f"s3:{endpoint}/{BUCKET}/{PREFIX}", "--no-cache", *ca, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=RESTORE_MAX_S)
        if done.returncode != 0:
            raise SystemExit(f"bench: restic {arguments[0]}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def start_store(self):
        testbed.make_certificate(self.dir, "store", "DNS:localhost,IP:127.0.0.1")
        port, monitor, tls = free_ports(3)
        subprocess.run([ROOT / "fixtures/s3/radosgw.sh", "start", self.s3, port, "--mon-port", monitor, "--tls-port", tls, "--tls-cert",
                        self.dir / "store.crt", "--tls-key", self.dir / "store.key"], check=True)
        self.env = testbed.settings_of(self.s3 / "env")
        self.owner = testbed.settings_of(self.s3 / "keys/backup.key")

    def session(self):
        return s3sign.assume_role(self.env["S3_ENDPOINT"], self.env["S3_ROLE_ARN"], self.owner["AWS_ACCESS_KEY_ID"],
                                  self.owner["AWS_SECRET_ACCESS_KEY"])

    def backup(self):
        source = self.memory / "source"
        for kind, count, size in LAYOUT:
            (source / kind).mkdir(parents=True)
            for i in range(count):
                (source / kind / str(i)).write_bytes(os.urandom(size * 1000000))
        self.restic(self.env["S3_ENDPOINT"], self.owner, "init")
        lines = self.restic(self.env["S3_ENDPOINT"], self.owner, "backup", "--json", str(source)).splitlines()
        summary = next(m for m in map(json.loads, lines) if m["message_type"] == "summary")
        shutil.rmtree(source)
        self.snapshot, self.bytes = summary["snapshot_id"], summary["total_bytes_processed"]

    def start_proxies(self):
        self.broker = testbed.Broker(self.dir, self.session)
        for way, variable in WAYS.items():
            folder = self.dir / way
            folder.mkdir()
            shutil.copy(self.dir / "ca.crt", folder)
            settings = {"S3_CA_FILE": str(self.dir / "ca.crt")} if way == "tls" else {}
            self.proxies[way] = testbed.Proxy(self.build / "canopy/proxy/understory-proxy", folder, self.broker, PGRO_REGION=REGION,
                                              PGRO_BUCKET=BUCKET, PGRO_PREFIX=PREFIX + "/", S3_ENDPOINT=self.env[variable], **settings)

    def restore(self, endpoint, keys):
        """Seconds that it took, and restic's CPU seconds; what came is as large as what went in."""
        target = self.memory / "restored"
        begin, cpu_before = time.monotonic(), children_cpu_seconds()
        self.restic(endpoint, keys, "--no-lock", "restore", "--target", str(target), "--", self.snapshot)
        seconds, cpu = time.monotonic() - begin, children_cpu_seconds() - cpu_before
        size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
        shutil.rmtree(target)
        if size != self.bytes:
            raise SystemExit(f"bench: {size} bytes were restored, {self.bytes} were backed up")
        return seconds, cpu

    def direct(self, way):
        keys = self.session()
        environment = {"AWS_ACCESS_KEY_ID": keys["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
                       "AWS_SESSION_TOKEN": keys["SessionToken"]}
        return self.restore(self.env[WAYS[way]], environment)

    def proxied(self, way):
        proxy = self.proxies[way]
        before = cpu_seconds(proxy.process.pid)
        seconds, cpu = self.restore(f"http://{proxy.address}", DUMMY)
        return seconds, cpu, cpu_seconds(proxy.process.pid) - before

    def stop(self):
        for proxy in self.proxies.values():
            proxy.stop()
        if self.broker is not None:
            self.broker.stop()
        subprocess.run([ROOT / "fixtures/s3/radosgw.sh", "stop", self.s3], check=False)


def one_pair(bench, way, number):
    """Who went first in the last pair is second in this one."""
    found = {kind: getattr(bench, kind)(way) for kind in (("direct", "proxied") if number % 2 == 0 else ("proxied", "direct"))}
    direct_s, restic_alone_s = found["direct"]
    proxied_s, restic_s, proxy_s = found["proxied"]
    pair = {"direct_s": direct_s, "proxied_s": proxied_s, "ratio": proxied_s / direct_s,
            "cpu_s_per_gb": proxy_s / (bench.bytes / 1e9), "cpu_ratio": (restic_s + proxy_s) / restic_alone_s}
    say(f"pair {number + 1}, {way}: direct {pair['direct_s']:.2f} s, through the proxy {pair['proxied_s']:.2f} s, "
        f"ratio {pair['ratio']:.3f}, proxy {pair['cpu_s_per_gb']:.3f} CPU s/GB, CPU ratio {pair['cpu_ratio']:.3f}")
    return pair


def measure(bench):
    found = {way: [] for way in WAYS}
    for way in WAYS:
        bench.direct(way)
        bench.proxied(way)
    say("warmed up")
    longest = 0
    for number in range(PAIRS):
        begin = time.monotonic()
        if number > 0 and begin - BEGIN + longest > BUDGET_S:
            break
        for way in WAYS:
            found[way].append(one_pair(bench, way, number))
        longest = max(longest, time.monotonic() - begin)
    return {way: {"pairs": len(pairs), **{key: round(statistics.median(p[key] for p in pairs), 3) for key in pairs[0]},
                  "ratios": [round(p["ratio"], 3) for p in pairs]} for way, pairs in found.items()}


def main():
    build, output = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    load_before = os.getloadavg()[0]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="understory-bench-restore."))
    has_room = shutil.disk_usage("/dev/shm").free > 2 * MB * 1000000
    memory = pathlib.Path(tempfile.mkdtemp(prefix="understory-bench-restore.", dir="/dev/shm" if has_room else None))
    bench = Bench(build, folder, memory)
    try:
        bench.start_store()
        bench.backup()
        bench.start_proxies()
        say(f"{bench.bytes / 1e9:.1f} GB are backed up, store, broker and proxies are up")
        result = measure(bench)
    finally:
        bench.stop()
        shutil.rmtree(folder)
        shutil.rmtree(memory)
    result["conditions"] = {"cpus": os.cpu_count(), "load_before": round(load_before, 2), "bytes": bench.bytes, "to_memory": has_room}
    output.write_text(json.dumps(result, indent=2) + "\n")
    for way in WAYS:
        row = result[way]
        print(f"{way:5} direct {row['direct_s']:6.2f} s   through the proxy {row['proxied_s']:6.2f} s   ratio {row['ratio']:.3f} "
              f"(median of {row['pairs']} pairs: {row['ratios']})   proxy {row['cpu_s_per_gb']:.3f} CPU s/GB, "
              f"CPU ratio {row['cpu_ratio']:.3f}")


BEGIN = time.monotonic()
main()
