"""The manual pages render without a complaint, and they and docs/settings.md hold every setting and no other. Which settings there
are is asked of `understory check-config`, which shows each one's value and knows nothing of --help.
Usage: test_manual.py SOURCE-ROOT UNDERSTORY UNDERSTORY-PROXY PAGE...
"""
import pathlib
import re
import subprocess
import sys
import tempfile

from tap import check, end

ROOT, UNDERSTORY, PROXY = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
PAGES = {pathlib.Path(page).name: page for page in sys.argv[4:]}
sys.path.insert(0, str(ROOT / "docs"))
import manual  # noqa: E402


def output(*command, **how):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, **how)


def render(page):
    """As people see it, in one line: its words, whatever line they fell on."""
    done = output("groff", "-man", "-ww", "-Tutf8", "-P-cbou", "-rHY=0", "-rLL=200n", page)
    return done.stdout, done.stderr + ("" if done.returncode == 0 else f"groff ended with {done.returncode}")


def has_word(word, text):
    return re.search(rf"(?<![\w.]){re.escape(word)}(?![\w.]*\w)", text) is not None


def settings():
    """Variables and keys, those of the intents once: a line of check-config begins with the variable, or else with the key."""
    names = {line.split()[0] for line in output(UNDERSTORY, "check-config", env={}).stdout.splitlines()}
    variables = {name for name in names if name.isupper()}
    keys = {re.sub(r"^intents\.[a-z-]+\.", "intents.<intent>.", name) for name in names - variables}
    return variables, keys


def check_pages(text):
    variables, keys = settings()
    check("check-config is understood", None if len(variables) > 25 and len(keys) > 15 else (variables, keys))
    check("understory(1) has every variable", sorted(v for v in variables if not has_word(v, text["understory.1"])))
    five = text["understory.yaml.5"]
    check("understory.yaml(5) has every variable and every key", sorted(n for n in variables | keys if not has_word(n, five)))
    table = (ROOT / "docs/settings.md").read_text().replace("&lt;", "<")
    check("docs/settings.md has every variable and every key", sorted(n for n in variables | keys if not has_word(n, table)))
    other = {"KUBECONFIG", "CONFIG", "SIGTERM", "SIGINT", "UNDERSTORY_CONFIG"} | variables
    for page in ("understory.1", "understory.yaml.5"):
        named = set(re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b", text[page]))
        check(f"{page} names no variable that is no setting", sorted(named - other))
    rows = re.findall(r'^\t\{"([A-Z0-9_]+)", ', (ROOT / "canopy/proxy/config.c").read_text(), re.MULTILINE)
    check("understory-proxy(1) has every variable of its table",
          sorted(v for v in rows if not has_word(v, text["understory-proxy.1"])) if len(rows) > 15 else rows)
    for command in ("run", "plan", "status", "why NAMESPACE", "check-config", "--watch", "--kubeconfig FILE"):
        check(f"understory(1) explains {command}", None if command in text["understory.1"] else text["understory.1"])
    for page, codes in (("understory.1", "012"), ("understory-proxy.1", "012")):
        said = re.search(r"EXIT STATUS\n(.*?)\n[A-Z]", text[page], re.DOTALL)
        check(f"{page} says what each exit code means",
              None if said and re.findall(r"^ +(\d) ", said[1], re.MULTILINE) == list(codes) else text[page])


def check_example():
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(manual.EXAMPLE)
        file.flush()
        done = output(UNDERSTORY, "check-config", env={"UNDERSTORY_CONFIG": file.name})
    check("the program takes the example of understory.yaml(5)", None if done.returncode == 0 else done.stderr)


def main():
    text = {}
    for name, page in sorted(PAGES.items()):
        text[name], complaints = render(page)
        check(f"{name} renders without a complaint", complaints)
        check(f"{name} is there", None if len(text[name].splitlines()) > 30 else text[name])
    check_pages(text)
    check_example()
    made = "\n".join(manual.settings_md(manual.Help(UNDERSTORY), PROXY)) + "\n"
    check("docs/settings.md is what ./build.sh manual makes", None if made == (ROOT / "docs/settings.md").read_text() else
          "it differs: run ./build.sh manual and commit what it made")
    return end()


sys.exit(main())
