#!/usr/bin/python3
"""The log as people and programs read it: constant messages, one object a line with LOG_FORMAT=json, what is set said at the start
without passwords, a round's lines with its run_id, a pass's with its number. TAP.

usage: test_log.py SOURCE_ROOT BUILD_FOLDER
"""
import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True  # the source folder stays as it was
sys.path[:0] = [str(HERE), str(HERE.parent / "bench")]
import tap
from stage import Stage, call, entry, namespace, wait_until

ROOT, BUILD = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()
VERIFY = entry(1, "verify")
NAME = namespace(VERIFY)
TWICE = "worklist entry ignored: the replica is there twice"
# Calls whose message is one of several constants.
CHOSEN = {"is_held ? \"lease acquired\" : \"lease lost\"", "what"}


def check_messages():
    odd = []
    for folder in ("base", "k8s", "canopy", "builders", "reconciler"):
        for file in (ROOT / folder).rglob("*.c"):
            for first in re.findall(r"\blog_(?:debug|info|warn|error)\(\s*((?:\"[^\"]*\"\s*)+|[^,]*),", file.read_text()):
                if not first.startswith('"') and first not in CHOSEN:
                    odd.append(f"{file.relative_to(ROOT)}: {first}")
    tap.check("every message is a constant", odd)


def lines(stage, name):
    """The lines that are whole; one that is none of JSON is a failure."""
    return [json.loads(line) for line in stage.log(name).split("\n")[:-1]]


def messages(stage, name, text):
    return [line for line in lines(stage, name) if line["msg"] == text]


def check_start(stage):
    stage.operator(name="first", LOG_FORMAT="json", CANOPY_SOCKS5_PROXY="socks5://me:hunter2@127.0.0.1:1", MAX_CONCURRENT_CHECKS="7")
    wait_until("the start", lambda: messages(stage, "first", "understory started"), 60)
    started = messages(stage, "first", "understory started")[0]
    said = started["settings"]
    tap.check("the start names the version", None if re.fullmatch(r"\d+\.\d+\.\d+", started["version"]) else started)
    tap.check("and what is set", [s for s in (f"canopyBaseUrl={stage.canopy}", "maxConcurrentChecks=7", "logFormat=json") if s not in said])
    tap.check("but no default", said if "maxConcurrentRestores" in said else None)
    stage.stop("first")
    tap.check("a password in a setting is not in the log",
              None if "socks5://***@127.0.0.1:1" in said and "hunter2" not in stage.log("first") else said)


def check_life(stage):
    stage.operator(LOG_FORMAT="json", LOG_LEVEL="debug")
    wait_until("a restore", lambda: messages(stage, "operator", "restore started"), 60)
    stage.canopy_wants([VERIFY, VERIFY])
    wait_until("a complaint", lambda: messages(stage, "operator", TWICE), 60)
    stage.stop("operator")
    run_id = call("GET", f"{stage.api}/api/v1/namespaces/{NAME}")["metadata"]["annotations"]["pgro.bes.au/run-id"]
    for text in ("round claimed", "restore started"):
        tap.check(f'"{text}" has the run_id', [line for line in messages(stage, "operator", text) if line.get("run_id") != run_id])
    passes = [line.get("pass") for line in messages(stage, "operator", "pass done")]
    tap.check("passes are counted from 1", None if passes and passes == list(range(1, len(passes) + 1)) else passes)
    tap.check("what a pass says has its number",
              [line for line in messages(stage, "operator", TWICE) if line.get("pass") not in passes])
    tap.check("what others say has none", [line for line in messages(stage, "operator", "restore started") if "pass" in line])


def main():
    check_messages()
    with Stage(BUILD, [VERIFY]) as stage:
        check_start(stage)
        check_life(stage)
    return tap.end()


sys.exit(main())
