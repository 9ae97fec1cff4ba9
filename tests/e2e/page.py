#!/usr/bin/env python3
"""The status page in a real browser, of a real operator. Speaks TAP.

usage: page.py BUILD_FOLDER SOURCE_FOLDER
"""
import json
import pathlib
import re
import sys
import tempfile
import time
import urllib.request

from page_scene import browser, scene
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from stage import OPERATOR_NAMESPACE, P, Stage, call, namespace, wait_until
from tap import check, end, equal

ROWS = "return [...document.querySelectorAll('tbody tr[data-ns]')].filter(r => !r.hidden && !r.closest('tbody').hidden).length"
# Every element that shows text of its own, with the contrast between its colour and what is behind it (WCAG 2.2, 1.4.3).
CONTRAST = """
const parse = c => c.match(/[\\d.]+/g).map(Number);
const channel = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
const behind = e => { for (; e; e = e.parentElement) { const b = parse(getComputedStyle(e).backgroundColor); if (b[3] !== 0) return b; }
  return matchMedia('(prefers-color-scheme: dark)').matches ? [15, 19, 24] : [255, 255, 255]; };
return [...document.body.querySelectorAll('*')].filter(e => e.checkVisibility() && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
  .map(e => { const a = light(parse(getComputedStyle(e).color)), b = light(behind(e));
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.tagName + ': ' + e.textContent.trim().slice(0, 40)]; })
  .filter(c => c[0] < 4.5)"""


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


class Page:
    """A browser that has the page open; ends with the block."""

    def __init__(self, url, **options):
        self.url, self.options = url, options

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="understory-browser.", ignore_cleanup_errors=True)
        self.driver = browser(self.directory.name, **self.options)
        self.driver.get(self.url)
        return self.driver

    def __exit__(self, *_):
        self.driver.quit()
        self.directory.cleanup()


def keys(driver, *pressed):
    driver.switch_to.active_element.send_keys(*pressed)


def operate(build, replicas):
    worklist, lines = scene(replicas)
    return worklist, Stage(build, worklist, lines)


def start(stage):
    # The seeded rounds stay as they are: nothing is due while the only thing that could be is backing off.
    stage.operator()
    wait_until("a pass", lambda: stage.passes() > 1)
    return stage.metrics_url.replace("/metrics", "/")


def tree(driver):
    """(role, name) of everything that assistive technology is told."""
    nodes = driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    return [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n["ignored"]]


def accessibility(driver, replicas):
    told = tree(driver)
    roles = [role for role, _ in told]
    for landmark in ("banner", "main", "search", "contentinfo"):
        equal(f"one landmark {landmark}", roles.count(landmark), 1)
    equal("a table, which has a name", [name for role, name in told if role == "table"], ["Replicas"])
    equal("a header for each column", [name for role, name in told if role == "columnheader"],
          ["Replica", "State", "Snapshot", "Waits for, next", "Verdict", "Report"])
    rows = [name for role, name in told if role == "rowheader"]
    equal("a header for each row", len([n for n in rows if n.startswith("country-")]), replicas)
    equal("headings in order", [name for role, name in told if role == "heading"], ["understory", "Overview", "Replicas"])
    nameless = [role for role, name in told if role in ("searchbox", "combobox", "checkbox", "link", "button") and not name]
    equal("each control has a name", nameless, [])
    check("progress and changes are told sparingly", roles.count("status") <= 2, roles.count("status"))
    equal("the language is said", driver.execute_script("return document.documentElement.lang"), "en")


def keyboard(driver, replicas):
    driver.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    equal("the first stop leads to the replicas", driver.switch_to.active_element.text, "Skip to the replicas")
    driver.find_element(By.TAG_NAME, "body").send_keys("/")
    equal("/ leads to the filter", driver.switch_to.active_element.get_attribute("name"), "q")
    outline = driver.execute_script("const s = getComputedStyle(document.activeElement); return [s.outlineStyle, parseFloat(s.outlineWidth)]")
    check("the focus is seen", outline[0] == "solid" and outline[1] >= 2, outline)
    keys(driver, "CHECKPOINT Record")
    failed = sum(i % 6 == 1 for i in range(replicas))
    equal("typing filters", driver.execute_script(ROWS), failed)
    check("and says how many are left, once", until(lambda: driver.find_element(By.ID, "shown").text == f"{failed} of {replicas} shown"),
          driver.find_element(By.ID, "shown").text)
    check("the address keeps the filter", "q=CHECKPOINT" in driver.current_url, driver.current_url)
    keys(driver, Keys.ESCAPE)
    equal("Escape shows all again", driver.execute_script(ROWS), replicas)
    keys(driver, Keys.TAB)
    equal("then the state", driver.switch_to.active_element.get_attribute("name"), "state")
    keys(driver, "p")
    equal("which filters too", driver.execute_script(ROWS), sum(i % 6 == 3 for i in range(replicas)))
    keys(driver, Keys.HOME)
    keys(driver, Keys.TAB)
    equal("then what needs a look", driver.switch_to.active_element.get_attribute("name"), "attention")
    keys(driver, Keys.SPACE)
    looks = sum(i % 6 in (1, 2, 4) for i in range(replicas))
    equal("which is what failed, and what should serve and does not", driver.execute_script(ROWS), looks)
    keys(driver, Keys.SPACE)


def strangers(driver):
    equal("what strangers wrote is text", driver.execute_script("return [document.title.includes('taken'), document.images.length]"), [False, 0])
    text = driver.find_element(By.CSS_SELECTOR, "tr[data-state=failed] .error").text
    check("and can be read", "<img src=x onerror=alert(1)>" in text and "\u202e" not in text, text)


def live(stage, driver, worklist):
    driver.execute_script("window.same = true")
    name = namespace(worklist[0])
    row = lambda: driver.execute_script("const r = document.querySelector(`tr[data-ns='${arguments[0]}']`);"
                                        "return r && [r.closest('tbody').id, r.querySelector('.error').textContent]", name)
    equal("a replica that serves is among those", row(), ["g-active", ""])
    call("PATCH", f"{stage.api}/api/v1/namespaces/{name}", {"metadata": {"annotations": {
        P + "restore-state": "failed", P + "failures": "3", P + "failed-at": "2026-11-20T00:00:00Z", P + "last-error": "the disk <b>is</b> gone"}}},
         "application/merge-patch+json")
    check("one that fails moves to the failed, by itself", until(lambda: row() == ["g-failed", "the disk <b>is</b> gone"]), row())
    stage.canopy_wants([e for e in worklist if e is not worklist[0]])
    check("one that goes away has no row", until(lambda: row() is None), row())
    check("without being loaded anew", driver.execute_script("return window.same === true"))


def looks(url):
    for dark in (False, True):
        with Page(url, dark=dark) as driver:
            equal(f"contrast, {'dark' if dark else 'light'}", driver.execute_script(CONTRAST), [])
    with Page(url, width=390) as driver:
        width = driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        check("a narrow window need not be moved sideways", width[0] <= width[1], width)
        equal("and its table is one still", [role for role, _ in tree(driver) if role in ("table", "columnheader")], ["table"] + ["columnheader"] * 6)
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]})
        moving = driver.execute_script("const r = document.querySelector('tr[data-ns]'); r.classList.add('fresh'); return getComputedStyle(r).animationName")
        equal("nothing moves for who asked for that", moving, "none")


def without_script(url, replicas):
    with Page(url, script=False) as driver:
        equal("without script: every replica is there", len(driver.find_elements(By.CSS_SELECTOR, "tr[data-ns]")), replicas)
        driver.find_element(By.NAME, "q").send_keys("checkpoint")
        driver.find_element(By.CSS_SELECTOR, "#filter button").click()
        wait_until("the filtered page", lambda: "checkpoint" in driver.current_url)
        equal("without script: the filter works", len(driver.find_elements(By.CSS_SELECTOR, "tr[data-ns]")), sum(i % 6 == 1 for i in range(replicas)))
        equal("without script: it says what it shows", driver.find_element(By.NAME, "q").get_attribute("value"), "checkpoint")


def documented(url, source):
    """The keys of status.json and those of docs/status-json.md, in both directions."""
    with urllib.request.urlopen(url + "status.json", timeout=60) as answer:
        status = json.load(answer)
    sections = (source / "docs/status-json.md").read_text().split("\n## ")
    named = {s.split("\n")[0]: set(re.findall(r"^\| `(\w+)`", s, re.MULTILINE)) for s in sections}
    equal("docs: keys of the whole", named["The whole"], set(status))
    equal("docs: keys of a replica", named["A replica"], set().union(*status["replicas"]))


def six(build, source):
    worklist, stage = operate(build, 6)
    with stage:
        url = start(stage)
        documented(url, source)
        with Page(url) as driver:
            accessibility(driver, 6)
            keyboard(driver, 6)
            strangers(driver)
            live(stage, driver, worklist)
            equal("nothing to complain of in the console", driver.get_log("browser"), [])
        looks(url)
        stage.canopy_wants(worklist)
        wait_until("the last replica", lambda: len(json.load(urllib.request.urlopen(url + "status.json", timeout=60))["replicas"]) == 6)
        without_script(url, 6)
        with Page(url) as driver:
            stage.stop("operator")
            check("an operator that is gone is said", until(lambda: "does not answer" in driver.find_element(By.ID, "pulse").text, 60))
            equal("and what it said last stays", driver.execute_script(ROWS), 6)


def thousand(build):
    worklist, stage = operate(build, 1000)
    with stage:
        url = start(stage)
        with Page(url) as driver:
            equal("1,000 replicas are there", driver.execute_script(ROWS), 1000)
            check("and are refreshed", until(lambda: driver.execute_script(
                "return performance.getEntriesByName('understory-render').length") > 0))
            equal("and are there still", driver.execute_script(ROWS), 1000)
            equal("nothing to complain of in the console, of 1,000", driver.get_log("browser"), [])


def follower(build):
    worklist, stage = operate(build, 3)
    with stage:
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
        call("POST", f"{stage.api}/apis/coordination.k8s.io/v1/namespaces/{OPERATOR_NAMESPACE}/leases", {
            "metadata": {"name": "understory", "namespace": OPERATOR_NAMESPACE},
            "spec": {"holderIdentity": "another-one", "leaseDurationSeconds": 3600, "acquireTime": now, "renewTime": now, "leaseTransitions": 1}})
        stage.operator()
        url = stage.metrics_url.replace("/metrics", "/")
        status = {}

        def knows():
            try:
                with urllib.request.urlopen(url + "status.json", timeout=60) as answer:
                    status.update(json.load(answer))
            except OSError:
                return False
            return "another-one" in status["role"] and len(status["replicas"]) == 3

        check("one that does not lead says who does, and shows what it sees", until(knows), status)
        equal("and nothing of the worklist, which it does not know", [status["leads"], status["worklist_problem"]], [False, None])
        check("nor that an entry is missing", not any("its entry" in (r["waits_for"] or "") for r in status["replicas"]))


def main():
    build, source = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    six(build, source)
    follower(build)
    thousand(build)
    return end()


sys.exit(main())
