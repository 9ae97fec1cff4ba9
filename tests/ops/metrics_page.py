"""The page of metrics, read; and docs/metrics.md, made from it.

usage: metrics_page.py PRINT_METRICS > docs/metrics.md
"""
import re
import subprocess
import sys

HEAD = """# Metrics

What `/metrics` on METRICS_ADDR shows, in Prometheus' text format. All families exist from the start; series that can be foreseen begin at zero. Where controller-runtime or client-go have a name for the same thing, it is used. Only the operator that leads counts replicas and passes; the others show zero, so sums over all operators are true. This page is made from the program: `tests/ops/metrics_page.py`.

| name | type | labels | |
|---|---|---|---|
"""
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
PARTS = ("_bucket", "_sum", "_count")


def samples(page):
    """(name, labels as text, value) of each line that is no comment."""
    for line in page.splitlines():
        if line and not line.startswith("#"):
            found = SAMPLE.match(line)
            if found is None:
                raise SystemExit(f"not a line of the text format: {line}")
            yield found[1], found[2] or "", float(found[3])


def families(page):
    """{name: (type, labels, help)} in the page's order. Labels of a family without a series yet are not known: none is without."""
    helps = dict(re.findall(r"^# HELP (\S+) (.*)$", page, re.MULTILINE))
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE))
    labels = {}
    for name, text, _ in samples(page):
        family = next((name[:-len(part)] for part in PARTS if name.endswith(part) and types.get(name[:-len(part)]) == "histogram"), name)
        labels.setdefault(family, [key for key, _ in LABEL.findall(text) if key != "le"])
    return {name: (types[name], labels.get(name), text) for name, text in helps.items()}


def names(page):
    """All names that a query may use."""
    made = set()
    for name, (kind, _, _) in families(page).items():
        made |= {name + part for part in PARTS} if kind == "histogram" else {name}
    return made


# rest_client_requests_total begins when the API server's host is known.
LATER = {"rest_client_requests_total": ["code", "method", "host"]}


def document(page):
    rows = []
    for name, (kind, labels, text) in families(page).items():
        shown = ", ".join(f"`{label}`" for label in (LATER[name] if labels is None else labels))
        rows.append(f"| `{name}` | {kind} | {shown} | {text} |\n")
    return HEAD + "".join(rows)


def page_of(program):
    return subprocess.run([program], stdout=subprocess.PIPE, check=True, text=True).stdout


if __name__ == "__main__":
    print(document(page_of(sys.argv[1])), end="")
