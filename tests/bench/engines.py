#!/usr/bin/env python3
"""What a restore costs with each engine: one server, backed up once for each, restored one after the other by the operator in the stub's
node, whose pods run the real tools.

restic, basebackup and dump reach the S3 server (radosgw) through the credential proxy, pgbackrest directly, which is all it can; to the
store it is TLS for all. basebackup and dump also come from a volume. Not measured are kopia and WAL-G: no package has them, and of a
double of their command line nothing would be learned.

"fetch" is from the start of the restore container to the end of its Job, "ready" from there until the Deployment is available: recovery, or
pg_restore; the checks come after that and are not counted, but their verdict has to be clean. Each engine has what a pod has by default, no
limit of CPUs, and is alone on the node. `ratio` is the time of both to that of "by hand": `rclone cat | tar -xz` of the same pg_basebackup
over the same network, nothing checked, and PostgreSQL started on it. "copy" is `cp -a` of the stopped server's files and its start: below
that there is nothing to gain. Each is done once: on a machine with other work the figures are of that moment. All backups are
compressed by gzip at level 1, restic's by zstd.

"network" counts what the store sent, at a relay before it. CPU and memory are those of a cgroup (v1: cpuacct, memory) with the node and all
that its pods run, the proxy too; the node itself has some 10 MiB of it. Memory is the most that was seen of what the kernel cannot take
back, anonymous and shared (total_rss and total_shmem of memory.stat, looked at each 20 ms). What it holds of files is left out, since that
grows to whatever is free and goes again: with it, max_usage_in_bytes ("with_page_cache_mib" in the JSON) says more of the machine than of the
engine. The restored files lie on the disk of /tmp, nothing is flushed.

usage: engines.py BUILD_FOLDER OUTPUT.json
environment: BENCH_MB (2000), about what the data directory has; BENCH_ENGINES, a list of names to be restored
"""
import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/verdict"))
import archives
from cells import Cell
from server import Image, Server, own
from stage import call, wait_until
from trial import Trial, free_ports

MB = int(os.environ.get("BENCH_MB", 2000))
READY_S, LIMIT_S = 600, 900
ROWS = MB * 900 # of 1.1 kB
# Two thirds of each row compress well: gzip makes a third of a data directory of these.
CONTENT = f"""
CREATE EXTENSION pgcrypto;
BEGIN;
CREATE TABLE record (id bigint, patient int NOT NULL, at timestamptz NOT NULL, notes text NOT NULL);
ALTER TABLE record ALTER notes SET STORAGE EXTERNAL;
INSERT INTO record SELECT i, (i * 7919::bigint) % 100003, timestamptz '2026-01-01' + i * interval '1 second',
  encode(gen_random_bytes(225), 'base64') || repeat(md5(i::text), 21) FROM generate_series(1, {ROWS}) i;
ALTER TABLE record ADD PRIMARY KEY (id);
CREATE INDEX record_patient ON record (patient);
COMMIT;
VACUUM ANALYZE record;
CHECKPOINT;
"""
SETTINGS = """
engines: {tamanu-postgres: restic}
directCredentials: [tamanu-postgres] # of an engine that cannot use the proxy: pgbackrest
intents:
  verify: {readyTimeout: %(ready)ds, storageSize: 64Gi, storageSizeMaximum: 128Gi, switchoverGrace: 0s}
"""
FOLDER = "night"
CGROUPS = pathlib.Path("/sys/fs/cgroup")


def say(text):
    print(f"{time.monotonic() - BEGIN:6.1f} s  {text}", flush=True)


class Relay:
    """Before the store's TLS port, in a process of its own: what the store sent through it is counted."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.endpoint = f"https://localhost:{self.listener.getsockname()[1]}"
        self.sent = multiprocessing.Value("Q", 0)
        self.process = multiprocessing.get_context("fork").Process(target=self.serve, args=(port,), daemon=True)
        self.process.start()

    def serve(self, port):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while True:
            client, _ = self.listener.accept()
            store = socket.create_connection(("127.0.0.1", port))
            for one in (client, store): # without it each small file waits for a delayed ACK
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for pair in ((client, store, None), (store, client, self.sent)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    def stop(self):
        self.process.terminate()
        self.process.join()


def pump(source, target, count):
    try:
        while True:
            data = source.recv(1 << 18)
            if not data:
                target.shutdown(socket.SHUT_WR)
                return
            target.sendall(data)
            if count is not None:
                with count.get_lock():
                    count.value += len(data)
    except OSError: # the other side is gone; whoever notices next ends too
        for one in (source, target):
            one.close()


class Pods:
    """The cgroup of the node and of everything that it starts."""

    def __init__(self):
        self.memory, self.cpu = (CGROUPS / kind / f"understory-bench-engines.{os.getpid()}" for kind in ("memory", "cpuacct"))
        for folder in (self.memory, self.cpu):
            if not folder.parent.is_dir():
                raise SystemExit(f"bench: {folder.parent} is not there: cgroup v1 is needed")
            folder.mkdir()
        self.most, self.ends = 0, False
        self.looking = threading.Thread(target=self.look)
        self.looking.start()

    def take(self, pid):
        for folder in (self.memory, self.cpu):
            (folder / "cgroup.procs").write_text(str(pid))

    def look(self):
        while not self.ends:
            held = dict(line.split() for line in (self.memory / "memory.stat").read_text().splitlines())
            self.most = max(self.most, int(held["total_rss"]) + int(held["total_shmem"]))
            time.sleep(0.02)

    def cpu_s(self):
        return int((self.cpu / "cpuacct.usage").read_text()) / 1e9

    def begin(self):
        self.most, self.cpu_before = 0, self.cpu_s()
        (self.memory / "memory.max_usage_in_bytes").write_text("0")

    def end(self):
        """Since begin(): CPU seconds, MiB that were held, MiB with files."""
        with_files = int((self.memory / "memory.max_usage_in_bytes").read_text())
        return {"cpu_s": round(self.cpu_s() - self.cpu_before, 2), "memory_mib": round(self.most / 2**20),
                "with_page_cache_mib": round(with_files / 2**20)}

    def stop(self):
        self.ends = True
        self.looking.join()
        for folder in (self.memory, self.cpu):
            wait_until("the end of all pods", lambda: not (folder / "cgroup.procs").read_text(), 30)
            folder.rmdir()


class Bench(Trial):
    """Its pods go to the store by the relay."""

    def start(self):
        self.relay = self.pods = None
        super().start()

    def start_operator(self):
        (self.stage.dir / "understory.yaml").write_text(SETTINGS % {"ready": READY_S})
        self.pods = Pods()
        self.pods.take(self.stage.running["api"].pid)
        self.relay = Relay(int(self.tls_endpoint.rsplit(":", 1)[1]))
        broker = f"127.0.0.1:{free_ports(1)[0]}"
        self.settings = {"S3_ENDPOINT": self.relay.endpoint, "CREDENTIALS": "proxy", "CANOPY_PROXY_IMAGE": "understory:local",
                         "PGRO_BROKER_LISTEN_ADDR": broker, "PGRO_BROKER_URL": f"https://{broker}", "PGBACKREST_IMAGE": "pgbackrest"}
        super().start_operator()

    def __exit__(self, *exception):
        try:
            super().__exit__(*exception)
        finally:
            if self.pods is not None:
                self.pods.stop()
            if self.relay is not None:
                self.relay.stop()

    def get(self, path):
        try:
            return call("GET", f"{self.stage.api}{path}")["items"]
        except OSError:
            return []


# --- one restore

def container_runs(bench, ns):
    pods = bench.get(f"/api/v1/namespaces/{ns}/pods?labelSelector=app.kubernetes.io/component=restore")
    states = [c["state"] for pod in pods for c in pod.get("status", {}).get("containerStatuses", []) if c["name"] == "restore"]
    return any("running" in state or "terminated" in state for state in states)


def job_is(bench, ns, outcome):
    return any(c["type"] == outcome and c["status"] == "True" for job in bench.get(f"/apis/batch/v1/namespaces/{ns}/jobs")
               for c in job.get("status", {}).get("conditions", []))


def is_available(bench, ns):
    return any(one.get("status", {}).get("availableReplicas", 0) for one in bench.get(f"/apis/apps/v1/namespaces/{ns}/deployments"))


def phase(bench, cell, what, is_over):
    """Until it is over: seconds, bytes of the store, and what Pods.end() says."""
    begin, sent = time.monotonic(), bench.relay.sent.value
    bench.pods.begin()
    wait_until(f"{cell.name}: {what}", lambda: is_over() or cell.name in bench.reports or bench.look(), READY_S, every=0.05)
    if cell.name in bench.reports and not is_over():
        raise SystemExit(f"bench: {cell.name} failed: {cell.said(bench.reports[cell.name])}")
    return {"seconds": round(time.monotonic() - begin, 2), "network_mb": round((bench.relay.sent.value - sent) / 1e6), **bench.pods.end()}


def restore(bench, cell, snapshot):
    bench.offer(cell, snapshot)
    ns = cell.namespace
    wait_until(f"{cell.name}: its restore", lambda: container_runs(bench, ns) or bench.look(), 60, every=0.02)
    fetch = phase(bench, cell, "the restore Job", lambda: job_is(bench, ns, "Complete"))
    ready = phase(bench, cell, "the database", lambda: is_available(bench, ns))
    bench.judge_all([cell])
    wrongs = cell.wrongs(bench.reports.get(cell.name))
    if wrongs:
        raise SystemExit(f"bench: {cell.name}: {'; '.join(wrongs)}: {bench.log('operator')[-1500:]}")
    withdraw(bench, cell)
    say(f"{cell.name}: fetched in {fetch['seconds']} s, ready {ready['seconds']} s later")
    return {"engine": cell.name, "way": cell.capture, "fetch": fetch, "ready": ready}


def withdraw(bench, cell):
    """Its volume has gone when the next one is restored."""
    bench.entries.remove(cell.entry)
    bench.stage.canopy_wants(bench.entries)
    wait_until("the teardown", lambda: not any(n["metadata"]["name"] == cell.namespace for n in bench.get("/api/v1/namespaces")), 60)


# --- what there is to restore

def back_up(bench, server, top):
    """{engine: snapshot}; half of them at a time, since each uses one processor."""
    folders = top / "backups"
    folders.mkdir()
    own(folders)
    machine = Image(15)

    def of_folder(kind, make):
        make(folders / kind / FOLDER)
        archives.put(bench, folders / kind / FOLDER, kind)
        return FOLDER

    for kind in ("basebackup", "dump"):
        (folders / kind).mkdir()
        own(folders / kind)
    repository = archives.PgBackRest(server, machine, top / "wal", [*archives.options_of_s3(bench, "pgbackrest"), "compress-level=1"])
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        asked = {"pgbackrest": pool.submit(repository.back_up),
                 "dump": pool.submit(of_folder, "dump", lambda folder: archives.dump(server, folder, machine, ["clinic"], options=["-Z", "1"])),
                 "basebackup": pool.submit(of_folder, "basebackup", lambda folder: archives.base_backup(server, folder, options=["-Z", "1"]))}
        snapshots = {engine: future.result() for engine, future in asked.items()}
    bench.have_volume("backups", folders)
    server.stop()
    snapshots["restic"] = bench.back_up(server.data)
    return snapshots


def by_itself(bench, engine, way, image, target, words):
    """Words of a shell that make a data directory at $0, and a server on it."""
    bench.pods.begin()
    begin, sent = time.monotonic(), bench.relay.sent.value
    target.mkdir(mode=0o700)
    own(target)
    join = "".join(f"echo $$ >{folder}/cgroup.procs && " for folder in (bench.pods.memory, bench.pods.cpu))
    subprocess.run(["bash", "-c", f"set -euo pipefail; {join}{words}", target], check=True, stdin=subprocess.DEVNULL,
                   env=archives.environment_of_rclone(bench, bench.relay.endpoint))
    fetch = {"seconds": round(time.monotonic() - begin, 2), "network_mb": round((bench.relay.sent.value - sent) / 1e6), **bench.pods.end()}
    begin = time.monotonic()
    with Server(image, target) as server:
        ready = {"seconds": round(time.monotonic() - begin, 2), "network_mb": 0, "cpu_s": None, "memory_mib": None, "with_page_cache_mib": None}
        if server.sql("clinic", "SELECT count(*) FROM record") != str(ROWS):
            raise SystemExit(f"bench: {engine}: rows are missing")
    shutil.rmtree(target)
    say(f"{engine}: {fetch['seconds']} s, ready {ready['seconds']} s later")
    return {"engine": engine, "way": way, "fetch": fetch, "ready": ready}


def plain_ways(bench, server, top):
    """What the engines are measured with: the way by hand, and the least that is possible."""
    unpack = " && ".join(
        f"rclone cat store:backups/basebackup/{FOLDER}/{name}.tar.gz | setpriv --reuid=postgres --regid=postgres --clear-groups tar -xz -C $0/{place}"
        for name, place in (("base", ""), ("pg_wal", "pg_wal")))
    return [by_itself(bench, "by hand", "S3, direct", server.image, top / "hand", unpack),
            by_itself(bench, "copy", "cp -a", server.image, top / "copy", f"cp -a {server.data}/. $0")]


def cells(snapshots):
    """In the order of the table: (cell, snapshot)."""
    folder = lambda kind, **more: {"engine": kind, "prefix": kind, **more}
    volume = {"storage": "file", "bucket": "backups"}
    return [(Cell(name, says=says, capture=way, rows=ROWS), snapshots[says["engine"]]) for name, way, says in (
        ("restic", "S3, proxy", {"engine": "restic"}),
        ("basebackup", "S3, proxy", folder("basebackup")),
        ("basebackup-volume", "volume", folder("basebackup", **volume)),
        ("dump", "S3, proxy", folder("dump")),
        ("dump-volume", "volume", folder("dump", **volume)),
        ("pgbackrest", "S3, direct", folder("pgbackrest", stanza="main")))]


def measure(bench, top):
    (top / "wal").mkdir()
    own(top / "wal")
    with Server(Image(15), top / "source", {"wal_level": "minimal", "max_wal_senders": "0", "maintenance_work_mem": "256MB"}) as server:
        server.sql("postgres", "CREATE DATABASE clinic")
        server.sql("clinic", CONTENT)
    with Server(Image(15), top / "source", archives.keeping_wal(top / "wal")) as server:
        say(f"{size_of(server.data) / 1e9:.2f} GB of data directory, {ROWS} rows")
        snapshots = back_up(bench, server, top)
        say("backed up four times")
        rows = plain_ways(bench, server, top)
        size = size_of(server.data)
        shutil.rmtree(server.data)
    wanted = os.environ.get("BENCH_ENGINES", "").split()
    for cell, snapshot in cells(snapshots):
        if not wanted or cell.name in wanted:
            rows.append(restore(bench, cell, snapshot))
    return size, rows


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and "pg_wal" not in path.parts)


def total_s(row):
    return row["fetch"]["seconds"] + row["ready"]["seconds"]


def print_table(rows):
    """For the README."""
    titles = ("engine", "way", "fetch, s", "ready, s", "ratio to by hand", "network, MB", "CPU s, fetch", "CPU s, ready", "MiB, fetch", "MiB, ready")
    print("| " + " | ".join(titles) + " |\n" + "|---" * len(titles) + "|")
    for row in rows:
        fetch, ready = row["fetch"], row["ready"]
        cells_of_row = (row["engine"].split("-")[0], row["way"], f"{fetch['seconds']:.1f}", f"{ready['seconds']:.1f}", f"{row['ratio']:.2f}",
                        fetch["network_mb"] + ready["network_mb"], fetch["cpu_s"], ready["cpu_s"], fetch["memory_mib"], ready["memory_mib"])
        print("| " + " | ".join("-" if one is None else str(one) for one in cells_of_row) + " |")


def main():
    build, output = sys.argv[1], pathlib.Path(sys.argv[2])
    load_before = os.getloadavg()[0]
    top = pathlib.Path(tempfile.mkdtemp(prefix="understory-bench-engines."))
    own(top)
    try:
        with Bench(build, READY_S, has_tls=True) as bench:
            bench.ends_at = BEGIN + LIMIT_S
            bench.wait_for_start()
            size, rows = measure(bench, top)
    finally:
        shutil.rmtree(top)
    for row in rows:
        row["ratio"] = round(total_s(row) / total_s(rows[0]), 2)
    result = {"bytes": size, "rows": ROWS, "not_measured": ["kopia", "walg"], "each": rows, "seconds": round(time.monotonic() - BEGIN, 1),
              "conditions": {"cpus": os.cpu_count(), "load_before": round(load_before, 2), "load_after": round(os.getloadavg()[0], 2)}}
    output.write_text(json.dumps(result, indent=2) + "\n")
    print_table(rows)
    print(f"{size / 1e9:.2f} GB; load {load_before:.1f} before, {result['conditions']['load_after']} after; {result['seconds']} s")


BEGIN = time.monotonic()
main()
