"""libfaketime by its library alone: its program `faketime` ends with an error where an earlier process of the same pid was killed."""
import pathlib

SHARED = "/dev/shm"


def library():
    found = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        raise SystemExit("libfaketime is not installed (Debian: faketime)")
    return found[0]


def days_ago(days):
    """The environment of a program to which it is that long ago: certificates that it makes are good for a clock that is behind, too."""
    return {"LD_PRELOAD": str(library()), "FAKETIME": f"-{days}d"}


def clean(pid):
    """A killed process leaves these."""
    for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
        pathlib.Path(SHARED, name).unlink(missing_ok=True)
