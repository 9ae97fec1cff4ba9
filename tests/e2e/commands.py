#!/usr/bin/env python3
"""The commands for people: status, plan and why, on a pipe and on a terminal, as themselves and as kubectl's plugin. Speaks TAP.

usage: commands.py BUILD_FOLDER
"""
import json
import os
import pathlib
import pty
import select
import signal
import subprocess
import sys
import time

from page_scene import scene
from stage import P, Stage, call, namespace
from tap import check, end, equal


class Program:
    def __init__(self, build, stage):
        self.program = build / "reconciler/understory"
        base = {k: v for k, v in os.environ.items() if k in ("PATH", "LC_ALL", "ASAN_OPTIONS", "UBSAN_OPTIONS")}
        self.environment = {**base, "HOME": str(stage.dir), "KUBECONFIG": str(stage.dir / "operator.kubeconfig"),
                            "CANOPY_BASE_URL": stage.canopy, "TERM": "xterm"}  # as in the operator's pod, under its roles

    def run(self, *arguments, program=None, **environment):
        done = subprocess.run([program or self.program, *arguments], env={**self.environment, **environment}, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def on_terminal(self, *arguments, **environment):
        """Like run(), with a terminal for stdout."""
        watch = Watch(self, arguments, terminal=True, **environment)
        watch.process.wait(60)
        return watch.read()


class Watch:
    """A command that goes on. On a terminal its output is read from the other side of it."""

    def __init__(self, program, arguments, terminal=False, **environment):
        self.text = b""
        self.reader, writer = pty.openpty() if terminal else os.pipe()
        self.process = subprocess.Popen([program.program, *arguments], env={**program.environment, **environment}, stdout=writer,
                                        stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        os.close(writer)

    def read(self, seconds=0.2):
        while select.select([self.reader], [], [], seconds)[0]:
            try:
                more = os.read(self.reader, 65536)
            except OSError:  # a terminal whose other side is closed
                break
            if not more:
                break
            self.text += more
        return self.text.decode()

    def until(self, condition, seconds=60):
        end = time.monotonic() + seconds
        while not condition(self.read()):
            if time.monotonic() > end:
                return False
        return True

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(60)
        errors = self.process.stderr.read().decode()
        os.close(self.reader)
        return code, errors


def of_status(program, names):
    code, text, errors = program.run("status")
    lines = text.splitlines()
    equal("status: exit 0 and no complaint", (code, errors), (0, ""))
    equal("status: a heading and a line for each replica", [line.split()[0] for line in lines], ["NAMESPACE", *sorted(names)])
    starts = [lines[0].index(heading) for heading in ("INTENT", "STATE", "SINCE", "POSTGRES", "REPORT", "WAITS FOR", "LAST ERROR")]
    check("status: columns are aligned", all(line[at - 1] == " " and line[at] != " " for line in lines for at in starts), text)
    check("status: the version is whole", all(line[starts[3]:].startswith("15.20 ") for line in lines[1:]), text)
    check("status: what strangers wrote cannot steer a terminal", "\x1b" not in text and "\u202e" not in text, text)
    rows = json.loads(program.run("status", "-o", "json")[1])
    failed = next(r for r in rows if r["namespace"] == names[1])
    equal("status: JSON says the same as single words and sentences",
          [failed[k] for k in ("state", "verdict", "blame", "report", "tone")], ["failed", "failed", "the backup", "landed", "broken"])
    equal("status: one replica alone", [r["namespace"] for r in json.loads(program.run("status", "-n", names[2], "--output=json")[1])], [names[2]])
    check("status: colours on a terminal", "\x1b[31m" in program.on_terminal("status"))
    check("status: none with NO_COLOR", "\x1b" not in program.on_terminal("status", NO_COLOR="1"))
    check("status: none on a terminal that knows none", "\x1b" not in program.on_terminal("status", TERM="dumb"))


def of_why(program, names):
    for which, words in ((0, ("active (", "Serves snapshot", "passed every check", "Landed (", "newer snapshot")),
                         (1, ("failed (", "3 times in a row; nothing serves", "Whose problem the backup", "stage: recovery", "checkpoint record",
                              f"kubectl annotate namespace {names[1]}")),
                         (2, ("not the backup", "Round 2 of 3 for this snapshot (in ", "Given up: refused since")),
                         (4, ("is not available", "PostgreSQL to come back")),
                         (5, ("is proven and reported",))):
        code, text, errors = program.run("why", names[which])
        missing = [w for w in words if w not in text]
        check(f"why: {words[-1]}", code == 0 and not missing and errors == "", f"{missing}\n{text}{errors}")
    check("why: what strangers wrote cannot steer a terminal", "\u202e" not in program.run("why", names[1])[1])
    equal("why: JSON", json.loads(program.run("why", names[0], "-o", "json")[1])["namespace"], names[0])
    equal("why: -n is as good", program.run("why", "-n", names[0])[:2][0], 0)
    code, text, errors = program.run("why", "no-such")
    equal("why: a Namespace that is not there", (code, text), (1, ""))
    check("why: is named", 'there is no Namespace "no-such"' in errors, errors)
    code, text, errors = program.run("why", "default")
    check("why: one that is none of ours", code == 1 and 'Namespace "default" is no replica' in errors, errors)


def of_watch(program, stage, names):
    fail = {"metadata": {"annotations": {P + "restore-state": "failed", P + "failed-at": "2026-11-20T00:00:00Z", P + "last-error": "the disk is gone"}}}
    name = names[0]
    piped = Watch(program, ("status", "--watch"))
    terminal = Watch(program, ("status", "-w"), terminal=True)
    check("watch: a first table", piped.until(lambda t: name in t) and terminal.until(lambda t: name in t))
    call("PATCH", f"{stage.api}/api/v1/namespaces/{name}", fail, "application/merge-patch+json")
    check("watch: on a pipe the new one is added", piped.until(lambda t: "the disk is gone" in t and t.count("NAMESPACE") >= 2), piped.read())
    check("watch: on a terminal it takes the place of the old one",
          terminal.until(lambda t: "the disk is gone" in t.split("\x1b[H\x1b[J")[-1] and t.count("\x1b[H\x1b[J") >= 2), terminal.read())
    check("watch: a pipe is not cleared", "\x1b" not in piped.read())
    equal("watch: SIGINT ends it cleanly", piped.interrupt(), (0, ""))
    equal("watch: SIGINT ends it cleanly, on a terminal", terminal.interrupt(), (0, ""))


def of_plan(program, stage, names):
    # From a file: canopy names nothing to who has not said what it can do.
    wanted = {"CANOPY_BASE_URL": "", "WORKLIST_FILE": str(stage.dir / "worklist.yaml")}
    plan = Watch(program, ("plan", "-w"), **wanted)
    check("plan: a first table", plan.until(lambda t: names[0] in t), plan.read())
    call("PATCH", f"{stage.api}/api/v1/namespaces/{names[4]}", {"metadata": {"annotations": {P + "force-refresh": "true"}}},
         "application/merge-patch+json")
    line = lambda t: next((x for x in t.split("NAMESPACE")[-1].splitlines() if x.startswith(names[4])), "")
    check("plan: what has changed since", plan.until(lambda t: "refresh" in line(t) and "forced" in line(t)), plan.read())
    equal("plan: SIGINT ends it cleanly", plan.interrupt(), (0, ""))
    equal("plan: something to do is exit 2", program.run("plan", **wanted)[0], 2)


def of_arguments(program, stage, names):
    for arguments, words in (((), "usage: understory run"), (("frob",), '"frob" is no command; allowed: run, plan, status, why'),
                             (("status", "-x"), 'status: "-x" is not allowed here; allowed: -o table'),
                             (("status", "-o", "xml"), 'status: -o "xml" is not allowed; allowed: -o table, -o json'),
                             (("status", "-o"), 'status: "-o" wants a value'), (("status", "--context="), "wants a value that is not empty"),
                             (("why",), "NAMESPACE is missing"), (("why", "a", "b"), 'why: "b" is not allowed'),
                             (("why", "a", "-w"), 'why: "-w" is not allowed'), (("run", "-w"), "takes no arguments"),
                             (("status", "--context", "other"), 'there is no context "other"'),
                             (("status", "--kubeconfig", "/absent"), "/absent")):
        code, text, errors = program.run(*arguments)
        check(f"refused: {' '.join(arguments) or 'nothing'}", code == 1 and text == "" and words in errors, errors[:300])
    nowhere = stage.dir / "nowhere"
    nowhere.write_text("{}")
    equal("--kubeconfig counts more than the environment, and than a pod's",
          program.run("status", "--kubeconfig", str(stage.dir / "kubeconfig"), "--context=c", "-n", names[0], KUBECONFIG=str(nowhere),
                      KUBERNETES_SERVICE_HOST="127.0.0.1", KUBERNETES_SERVICE_PORT="1")[0], 0)


def of_plugin(program, stage, names):
    """kubectl finds plugins in PATH, and passes on what follows the name."""
    (stage.dir / "bin").mkdir()
    (stage.dir / "bin/kubectl-understory").symlink_to(program.program)
    path = f"{stage.dir / 'bin'}:{os.environ['PATH']}"
    code, text, errors = program.run("understory", "why", names[0], program="kubectl", PATH=path)
    check("kubectl understory why", code == 0 and "passed every check" in text, text + errors)
    code, text, errors = program.run("understory", "status", "-n", names[0], "--context", "c", program="kubectl", PATH=path)
    check("kubectl understory status, with options", code == 0 and names[0] in text, text + errors)
    code, text, errors = program.run("understory", "--help", program="kubectl", PATH=path)
    check("and says how it was called", code == 0 and text.startswith("usage: kubectl understory run"), text[:200] + errors)
    check("kubectl lists it", "kubectl-understory" in program.run("plugin", "list", program="kubectl", PATH=path)[1])


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    worklist, lines = scene(6)
    names = [namespace(e) for e in worklist]
    with Stage(build, worklist, lines) as stage:
        program = Program(build, stage)
        of_status(program, names)
        of_why(program, names)
        of_arguments(program, stage, names)
        of_plugin(program, stage, names)
        of_plan(program, stage, names)
        of_watch(program, stage, names)
    return end()


sys.exit(main())
