"""Lines of the Test Anything Protocol."""
count = bad = 0


def check(what, complaint):
    """complaint: None or empty when all is well."""
    global count, bad
    count += 1
    bad += bool(complaint)
    print(f"{'not ok' if complaint else 'ok'} {count} - {what}")
    if complaint:
        lines = complaint if isinstance(complaint, (list, set)) else str(complaint).splitlines()
        print("\n".join(f"# {line}" for line in list(lines)[:20]), flush=True)


def end():
    print(f"1..{count}")
    return 1 if bad else 0
