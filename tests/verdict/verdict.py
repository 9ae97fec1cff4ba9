#!/usr/bin/env python3
"""Whether the operator's verdict is right, end to end on PostgreSQL 15: sound backups of several kinds, and backups, clusters and keys
with one planted fault each, in one run of the operator. Speaks TAP, a line for each; needs root.

A restored database also wakes up with the ambitions of its source: those are listened for (listeners.py).

usage: verdict.py BUILD_FOLDER [PART_OF_A_NAME...]
"""
import concurrent.futures
import os
import pathlib
import secrets
import shutil
import sys
import tempfile
import time

import captures
import plant
from acts import empty_volume, flip_in, kill_recovery, lose_claim, small_volume
from cells import Cell
from listeners import Listeners
from server import QUESTION, ROWS, Image, Server, own
from stage import wait_until
from trial import OTHER_PREFIX, Trial

MAJOR = 15
IMAGE = Image(MAJOR)
READY_S = 60
LIMIT_S = 540
ROOM = 8 << 30
SHORT = {"deployment_ready_timeout": 12}
# Small, so that all that is copied is; the files of WAL too.
WAL = {"max_wal_size": "16MB", "min_wal_size": "2MB", "wal_keep_size": "24MB"}
NOT_ALL = {"grades": ("inconclusive",), "owner": "cluster"}
FULL = {"grades": ("inconclusive",), "owner": "settings"} # storageSize and its maximum
LOST = {"grades": ("failed",), "owner": "backup"}
EARS = ("subscription", "archive", "foreign", "primary")


class World:
    """The captures that all cells begin from, and the listeners."""

    def __init__(self, folder):
        self.dir = folder
        self.ears = Listeners(*EARS)

    def capture(self):
        with Server(IMAGE, self.dir / "source", WAL, segment_mb=1) as server:
            server.fill()
            captures.clean_stop(server, self.dir / "clean")
            server.begin_load()
            captures.base_with_wal(server, self.dir / "base")
            captures.atomic(server, self.dir / "atomic")
            captures.live(server, self.dir / "live")
            captures.standby(server, self.dir / "standby")
        self.files = {}
        with Server(IMAGE, self.dir / "clean") as server:
            for relation in ("patient", "patient_name", "account", "visit", "pg_proc"):
                self.files[relation] = server.sql("registry" if relation == "visit" else "clinic", f"SELECT pg_relation_filepath('{relation}')")

    def copy(self, capture, cell):
        tree = self.dir / cell.name / "data"
        tree.parent.mkdir()
        own(tree.parent)
        captures.copy(self.dir / capture, tree)
        return tree


def of(capture, *changes):
    """How a cell's tree is made: a copy of this capture, changed by each (world, tree) in turn; one that returns a path moved it."""
    def make(world, cell):
        tree = world.copy(capture, cell)
        for change in changes:
            tree = change(world, tree) or tree
        return world.dir / cell.name
    return make


def at(function, relation, **more):
    return lambda world, tree: function(tree / world.files[relation], **more)


def sql(*statements, **settings):
    return lambda world, tree: plant.amend(tree, MAJOR, statements, **settings)


def auto(text):
    return lambda world, tree: plant.auto_settings(tree, text)


# --- changes of more than a line

WORDS = """CREATE COLLATION german (provider = icu, locale = 'de');
    CREATE TABLE word (word text COLLATE german);
    INSERT INTO word SELECT chr(65 + i % 26) || i FROM generate_series(1, 150) i;
    INSERT INTO word SELECT chr(97 + i % 26) || i FROM generate_series(1, 150) i;
    CREATE INDEX word_word ON word (word);"""
# Capitals first, as a library of another version may have had it.
IN_OTHER_ORDER = """UPDATE pg_index SET indcollation = (SELECT oid::text::oidvector FROM pg_collation WHERE collname = 'C')
        WHERE indexrelid = 'word_word'::regclass;
    REINDEX INDEX word_word;
    UPDATE pg_index SET indcollation = (SELECT oid::text::oidvector FROM pg_collation WHERE collname = 'german')
        WHERE indexrelid = 'word_word'::regclass;"""
OLD_COLLATION = "UPDATE pg_collation SET collversion = '1.0' WHERE collname = 'german';"
OLD_DATABASE = [("postgres", "CREATE DATABASE deutsch TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de'"),
                ("deutsch", "CREATE TABLE word (word text PRIMARY KEY); INSERT INTO word SELECT 'word ' || i FROM generate_series(1, 300) i"),
                ("postgres", "UPDATE pg_database SET datcollversion = '1.0' WHERE datname = 'deutsch'")]
LOCALE = [("postgres", "UPDATE pg_database SET datcollate = 'xx_XX.UTF-8', datctype = 'xx_XX.UTF-8' WHERE datname = 'registry'")]
PRELOAD = [("clinic", "ALTER ROLE postgres SET session_preload_libraries = 'no_such_library'; "
                      "ALTER DATABASE clinic SET local_preload_libraries = 'no_such_library'")]


def subscription(port):
    return [("clinic", f"""CREATE SUBSCRIPTION upstream CONNECTION 'host=127.0.0.1 port={port} dbname=hospital user=replicator password=x'
        PUBLICATION all_tables WITH (connect = false); ALTER SUBSCRIPTION upstream ENABLE""")]


def subscribe(world, tree):
    plant.amend(tree, MAJOR, subscription(world.ears.ports["subscription"]))


def archive_command(world):
    # What it sends does not matter: that it connects is heard.
    return f"archive_mode = on\narchive_command = 'bash -c \"exec 3<>/dev/tcp/127.0.0.1/{world.ears.ports['archive']}\"'\n"


def archive(world, tree):
    plant.settings(tree, archive_command(world))


def stand_by(world, tree):
    plant.touch(tree, "standby.signal")
    plant.auto_settings(tree, f"primary_conninfo = 'host=127.0.0.1 port={world.ears.ports['primary']} user=replicator'\n")


def foreign_table(world, tree):
    plant.amend(tree, MAJOR, [("clinic", f"""CREATE EXTENSION postgres_fdw;
        CREATE SERVER hospital FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '{world.ears.ports['foreign']}');
        CREATE USER MAPPING FOR PUBLIC SERVER hospital OPTIONS (user 'reader', password 'x');
        CREATE FOREIGN TABLE remote (id int) SERVER hospital""")])


def wal_older_than_data(world, tree):
    """A table's file as it is after all of the WAL, and of the WAL only the first file."""
    other = tree.parent / "whole"
    captures.copy(tree, other)
    with Server(IMAGE, other) as server:
        server.sql("clinic", "CHECKPOINT")
    shutil.copy2(other / world.files["patient"], tree / world.files["patient"])
    shutil.rmtree(other)
    plant.lose_last_segments(tree, IMAGE)


def empty_cluster(world, cell):
    tree = world.dir / cell.name
    tree.mkdir()
    own(tree)
    with Server(IMAGE, tree / "data"):
        pass
    return tree


def other_repository(world, cell):
    world.trial.restic("init", prefix=OTHER_PREFIX, password="another")
    return secrets.token_hex(32)


def major_12(world, tree):
    captures.write(tree / "PG_VERSION", "12\n")


SOUND = [
    (Cell("base-backup", rows=ROWS), of("base")),
    (Cell("atomic-snapshot", rows=ROWS, intent="analytics", question=QUESTION), of("atomic")),
    (Cell("live-copy", rows=ROWS), of("live")),
    (Cell("debian-layout", rows=ROWS), of("base", lambda world, tree: plant.debian_layout(tree, MAJOR))),
    (Cell("current-link", rows=ROWS), of("clean", lambda world, tree: plant.debian_layout(tree, MAJOR, has_current=True))),
    (Cell("mode-0770", rows=ROWS), of("clean", lambda world, tree: tree.chmod(0o770))),
    (Cell("postmaster-pid", rows=ROWS), of("clean", lambda world, tree: captures.write(
        tree / "postmaster.pid", "1\n/var/lib/postgresql/15/main\n1792483200\n5432\n/run/postgresql\n*\n  5432001     32768\nready\n"))),
]
DISARMED = [
    (Cell("standby-signal", rows=ROWS, disarmed=("standby.signal", "primary_conninfo")), of("clean", stand_by)),
    (Cell("standby-copy", rows=ROWS, disarmed=("standby.signal", "primary_conninfo")), of("standby")),
    (Cell("recovery-conf", rows=ROWS, disarmed=("recovery.conf",)), of("clean", lambda world, tree: captures.write(
        tree / "recovery.conf", "restore_command = 'false'\n"))),
    (Cell("subscription", rows=ROWS, disarmed=("subscription",)), of("clean", subscribe)),
    (Cell("archive-command", rows=ROWS, disarmed=("archive_command",)), of("clean", archive)),
    (Cell("synchronous-standbys", rows=ROWS, disarmed=("synchronous_standby_names",)), of("clean", auto("synchronous_standby_names = '*'\n"))),
    (Cell("preload-absent", rows=ROWS, disarmed=("shared_preload_libraries", "preloaded libraries of roles and databases: 2")), of(
        "clean", sql(*PRELOAD), lambda world, tree: plant.settings(tree, "shared_preload_libraries = 'no_such_library'\n"))),
    (Cell("locked-out", rows=ROWS), of("clean", lambda world, tree: plant.locked_out(tree))),
    (Cell("ambitious", rows=ROWS, disarmed=("standby.signal", "subscription", "archive_command")), of(
        "clean", subscribe, foreign_table, archive, stand_by)),
]
REPAIRED = [
    (Cell("collation-moved", grades=("repaired",), rows=ROWS + 300, repaired=("german|word_word",)), of("clean", sql(
        ("clinic", WORDS + OLD_COLLATION)))),
    (Cell("database-collation-moved", grades=("repaired",), rows=ROWS + 300, repaired=("deutsch",)), of("clean", sql(*OLD_DATABASE))),
    (Cell("order-moved-too", grades=("repaired",), rows=ROWS + 300, repaired=("german|word_word",)), of("clean", sql(
        ("clinic", WORDS + IN_OTHER_ORDER + OLD_COLLATION), allow_system_table_mods="on"))),
]
FAULTS = [
    (Cell("first-wal-missing", cause="[0-9A-F]{24}.*not in the backup", **LOST),
     of("base", lambda world, tree: plant.lose_first_segment(tree, IMAGE))),
    (Cell("middle-wal-missing", cause="[0-9A-F]{24}", **LOST), of("atomic", lambda world, tree: plant.lose_middle_segment(tree, IMAGE))),
    (Cell("last-wal-missing", cause="WAL ends before|[0-9A-F]{24}", **LOST), of("live", lambda world, tree: plant.lose_last_segments(tree, IMAGE))),
    (Cell("wal-older-than-data", cause="xmin|xmax|WAL|index|LSN", **LOST), of("atomic", wal_older_than_data)),
    (Cell("wal-directory-missing", stage="capture", cause="pg_wal is missing", **LOST), of("clean", lambda world, tree: shutil.rmtree(tree / "pg_wal"))),
    (Cell("torn-page", stage="tables", cause="patient.*invalid page in block 1", **LOST), of("clean", at(plant.tear, "patient"))),
    (Cell("relation-cut", cause="account", **LOST), of("clean", at(plant.cut, "account"))),
    (Cell("relation-cut-in-a-page", cause="visit", **LOST), of("clean", at(plant.cut, "visit", more=1000))),
    (Cell("relation-missing", stage="relations", cause="account", **LOST), of("clean", at(os.unlink, "account"))),
    (Cell("index-damaged", stage="indexes", cause="patient_name", **LOST), of("clean", at(plant.flip, "patient_name"))),
    (Cell("index-out-of-order", stage="indexes", cause="word_word", **LOST), of("clean", sql(
        ("clinic", WORDS + IN_OTHER_ORDER), allow_system_table_mods="on"))),
    (Cell("catalog-damaged", cause="pg_proc|page|block", **LOST), of("clean", at(plant.flip, "pg_proc", block=20))),
    (Cell("commit-log-missing", cause="pg_xact", **LOST), of("clean", lambda world, tree: os.unlink(tree / "pg_xact/0000"))),
    (Cell("control-file-damaged", stage="capture", cause="pg_control", **LOST), of("clean", lambda world, tree: plant.flip(
        tree / "global/pg_control", block=0, offset=100))),
    (Cell("tablespace-dangling", stage="capture", cause="16500.*/srv/postgresql/fast", **LOST), of("clean", lambda world, tree:
        plant.dangling_tablespace(tree))),
    (Cell("two-majors", stage="capture", cause="several.*14", **LOST), of("clean", lambda world, tree: plant.another_major(tree))),
    (Cell("no-cluster", stage="capture", cause="no directory with PG_VERSION|global/pg_control is missing", **LOST), of("clean", lambda world, tree: os.unlink(
        tree / "global/pg_control"))),
    (Cell("empty-cluster", stage="application", cause="database", **LOST), empty_cluster),
    (Cell("snapshot-gone", stage="restore", cause="[0-9a-f]{64}|no matching ID", **LOST), lambda world, cell: secrets.token_hex(32)),
    (Cell("wrong-password", grades=("inconclusive",), owner="credentials", stage="restore", cause="wrong password", prefix=OTHER_PREFIX),
     other_repository),
    (Cell("locale-unknown", grades=("inconclusive",), owner="image", cause="xx_XX.*registry|registry.*xx_XX"), of("clean", sql(*LOCALE))),
    (Cell("major-unknown", grades=("inconclusive",), owner="image", cause="postgres:12", params=SHORT), of("clean", major_12)),
    (Cell("disk-full", stage="restore", cause="volume full|no space left", act=small_volume("16m"), act_on="volume", **FULL), of("clean")),
    (Cell("disk-full-in-recovery", cause="volume is full|no space left", act_on="volume", **FULL), of("base")),
    (Cell("recovery-killed-once", rows=ROWS, act=kill_recovery(1), act_on="data"), of("atomic")),
    (Cell("recovery-killed-always", cause="killed|signal 9|137|OOM", act=kill_recovery(1000), act_on="data", params=SHORT, **NOT_ALL),
     of("atomic")),
    (Cell("claim-lost", cause="persistentvolumeclaim.*(being deleted|not found)", act=lose_claim, act_on="data", params=SHORT, **NOT_ALL), of("clean")),
    (Cell("volume-emptied", cause="no restored database", act=empty_volume, act_on="data", params=SHORT, **NOT_ALL), of("clean")),
    (Cell("flipped-after-restore", stage="tables", cause="patient.*invalid page in block 1", act_on="data", **LOST), of("clean")),
]


def late_acts(world, cell):
    """What can be said only when the captures are there."""
    if cell.name == "flipped-after-restore":
        cell.act = flip_in(world.files["patient"])
    elif cell.name == "disk-full-in-recovery":
        # As pages of memory; what is left is less than one more file of WAL.
        size = sum(-(-path.stat().st_size // 4096) * 4096 for path in (world.dir / "base").rglob("*") if path.is_file())
        cell.act = small_volume(size + (256 << 10))


def offer(world, cell, make):
    """Its tree, its backup, its entry."""
    late_acts(world, cell)
    made = make(world, cell)
    if isinstance(made, pathlib.Path):
        snapshot = world.trial.back_up(made)
        shutil.rmtree(made)
    else:
        snapshot = made
    world.trial.offer(cell, snapshot)


class Tap:
    def __init__(self):
        self.count = self.bad = 0

    def line(self, what, wrongs):
        self.count += 1
        self.bad += bool(wrongs)
        print(f"{'not ' if wrongs else ''}ok {self.count} - {what}")
        for wrong in wrongs:
            print(f"# {wrong}")
        sys.stdout.flush()


def judge(world, tap, cells):
    for cell in cells:
        report = world.trial.reports.get(cell.name)
        wrongs = cell.wrongs(report)
        if cell.question and not wrongs:
            database, query, answer = cell.question
            found = world.trial.ask(cell, database, query)
            wrongs += [] if found == answer else [f"a reader finds \"{found}\", not \"{answer}\""]
        if cell.name.startswith("recovery-killed") and cell.kills == 0:
            wrongs.append("the recovery was over before it was killed")
        tap.line(f"{cell.name}: {cell.said(report)[:300].replace('#', 'no.')}", wrongs)


def listen(world, tap):
    """First that nobody called; then that the same files do call when their own host's configuration runs them."""
    silent = dict(world.ears.heard)
    for name in EARS:
        tap.line(f"no restored database called home: {name}", [f"heard {silent[name]} times"] if silent[name] else [])
    cell = Cell("own-host")
    tree = of("clean", subscribe, foreign_table, archive)(world, cell) / "data"
    with Server(IMAGE, tree, uses_own=True) as server:
        server.sql("clinic", "SELECT pg_switch_wal()")
        try:
            server.sql("clinic", "SELECT * FROM remote")
        except SystemExit:
            pass # nobody answers there; that it asked is heard
        try:
            wait_until("a call", lambda: all(world.ears.heard[name] for name in ("subscription", "archive", "foreign")), 30)
        except SystemExit:
            pass
    stand_by(world, tree)
    with Server(IMAGE, tree, uses_own=True):
        try:
            wait_until("a call", lambda: world.ears.heard["primary"], 30)
        except SystemExit:
            pass
    for name in EARS:
        tap.line(f"its own host's configuration does: {name}", [] if world.ears.heard[name] > silent[name] else ["not heard"])


def main():
    build, wanted = sys.argv[1], sys.argv[2:]
    rows = [row for row in SOUND + DISARMED + REPAIRED + FAULTS if not wanted or any(part in row[0].name for part in wanted)]
    cells = [cell for cell, _ in rows]
    begin, tap = time.monotonic(), Tap()
    # All of it is copied several times: in memory where that has room.
    if shutil.disk_usage("/dev/shm").free > ROOM:
        tempfile.tempdir = "/dev/shm"
    folder = pathlib.Path(tempfile.mkdtemp(prefix="understory-verdict-source."))
    own(folder)
    try:
        with Trial(build, READY_S) as trial:
            world = World(folder)
            world.trial, trial.ends_at = trial, begin + LIMIT_S
            world.capture()
            trial.wait_for_start()
            print(f"# captures and parts after {time.monotonic() - begin:.0f} s", flush=True)
            # Those that take long come first.
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                ordered = sorted(rows, key=lambda row: row[0].params != SHORT)
                futures = [pool.submit(offer, world, *row) for row in ordered]
                while not all(future.done() for future in futures):
                    trial.look()
                    time.sleep(0.1)
                for future in futures:
                    future.result()
            print(f"# offered after {time.monotonic() - begin:.0f} s", flush=True)
            trial.judge_all(cells)
            judge(world, tap, cells)
            if any(cell.name == "ambitious" for cell in cells):
                listen(world, tap)
            if tap.bad:
                print("".join(f"# operator: {line}\n" for line in trial.log("operator").splitlines()[-25:]), end="")
    finally:
        shutil.rmtree(folder)
    print(f"# {time.monotonic() - begin:.0f} s\n1..{tap.count}")
    return 1 if tap.bad else 0


if __name__ == "__main__":
    # Small volumes are mounted in a namespace of our own: nothing of them stays.
    if os.environ.pop("VERDICT_IS_INSIDE", None) is None:
        os.execvpe("unshare", ["unshare", "--mount", sys.executable, *sys.argv], {**os.environ, "VERDICT_IS_INSIDE": "1"})
    sys.exit(main())
