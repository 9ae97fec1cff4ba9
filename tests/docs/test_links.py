"""What the pages for people point at is there: files of links and of paths in backquotes, and headings. Usage: test_links.py ROOT"""
import pathlib
import re
import sys

from tap import check, end

ROOT = pathlib.Path(sys.argv[1])
PAGES = [ROOT / "README.md", ROOT / "ops/runbook.md", *sorted((ROOT / "docs").glob("*.md"))]


def anchors(page):
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if "://" in target:
            continue
        if not file.exists() or anchor and anchor not in anchors(file):
            yield target
    for path in re.findall(r"`((?:base|k8s|canopy|builders|reconciler|fixtures|tests|ops|docs)/[\w./-]+)`", text):
        if not (ROOT / path).exists():
            yield path


for page in PAGES:
    check(f"{page.relative_to(ROOT)}: what it points at is there", sorted(broken(page)))
sys.exit(end())
