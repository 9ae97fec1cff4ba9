"""The tables of docs/state-machine.md and docs/wire-contract.md name what the code names, and nothing else: states, steps, requests,
parameters, fields of the report. Usage: test_tables.py SOURCE-ROOT"""
import pathlib
import re
import sys

from tap import check, end

ROOT = pathlib.Path(sys.argv[1])


def read(path):
    return (ROOT / path).read_text()


def first_column(page, heading):
    """The words in backquotes in the first column of the table whose first heading this is."""
    table = re.search(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", read(page), re.MULTILINE)
    cells = [line.split("|")[1] for line in table[1].splitlines()]
    return {word for cell in cells for word in re.findall(r"`([^`]+)`", cell)}


def compare(what, said, there):
    difference = [f"only on the page: {w}" for w in sorted(said - there)] + [f"only in the code: {w}" for w in sorted(there - said)]
    check(what, difference if there else "nothing was found in the code")


STATES = "docs/state-machine.md"
WIRE = "docs/wire-contract.md"
compare("states", first_column(STATES, "state"), set(re.findall(r'X\(STATE_\w+, "(\w+)"\)', read("reconciler/replica.h"))))
compare("steps", first_column(STATES, "step"), set(re.findall(r'\[STEP_\w+\] = "(\w+)"', read("reconciler/round.c"))))
picture = re.search(r"^```\n(.*?)^```", read(STATES), re.MULTILINE | re.DOTALL)[1]
check("each state is in the picture", sorted(s for s in first_column(STATES, "state") if not re.search(rf"\b{s}\b", picture)))
check("each step but wait is in the picture",
      sorted(s for s in first_column(STATES, "step") - {"wait"} if not re.search(rf"\b{s}\b", picture)))
paths = set(re.findall(r'"(/(?:restore|backup)-[a-z]+)"', read("canopy/client.c") + read("canopy/worklist_fetch.c")))
compare("requests", {word.split()[1] for word in first_column(WIRE, "request")}, paths)
params = re.search(r"these lie over the settings of the intent: (.*?) \|", read(WIRE))[1]
compare("parameters of an entry", set(re.findall(r"`(\w+)`", params)),
        set(re.findall(r'^\t\{"(\w+)", PARAM_', read("canopy/intents.c"), re.MULTILINE)))
report = read("canopy/report.c")
fields = set(re.findall(r'^\t\t\{"(\w+)", ', report, re.MULTILINE)) | {"server_id", "machine_id", "replica_healthy", "error", "health_details"}
section = read(WIRE).split("## The report", 1)[1].split("| answer |", 1)[0]
said = {w for line in section.splitlines() if line.startswith("| `") for w in re.findall(r"`(\w+)`", line.split("|")[1])}
compare("fields of the report", said, fields)
sys.exit(end())
