#!/usr/bin/python3
"""One operator that runs out of descriptors, of room for its log, and of memory. It goes on with errors, writes nothing by half, and
does its work as soon as there is enough again. Speaks TAP.

Descriptors: a limit of 64, and neighbours whose connections take what is left of them. The log: a file system that is full. Memory (in a
build without sanitizers, whose allocators end the program): the address space may not grow any more.

usage: exhaustion.py BUILD_FOLDER
"""
import os
import pathlib
import re
import resource
import socket
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
from stage import Stage, call, cpu_seconds, differences, entry, is_sanitized, namespace, wait_until
from tap import check, end

REPLICAS, DESCRIPTORS = 24, 64
HELD_S, SPIN = 4, 0.9  # how long there is not enough; a thread that spins takes more of a CPU than that
BACK_S = 90
CA = re.compile(r'"brokerCaCertificate": "[^"]*"')
ADDRESSES = [f"127.0.5.{i}" for i in range(1, 9)]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def jobs(stage):
    return {item["metadata"]["namespace"] for item in call("GET", stage.api + "/apis/batch/v1/jobs")["items"]}


def is_done(stage, wanted):
    return jobs(stage) == {namespace(e) for e in wanted}


def is_live(stage):
    try:
        with urllib.request.urlopen(stage.metrics_url.replace("/metrics", "/livez"), timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def operator(stage, **settings):
    """At rest, with nothing to do."""
    stage.broker_port = free_port()
    process = stage.operator(MAX_CONCURRENT_RESTORES=str(REPLICAS), TEARDOWN_GUARD="off", CREDENTIALS="proxy", CANOPY_PROXY_IMAGE="proxy",
                             PGRO_BROKER_LISTEN_ADDR=f"127.0.0.1:{stage.broker_port}", **settings)
    wait_until("the operator", lambda: process.poll() is not None or stage.passes() > 1)
    return process


def made(stage):
    """What the operator made, without the CA, which is another one in each cluster."""
    return {key: CA.sub("CA", text) for key, text in stage.cluster().items()}


def without_want(build, wanted):
    """The cluster that an operator with enough of everything makes."""
    with Stage(build) as stage:
        operator(stage)
        stage.canopy_wants(wanted)
        wait_until("the work", lambda: is_done(stage, wanted), BACK_S)
        time.sleep(1)
        return made(stage)


def take_descriptors(stage, pid):
    """Connections to both listeners that say nothing, anew where they are cut, until none is left."""
    held, ports = [], (stage.broker_port, int(stage.metrics_url.split(":")[2].split("/")[0]))
    end, fewest = time.monotonic() + HELD_S, DESCRIPTORS
    while time.monotonic() < end:
        for number in range(2 * DESCRIPTORS):
            one = socket.socket()
            one.setblocking(False)
            one.bind((ADDRESSES[number % len(ADDRESSES)], 0))
            one.connect_ex(("127.0.0.1", ports[number % 2]))
            held.append(one)
        time.sleep(0.1)
        fewest = min(fewest, DESCRIPTORS - descriptors(pid))
        for one in held[:-2 * DESCRIPTORS]:
            one.close()
        del held[:-2 * DESCRIPTORS]
    for one in held:
        one.close()
    return fewest


def comes_back(what, stage, process, wanted, whole):
    try:
        wait_until("the work", lambda: process.poll() is not None or is_done(stage, wanted), BACK_S)
    except SystemExit as error:
        check(f"{what}: afterwards all is done", False, f"{error}\n{stage.log('operator')}")
        return
    check(f"{what}: the operator goes on", process.poll() is None, f"it ended with {process.poll()}\n{stage.log('operator')}")
    time.sleep(1)
    different = differences(made(stage), whole)
    check(f"{what}: afterwards all is done, and nothing by half", not different, "\n".join(different))
    check(f"{what}: the listeners serve", is_live(stage) and socket.create_connection(("127.0.0.1", stage.broker_port), 5).close() is None)
    check(f"{what}: it is refused nothing", not stage.refused(), "\n".join(stage.refused()))
    process.terminate()
    check(f"{what}: it ends in order", process.wait(30) == 0, stage.log("operator"))


def few_descriptors(build, wanted, whole):
    with Stage(build, log=True) as stage:
        process = operator(stage)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
        cpu = cpu_seconds(process.pid)
        stage.canopy_wants(wanted)
        fewest = take_descriptors(stage, process.pid)
        used = (cpu_seconds(process.pid) - cpu) / HELD_S
        check(f"descriptors: all {DESCRIPTORS} were taken", fewest <= 0, f"{fewest} were left")
        print(f"# descriptors: {used:.2f} of a CPU meanwhile, {len(jobs(stage))} of {len(wanted)} restores begun")
        check("descriptors: waiting for one takes no CPU to speak of", used < SPIN, f"{used:.2f} of a CPU")
        comes_back("descriptors", stage, process, wanted, whole)


def full_log(build, wanted, whole):
    with Stage(build, log=True) as stage:
        process = stage_with_full_log(stage)
        stage.canopy_wants(wanted)
        comes_back("a full log", stage, process, wanted, whole)


def stage_with_full_log(stage):
    """stderr is /dev/full from the start: each write to it fails with ENOSPC."""
    spawn = stage.spawn
    stage.spawn = lambda name, command, *args, **environment: spawn(
        name, ["/bin/sh", "-c", 'exec "$0" "$@" 2>/dev/full', *command], *args, **environment)
    try:
        return operator(stage)
    finally:
        stage.spawn = spawn


def address_space(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmSize")) << 10


def little_memory(build, wanted, whole):
    with Stage(build, log=True) as stage:
        process = operator(stage)
        before = resource.prlimit(process.pid, resource.RLIMIT_AS)
        resource.prlimit(process.pid, resource.RLIMIT_AS, (address_space(process.pid), before[1]))
        stage.canopy_wants(wanted)
        end = time.monotonic() + HELD_S
        while time.monotonic() < end:
            is_live(stage)
            time.sleep(0.1)
        print(f"# memory: {len(jobs(stage))} of {len(wanted)} restores begun with none")
        resource.prlimit(process.pid, resource.RLIMIT_AS, before)
        comes_back("memory", stage, process, wanted, whole)


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    wanted = [entry(i, "analytics" if i % 2 else "verify") for i in range(REPLICAS)]
    whole = without_want(build, wanted)
    few_descriptors(build, wanted, whole)
    full_log(build, wanted, whole)
    if not is_sanitized(build / "reconciler/understory"):
        little_memory(build, wanted, whole)
    return end()


sys.exit(main())
