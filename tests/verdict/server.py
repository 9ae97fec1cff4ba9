"""The PostgreSQL that is backed up: the programs of its major, what it holds, a load on it, and statements for a copy of its files."""
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
from stage import wait_until

# As in the field: the server has a user of its own, whom the files belong to.
USER = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
MACHINE = "/usr/lib/postgresql/15/bin" # clients of any major's server: psql, pgbench

# Rows that a check can count: what the load changes, it puts back within the same transaction.
CONTENT = {
    "postgres": "CREATE DATABASE clinic; CREATE DATABASE registry;",
    "clinic": """
        CREATE TABLE patient (id int PRIMARY KEY, name text NOT NULL, notes text);
        INSERT INTO patient SELECT i, 'patient ' || i % 1000, repeat(md5(i::text), i % 90) FROM generate_series(1, 4000) i;
        CREATE INDEX patient_name ON patient (name);
        CREATE EXTENSION pg_trgm;
        CREATE INDEX patient_words ON patient USING gin (name gin_trgm_ops);
        CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL);
        INSERT INTO account SELECT i, 0 FROM generate_series(1, 500) i;
        CREATE MATERIALIZED VIEW name AS SELECT DISTINCT name FROM patient;
        CREATE VIEW latest AS SELECT max(id) FROM patient;
        CREATE TABLE arrival (id bigserial PRIMARY KEY, at timestamptz);
        SELECT lo_from_bytea(4711, decode(repeat('ab', 10240), 'hex'));
        VACUUM ANALYZE;""",
    "registry": """
        CREATE TABLE visit (id bigserial PRIMARY KEY, at timestamptz NOT NULL);
        INSERT INTO visit (at) SELECT timestamptz '2026-01-01' + i * interval '7 minutes' FROM generate_series(1, 2000) i;
        VACUUM ANALYZE;"""}
# As health_details.rows_read has it: tables, materialized views, and large objects in pages of 2 KiB.
ROWS = 4000 + 500 + 1000 + 5 + 2000
# What a reader of the replica may ask: the rows of a table, and that no transfer of the load is there by half.
QUESTION = ("clinic", "SELECT (SELECT count(*) FROM patient) || ' ' || (SELECT sum(balance) FROM account)", "4000 0")
LOAD = """
\\set giver random(1, 250)
\\set taker random(251, 500)
\\set patient random(1, 4000)
BEGIN;
UPDATE account SET balance = balance - 1 WHERE id = :giver;
UPDATE account SET balance = balance + 1 WHERE id = :taker;
UPDATE patient SET notes = (SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 60)) WHERE id = :patient;
INSERT INTO arrival (at) VALUES (now());
DELETE FROM arrival;
END;
"""


class Image:
    """The programs of one major: this machine's, or those below root/usr, among which a command runs as in a container of that image."""

    def __init__(self, major, root=None):
        self.major, self.root = major, root
        self.bin = f"/usr/lib/postgresql/{major}/bin"

    def command(self, program, *words):
        enter = [] if self.root is None else ["bwrap", "--die-with-parent", "--dev-bind", "/", "/", "--ro-bind",
                                              str(self.root / "usr"), "/usr", "--"]
        return [str(word) for word in (*enter, *USER, os.path.join(self.bin, program), *words)]


def run(command, text=None):
    """What it printed; its end with an error is ours."""
    done = subprocess.run([str(word) for word in command], cwd="/", input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL if text is None else None, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {done.returncode}: {done.stdout[-800:]}")
    return done.stdout


def own(path):
    """Give it to the server's user."""
    owner = pwd.getpwnam("postgres")
    os.chown(path, owner.pw_uid, owner.pw_gid)


class Server:
    """A server on the files of data, which are made where they are not there; all of it ends with the block. settings: over what its
    configuration says. uses_own: with the configuration that lies there, as their own host would run it, but for where its socket is.
    segment_mb: of the WAL, where the files are made."""

    def __init__(self, image, data, settings=None, uses_own=False, segment_mb=16):
        self.image, self.data, self.settings, self.uses_own, self.segment_mb = image, data, settings or {}, uses_own, segment_mb
        self.sockets = data.parent / (data.name + ".run")
        self.load = None

    def __enter__(self):
        self.sockets.mkdir(exist_ok=True)
        own(self.sockets)
        if not (self.data / "PG_VERSION").exists():
            run(self.image.command("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-k", "--no-sync",
                                   f"--wal-segsize={self.segment_mb}"))
        self.start()
        return self

    def start(self):
        settings = {"listen_addresses": "", "unix_socket_directories": self.sockets, **self.settings}
        if not self.uses_own:
            settings = {"fsync": "off", "shared_buffers": "16MB", "autovacuum": "off", "jit": "off", "max_logical_replication_workers": 0,
                        **settings}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with open(self.data.parent / (self.data.name + ".log"), "ab") as log:
            self.process = subprocess.Popen(self.image.command("postgres", "-D", self.data, *words), cwd="/", stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        wait_until(f"PostgreSQL {self.image.major}", lambda: self.process.poll() is not None or self.answers(), 60, every=0.02)
        if self.process.poll() is not None:
            raise SystemExit(f"PostgreSQL {self.image.major} does not start: {self.log()[-800:]}")

    def log(self):
        return (self.data.parent / (self.data.name + ".log")).read_text(errors="replace")

    def answers(self):
        return subprocess.run([f"{MACHINE}/pg_isready", "-q", "-h", self.sockets], cwd="/").returncode == 0

    def psql(self, database):
        return [*USER, f"{MACHINE}/psql", "-h", self.sockets, "-U", "postgres", "-d", database, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]

    def sql(self, database, text):
        return run([*self.psql(database), "-f", "-"], text).strip()

    def fill(self):
        for database, text in CONTENT.items():
            self.sql(database, text)

    def begin_load(self):
        script = self.data.parent / "load.sql"
        script.write_text(LOAD)
        with open(self.data.parent / "load.log", "ab") as log:
            self.load = subprocess.Popen([*USER, f"{MACHINE}/pgbench", "-h", self.sockets, "-U", "postgres", "-n", "-c", "2", "-T", "600", "-R", "400", "-f",
                                          str(script), "clinic"], cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait_for_load(100)

    def wait_for_load(self, transactions):
        """Until it has done so many more."""
        if self.load.poll() is not None:
            raise SystemExit(f"the load ended: {(self.data.parent / 'load.log').read_text()[-500:]}")
        done = "SELECT last_value FROM arrival_id_seq"
        enough = int(self.sql("clinic", done)) + transactions
        wait_until("the load", lambda: int(self.sql("clinic", done)) >= enough, 120)

    def wait_for_file(self, path):
        """That it archives."""
        wait_until(path.name, path.exists, 60)

    def end_load(self):
        if self.load is not None:
            self.load.terminate()
            self.load.wait(30)
            self.load = None

    def processes(self):
        """The postmaster and its children."""
        first = int((self.data / "postmaster.pid").read_text().split()[0])
        found = [first]
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue # ended meanwhile
            if int(fields[1]) == first:
                found.append(int(stat.parent.name))
        return found

    def freeze(self):
        """No process writes a byte any more: what a snapshot of the file system finds. The postmaster first, so that none is born."""
        held = set()
        while held != set(self.processes()):
            for pid in self.processes():
                if pid not in held:
                    os.kill(pid, signal.SIGSTOP)
                    held.add(pid)
        wait_until("the freeze", lambda: all(is_stopped(pid) for pid in held), 20, every=0.005)
        return held

    def thaw(self, held):
        for pid in reversed(sorted(held)):
            os.kill(pid, signal.SIGCONT)

    def stop(self):
        self.end_load()
        if self.process.poll() is None:
            os.kill(self.processes()[0], signal.SIGINT)
            self.process.wait(60)

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.sockets)


def is_stopped(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "TZ"
    except OSError:
        return True
