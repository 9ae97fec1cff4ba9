#!/usr/bin/env python3
"""Whether the verdict is right for every major of PostgreSQL and every way in which a server's files come into a backup.

A server of each major is filled, put under load and captured in five ways; restic backs each capture up to radosgw, and the operator
restores it in the stub's node into the image of that major (images.sh says where its programs are from; 15 is this machine's). Four of
the ways give a sound backup, whose verdict has to be clean with all rows read; the fifth, pg_basebackup without its WAL, has to fail with
the WAL file that is missing. One capture of each major also becomes an analytics replica, whose rows are asked for through its Service.

The other engines read backups of the same servers: pg_basebackup -Ft, dumps (also into a newer major, and one of a server newer than all
that there are, which is refused), pgBackRest, and WAL-G, of which there is a double of its command line alone, on a volume.

usage: verdicts.py BUILD_FOLDER IMAGES OUTPUT.json
environment: BENCH_MAJORS ("13 14 15 16 17 18"), BENCH_ENGINES ("restic others")
"""
import concurrent.futures
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "verdict"))
import captures
import engine_cells
from cells import Cell
from server import QUESTION, ROWS, Image, Server, own, run
from trial import Trial

MAJORS = [int(word) for word in os.environ.get("BENCH_MAJORS", "13 14 15 16 17 18").split()]
ENGINES = os.environ.get("BENCH_ENGINES", "restic others").split()
READY_S, LIMIT_S = 180, 1500
NO_WAL = {"grades": ("failed",), "owner": "backup", "stage": "capture", "cause": "[0-9A-F]{24}.*not in the backup"}
SOUND = {"rows": ROWS}
# (what the table says, how, whether under load, what has to come of it)
WAYS = [
    ("stopped in order", captures.clean_stop, False, SOUND),
    ("atomic snapshot under load", captures.atomic, True, SOUND),
    ("live file copy under load, backup_label and WAL", captures.live, True, SOUND),
    ("pg_basebackup under load, with its WAL", captures.base_with_wal, True, SOUND),
    ("pg_basebackup under load, without its WAL", captures.base_without_wal, True, NO_WAL),
]
READ = ("atomic snapshot, read through the Service of an analytics replica", {**SOUND, "intent": "analytics", "question": QUESTION})
SETTINGS = {"PGBACKREST_IMAGE": "pgbackrest:18", "WALG_IMAGE": "wal-g:3"}
WAL = {"max_wal_size": "256MB", "min_wal_size": "64MB"}


def image_of(major, images):
    """This machine's where it has one."""
    return Image(major, None if pathlib.Path(f"/usr/lib/postgresql/{major}/bin/postgres").exists() else images / f"postgres-{major}")


def programs_of(image):
    """Where they are from, and which stand in for others."""
    where = "this machine" if image.root is None else (image.root / "from").read_text().strip()
    return f"{run(image.command('postgres', '--version')).strip()}, {where}"


def keep_wal(major):
    return {**WAL, "wal_keep_size": "256MB"}


def one_major(trial, folder, image, images, cells):
    """Captures, backups and entries."""
    volume = folder.parent / "volume"
    engine_cells.prepare(folder)
    with Server(image, folder / "source", {**keep_wal(image.major), **engine_cells.settings_of(folder)}) as server:
        server.fill()
        if "others" in ENGINES:
            engine_cells.add_all(lambda snapshot, cell: add(trial, cells, snapshot, cell), trial, server, folder, volume, images)
        if "restic" not in ENGINES:
            return
        for way, capture, under_load, expected in WAYS:
            if under_load and server.load is None:
                server.begin_load()
            tree = folder / "capture"
            capture(server, tree)
            snapshot = trial.back_up(tree)
            shutil.rmtree(tree)
            add(trial, cells, snapshot, Cell(f"pg{image.major}-{capture.__name__.replace('_', '-')}", major=image.major, capture=way, **expected))
            if capture is captures.atomic:
                way, expected = READ
                add(trial, cells, snapshot, Cell(f"pg{image.major}-analytics", major=image.major, capture=way, **expected))


def add(trial, cells, snapshot, cell):
    cells.append(cell)
    trial.offer(cell, snapshot)


def row_of(trial, cell):
    report = trial.reports.get(cell.name)
    wrongs = cell.wrongs(report)
    major = cell.restored_major or cell.major
    if not wrongs and cell.grades[0] == "clean" and int(report["postgres_version"].split(".")[0]) != major:
        wrongs = [f"it came up in PostgreSQL {report['postgres_version']}, not {major}"]
    if cell.question and not wrongs:
        found = trial.ask(cell, *cell.question[:2])
        wrongs += [] if found == cell.question[2] else [f"a reader finds \"{found}\", not \"{cell.question[2]}\""]
    details = (report or {}).get("health_details", {})
    return {"name": cell.name, "major": cell.major, "capture": cell.capture, "intent": cell.intent, "expected": cell.grades[0],
            "is_right": not wrongs, "wrong": wrongs, "postgres_version": (report or {}).get("postgres_version"),
            **{key: details.get(key) for key in ("grade", "stage", "cause", "owner", "rows_read", "restored_bytes", "restore_duration_sec")}}


def print_table(rows):
    """For the README."""
    found = {(row["capture"], row["major"]): row for row in rows}
    print("| capture | " + " | ".join(str(major) for major in MAJORS) + " |\n|" + "---|" * (len(MAJORS) + 1))
    for way in dict.fromkeys(row["capture"] for row in rows):
        cells = [found.get((way, major)) for major in MAJORS]
        words = ["not run" if row is None else f"{row['grade']}" + ("" if row["is_right"] else " (wrong)") for row in cells]
        print(f"| {way} | " + " | ".join(words) + " |")


def main():
    build, images, output = sys.argv[1], pathlib.Path(sys.argv[2]).resolve(), pathlib.Path(sys.argv[3])
    begin, cells = time.monotonic(), []
    top = pathlib.Path(tempfile.mkdtemp(prefix="understory-bench-verdicts."))
    own(top)
    try:
        with Trial(build, READY_S, ["--images", str(images)], has_tls=True, settings=SETTINGS) as trial:
            trial.ends_at = begin + LIMIT_S
            trial.wait_for_start()
            (top / "volume").mkdir()
            own(top / "volume")
            trial.have_volume("backups", top / "volume")
            used = {major: image_of(major, images) for major in MAJORS}
            for major in MAJORS:
                (top / str(major)).mkdir()
                own(top / str(major))
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                for future in [pool.submit(one_major, trial, top / str(major), image, images, cells) for major, image in used.items()]:
                    future.result()
            print(f"{time.monotonic() - begin:6.1f} s  {len(cells)} backups are made", flush=True)
            trial.judge_all(cells)
            rows = [row_of(trial, cell) for cell in cells]
            if not all(row["is_right"] for row in rows):
                print(trial.log("operator")[-3000:], file=sys.stderr)
    finally:
        shutil.rmtree(top)
    rows.sort(key=lambda row: (row["major"], row["name"]))
    result = {"cells": len(rows), "right": sum(row["is_right"] for row in rows), "seconds": round(time.monotonic() - begin, 1),
              "programs": {major: programs_of(image) for major, image in used.items()}, "each": rows}
    output.write_text(json.dumps(result, indent=2) + "\n")
    for row in rows:
        for wrong in row["wrong"]:
            print(f"PostgreSQL {row['major']}, {row['capture']}: {wrong}")
    print_table(rows)
    for major, programs in result["programs"].items():
        print(f"{major}: {programs}")
    print(f"{result['right']} of {result['cells']} verdicts are right, {result['seconds']} s")
    return 0 if result["right"] == result["cells"] else 1


sys.exit(main())
