"""Lines of the Test Anything Protocol, for checks that say what they saw (tests/ops/tap.py is for those that return a complaint)."""
import sys

count = bad = 0


def check(what, is_good, detail=""):
    global count, bad
    count += 1
    bad += not is_good
    print(f"{'ok' if is_good else 'not ok'} {count} - {what}")
    for line in [] if is_good else str(detail).splitlines()[-20:]:
        print("# " + line)
    sys.stdout.flush()


def equal(what, is_, wanted):
    check(what, is_ == wanted, f"{is_!r}, expected {wanted!r}")


def end():
    """The exit status. No check at all is a failure."""
    print(f"1..{count}")
    return 1 if bad or not count else 0
