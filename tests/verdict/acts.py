"""What is done to a replica between the stages of its restore: (trial, cell, volume), volume being the folder of the round's volume."""
import os
import pathlib
import shutil
import signal

import threading
import time

from plant import flip
from server import run
from stage import call


def small_volume(size):
    """A volume of so many bytes, in place of one that is as large as the disk. Only who runs in this mount namespace sees it."""
    def act(trial, cell, volume):
        volume.mkdir(mode=0o755, parents=True, exist_ok=True)
        run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "understory-verdict", volume])
        trial.mounted.append(volume)
    return act


def lose_claim(trial, cell, volume):
    claims = f"{trial.stage.api}/api/v1/namespaces/{cell.namespace}/persistentvolumeclaims"
    for claim in call("GET", claims)["items"]:
        call("DELETE", f"{claims}/{claim['metadata']['name']}")


def empty_volume(trial, cell, volume):
    shutil.rmtree(volume / "pgdata")


def flip_in(relation_file):
    """relation_file: below the data directory."""
    def act(trial, cell, volume):
        flip(volume / "pgdata" / relation_file)
    return act


def startup_process(data, older):
    """The process that recovers the database in this directory. older: process ids that need not be looked at."""
    for pid in {name for name in os.listdir("/proc") if name.isdigit()} - older:
        try:
            if b"startup" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() and os.path.samefile(f"/proc/{pid}/cwd", data):
                return int(pid)
        except OSError:
            pass # it has ended, or the directory is not there yet
    return None


def kill_recovery(times):
    """As the kernel does when memory is short: the process that recovers gets SIGKILL, this often."""
    def act(trial, cell, volume):
        older = {name for name in os.listdir("/proc") if name.isdigit()}

        def watch():
            while cell.kills < times and cell.name not in trial.reports and time.monotonic() < trial.ends_at:
                pid = startup_process(volume / "pgdata", older)
                if pid is None:
                    time.sleep(0.001)
                    continue
                try:
                    os.kill(pid, signal.SIGKILL)
                    cell.kills += 1
                except ProcessLookupError:
                    pass
        threading.Thread(target=watch, daemon=True).start()
    return act
