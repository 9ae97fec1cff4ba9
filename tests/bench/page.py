#!/usr/bin/env python3
"""What the status page costs: 3, 1,000 and 10,000 replicas, with a plain client and with a real browser.

For each: bytes of the page and of status.json, until the first and the last byte of each has come, what the operator's memory grows by
while eight clients read the page slowly, and in the browser: until the page is drawn, the script's time when it starts and when it
draws all replicas again, and how often the main thread was kept for more than 50 ms meanwhile.

usage: page.py BUILD_FOLDER OUTPUT.json
"""
import json
import pathlib
import socket
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from page_scene import browser, scene
from stage import Stage, memory_mib, wait_until

SIZES, SLOW, TIMES = (3, 1000, 10000), 8, 5
LONG_TASKS = ("new PerformanceObserver(l => { window.longTasks = (window.longTasks ?? []).concat(l.getEntries().map(e => e.duration)) })"
              ".observe({ type: 'longtask', buffered: true })")


def fetch(url):
    """(bytes, ms to the first byte, ms to the last); the middle of several by the last."""
    took = []
    for _ in range(TIMES):
        begin = time.monotonic()
        with urllib.request.urlopen(url, timeout=120) as answer:
            first = answer.read(1)
            at_first = time.monotonic()
            rest = answer.read()
        took.append((time.monotonic() - begin, at_first - begin, len(first) + len(rest)))
    last, first, size = sorted(took)[TIMES // 2]
    return {"bytes": size, "first_byte_ms": round(1000 * first, 1), "last_byte_ms": round(1000 * last, 1)}


def slow_readers(stage, operator):
    """MiB that the operator's memory is larger while so many have begun to read the page and do not go on."""
    host, port = stage.metrics_url.split("/")[2].split(":")
    before, _ = memory_mib(operator.pid)
    readers = []
    for _ in range(SLOW):
        reader = socket.create_connection((host, int(port)))
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        reader.recv(1)
        readers.append(reader)
    during, _ = memory_mib(operator.pid)
    for reader in readers:
        reader.close()
    return round(during - before, 2)


def in_browser(url):
    with tempfile.TemporaryDirectory(prefix="understory-browser.", ignore_cleanup_errors=True) as directory:
        driver = browser(directory)
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": LONG_TASKS})
        driver.get(url)
        measured = lambda name: driver.execute_script("return performance.getEntriesByName(arguments[0]).map(e => e.duration)", name)
        wait_until("a refresh", lambda: measured("understory-render"), 60)
        drawn = driver.execute_script("return performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null")
        result = {"first_paint_ms": drawn and round(drawn), "script_start_ms": round(measured("understory-start")[0], 1),
                  "script_render_ms": round(measured("understory-render")[0], 1),
                  "long_tasks": [round(d) for d in driver.execute_script("return window.longTasks ?? []")]}
        driver.quit()
        return result


def one(build, count):
    worklist, lines = scene(count)
    with Stage(build, worklist, lines, is_open=True) as stage:
        operator = stage.operator(CANOPY_RECONCILE_INTERVAL_SECS="30")
        wait_until("a pass", lambda: stage.passes() > 0)
        url = stage.metrics_url.replace("/metrics", "/")
        time.sleep(1)
        rss, _ = memory_mib(operator.pid)
        return {"page": fetch(url), "status": fetch(url + "status.json"), "rss_mib": round(rss, 2),
                f"{SLOW}_slow_readers_mib": slow_readers(stage, operator), "browser": in_browser(url)}


def main():
    build, output = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    result = {}
    for count in SIZES:
        result[str(count)] = figures = one(build, count)
        print(f"{count} replicas: " + json.dumps(figures))
    output.write_text(json.dumps(result, indent=2) + "\n")


main()
