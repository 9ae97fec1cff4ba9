"""Makes the manual pages and docs/settings.md from what the programs themselves say of their settings (--help), so that neither
can say anything else. Usage: manual.py PAGE UNDERSTORY UNDERSTORY-PROXY, where PAGE is one of those below; it goes to stdout.
"""
import re
import subprocess
import sys

EXAMPLE = """\
canopyBaseUrl: https://canopy.example
proxyImage: registry.example/understory:0.1.0
maxConcurrentRestores: 2
engines: {postgres: restic}
retry:
  backoff: [5m, 30m, 2h]
  limit: 3
intents:
  verify:
    storageSize: 50Gi
    memoryLimit: 4Gi
  analytics:
    minimumTtl: 12h
"""


def said(program, argument):
    return subprocess.run([program, argument], stdout=subprocess.PIPE, check=True, text=True).stdout


class Setting:
    def __init__(self, match):
        self.env, self.key, self.what = match[1] if match[2] or match[1].isupper() else None, match[2] or match[1], match[3]
        self.allowed, self.otherwise = match[4] or "the path of a file", match[5] or "none"
        self.key = None if self.key == self.env else self.key


class Help:
    """understory --help: its paragraphs, each a heading and lines of two columns, and its settings."""

    def __init__(self, program):
        text, settings = said(program, "--help").split("\nSettings: ")
        self.usage, *rest = text.strip().split("\n\n")
        self.order = settings.splitlines()[0].replace("the environment first", "The environment goes first", 1)
        self.settings = [Setting(m) for m in re.finditer(
            r"^  (\S+?)(?:, in the file (\S+))?\n      (.*)\n?(?:      Allowed: (.*)\. Default: (.*)\.$)?", settings, re.MULTILINE)]
        self.parts = {p.splitlines()[0].rstrip(":"): rows(p.splitlines()[1:]) for p in rest}
        self.version = said(program, "--version").split()[-1]

    def commands(self):
        return rows("  " + line[len("usage: understory "):] for line in self.usage.splitlines())


def rows(lines):
    """Two columns, parted by two blanks or more, or by one where the first has no room left."""
    return [(m[1], m[2]) for m in (re.match(r"  (\S.*?)(?:  +|(?<=\]) )(\S.*)$", line) for line in lines) if m]


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga").replace("^", "\\(ha")
    return text.replace("~", "\\(ti")


def head(name, section, version, what):
    return [f'.TH {name.upper()} {section} "" "understory {version}" "understory"', ".SH NAME", f"{name} \\- {roff(what)}"]


def part(title):
    return [f".SH {title.upper()}"]


def paragraph(text):
    return [".PP", roff(text)]


def item(term, *texts):
    lines = [".TP", f"\\fB{roff(term)}\\fR"]
    for i, text in enumerate(texts):
        lines += ([".br"] if i else []) + [roff(text)]
    return lines


def literal(text):
    return [".PP", ".nf", ".RS 4", *(roff(line) for line in text.splitlines()), ".RE", ".fi"]


def setting_item(term, setting, *more):
    return item(term, setting.what, f"Allowed: {setting.allowed}. Default: {setting.otherwise}.", *more)


def understory_1(of, _):
    lines = head("understory", 1, of.version, "keeps PostgreSQL restore replicas in line with a worklist, and proves backups")
    lines += part("synopsis")
    for i, (command, _) in enumerate(of.commands()):
        lines += ([".br"] if i else []) + [f"\\fBunderstory\\fR {roff(command)}"]
    lines += part("description") + paragraph(
        "understory asks a central service which PostgreSQL restore replicas should exist, compares the answer with the labelled "
        "Namespaces of a Kubernetes cluster, and provisions, refreshes or tears down until they agree. It connects to every restored "
        "database, checks it, and reports each restore to the service. The cluster is its only state.")
    lines += part("commands")
    for command, what in of.commands():
        lines += item(command, what)
    for title, heading in (("options", "Options of plan, status and why"), ("exit status", "Exit codes")):
        lines += part(title)
        for term, what in of.parts[heading]:
            lines += item(term, what)
    lines += part("environment") + paragraph(of.order + " Those that only the file knows are in understory.yaml(5).")
    for setting in of.settings:
        if setting.env and setting.key:
            lines += setting_item(setting.env, setting, f"In the file: {setting.key}.")
        elif setting.env:
            lines += item(setting.env, setting.what)
    for term, what in of.parts["Where the cluster is, outside of one"]:
        lines += item(term, f"Where the cluster is, outside of one: {what}.")
    return lines + part("see also") + paragraph("understory.yaml(5), understory-proxy(1), kubectl(1)")


def understory_yaml_5(of, _):
    lines = head("understory.yaml", 5, of.version, "settings of understory")
    lines += part("description") + paragraph(
        "The YAML file that the variable UNDERSTORY_CONFIG names. " + of.order + " An unknown key or a bad value stops the start with "
        "file, line, key, value and what is allowed. `understory check-config` reads the file and prints what it says.")
    lines += paragraph("A key with dots is one within another: retry.limit is the key limit of the mapping retry. <intent> is verify, "
                       "analytics or disaster-recovery. Parameters of an entry of the worklist go before some of those.")
    lines += part("keys")
    for setting in of.settings:
        if setting.key:
            lines += setting_item(setting.key, setting, *([f"In the environment: {setting.env}."] if setting.env else []))
    return lines + part("examples") + literal(EXAMPLE) + part("see also") + paragraph("understory(1)")


def understory_proxy_1(of, proxy):
    text = said(proxy, "--help")
    usage, what, ready, _, variables, codes = (" ".join(p.split("\n")) if i != 4 else p for i, p in enumerate(text.split("\n\n")))
    lines = head("understory-proxy", 1, of.version, "S3 for a restore, signed with keys that the restore never sees")
    lines += part("synopsis") + [f"\\fBunderstory\\-proxy\\fR {roff(usage.split(' ', 2)[2])}"]
    lines += part("description") + paragraph(what) + paragraph(ready)
    lines += paragraph("understory puts it beside each restore and sets its environment; nobody else needs to.")
    lines += part("environment")
    for term, meaning in rows(re.sub(r"^(  \S+) ", r"\1  ", line) for line in variables.splitlines()):
        lines += item(term, meaning)
    lines += part("exit status")
    for code in codes.split(": ", 1)[1].strip().rstrip(".").split("; "):
        lines += item(*code.split(" ", 1))
    return lines + part("see also") + paragraph("understory(1)")


def settings_md(of, _):
    def cell(text):
        return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
    lines = ["# Settings", "", "Made by `./build.sh manual` from what `understory --help` says; a test compares.", "", of.order, "",
             "A key with dots is one within another: `retry.limit` is `limit` of the mapping `retry`. `<intent>` is `verify`, `analytics` or",
             "`disaster-recovery`. Manual pages: understory(1), understory.yaml(5).", "",
             "| variable | key in the file | default | what it is | allowed |", "|---|---|---|---|---|"]
    for s in of.settings:
        names = [f"`{name}`" if name else "" for name in (s.env, s.key)]
        lines.append(f"| {names[0]} | {names[1]} | {cell(s.otherwise)} | {cell(s.what)} | {cell(s.allowed)} |")
    return lines


PAGES = {"understory.1": understory_1, "understory.yaml.5": understory_yaml_5, "understory-proxy.1": understory_proxy_1,
         "settings.md": settings_md}

if __name__ == "__main__":
    print("\n".join(PAGES[sys.argv[1]](Help(sys.argv[2]), sys.argv[3])))
