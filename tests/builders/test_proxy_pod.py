#!/usr/bin/python3
"""The restore Job with CREDENTIALS=proxy as builders/ makes it, on the stand-in's node: the script, restic and understory-proxy for
real, with the proxy as native sidecar and as second container. Broker and S3 are doubles (proxy_doubles.py). TAP.

usage: test_proxy_pod.py STUB_APISERVER DUMP_OBJECTS DIRECTORY_OF_UNDERSTORY_PROXY
"""
import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import proxy_doubles as doubles

NAMESPACE = 'nauru-prod-21779af8'
TIMEOUT_S = 45


class Tap:
    def __init__(self):
        self.count = self.failures = 0

    def check(self, good, label, shown=''):
        self.count += 1
        self.failures += not good
        print(f"{'ok' if good else 'not ok'} {self.count} - {label}", flush=True)
        if not good:
            print('\n'.join('# ' + line for line in str(shown).splitlines()[-40:]), flush=True)


class Cluster:
    """stub-apiserver with its node."""

    def __init__(self, program, programs, work):
        self.node = os.path.join(work, 'node')
        port_file = os.path.join(work, 'port')
        self.process = subprocess.Popen([program, '--listen', '127.0.0.1:0', '--port-file', port_file, '--node', self.node,
                                         '--programs', programs], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + TIMEOUT_S
        while not os.path.exists(port_file) and time.monotonic() < deadline:
            time.sleep(0.05)
        with open(port_file, encoding='ascii') as file:
            self.url = f'http://127.0.0.1:{file.read().strip()}'

    def call(self, path, body=None):
        request = urllib.request.Request(self.url + path, data=None if body is None else json.dumps(body).encode(),
                                         headers={'Content-Type': 'application/json'})
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def create(self, thing):
        version = thing['apiVersion']
        base = f'/api/{version}' if '/' not in version else f'/apis/{version}'
        where = '' if thing['kind'] == 'Namespace' else f"/namespaces/{thing['metadata']['namespace']}"
        return self.call(f"{base}{where}/{thing['kind'].lower()}s", thing)

    def ended(self, job):
        """The type of the Job's last condition, and its pod."""
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            found = self.call(f'/apis/batch/v1/namespaces/{NAMESPACE}/jobs/{job}')
            for condition in found['status'].get('conditions', []):
                if condition['type'] in ('Complete', 'Failed') and condition['status'] == 'True':
                    return condition['type'], self.pods(job)[-1]
            time.sleep(0.1)
        return 'neither', self.pods(job)[-1]

    def pods(self, job):
        """Oldest first."""
        items = self.call(f'/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=job-name%3D{job}')['items']
        return sorted(items, key=lambda pod: pod['metadata']['creationTimestamp'])

    def log(self, pod):
        folder = os.path.join(self.node, NAMESPACE, pod['metadata']['name'])
        text = ''
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), encoding='utf-8', errors='replace') as file:
                text += f'--- {name}\n{file.read()}'
        return text

    def everything(self):
        paths = ['/apis/batch/v1/jobs', '/api/v1/pods', '/api/v1/secrets', '/api/v1/events', '/api/v1/namespaces']
        return ''.join(json.dumps(self.call(path)) for path in paths)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)


def make_repository(work):
    """A local repository with a snapshot that looks like a cluster of PostgreSQL 15; its folder and the snapshot's id."""
    source, repository = os.path.join(work, 'source'), os.path.join(work, 'repository')
    for name, content in (('PG_VERSION', b'15\n'), ('global/pg_control', bytes(8192)), ('global/pg_filenode.map', b'map'),
                          ('pg_xact/0000', b''), ('pg_multixact/members/0000', b''), ('pg_multixact/offsets/0000', b''),
                          ('pg_wal/0', b'wal'), ('pg_tblspc/.keep', b''), ('base/1/1', os.urandom(3 << 20))):
        path = os.path.join(source, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as file:
            file.write(content)
    restic = ['restic', '-q', '-r', repository, '--no-cache']
    environment = dict(os.environ, RESTIC_PASSWORD='hidden-password', HOME=work)
    subprocess.run([*restic, 'init'], check=True, env=environment, stdout=subprocess.DEVNULL)
    out = subprocess.run([*restic, 'backup', '--json', source], check=True, env=environment, stdout=subprocess.PIPE).stdout
    summary = [json.loads(line) for line in out.splitlines() if b'"summary"' in line][0]
    return repository, summary['snapshot_id']


def objects_of_a_round(dump, way, key, changes):
    """PVC, Secret and Job of verify with restic, way 1 or 2 of sample.h, without what is not needed; renamed to this key."""
    dumps = []
    for thing in json.loads(subprocess.run([dump], check=True, stdout=subprocess.PIPE).stdout):
        if thing['kind'] == 'Namespace':
            dumps.append([])
        dumps[-1].append(thing)
    text = json.dumps(dumps[way * 4 + 3]).replace('0a1b2c3d', key)
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    named = {(thing['kind'], thing['metadata']['name']): thing for thing in json.loads(text)}
    return [named['Secret', f'restore-{key}'], named['PersistentVolumeClaim', f'pgdata-{key}'], named['Job', f'restore-{key}']]


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def state_of(pod, container):
    statuses = pod['status'].get('initContainerStatuses', []) + pod['status']['containerStatuses']
    found = [status['state'] for status in statuses if status['name'] == container]
    return found[0].get('terminated', found[0]) if found else {}


def kill_all_with(variable):
    """SIGKILL for every process in whose environment this NAME=VALUE is; how many there were."""
    killed = 0
    for name in filter(str.isdigit, os.listdir('/proc')):
        with contextlib.suppress(OSError):  # it has ended, with another of them
            with open(f'/proc/{name}/environ', 'rb') as file:
                is_one = variable.encode() in file.read().split(b'\0')
            if is_one:
                os.kill(int(name), signal.SIGKILL)
                killed += 1
    return killed


def wait_until(condition):
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


class World:
    def __init__(self, tap, stub, dump, programs, work):
        self.tap, self.dump = tap, dump
        ca, certificate, key = doubles.authority(work)
        self.repository, self.snapshot = make_repository(work)
        self.broker = doubles.serve(doubles.Broker, (certificate, key))
        self.store = doubles.serve(doubles.Store, folder=self.repository, is_open=threading.Event())
        self.store.is_open.set()
        with open(ca, encoding='ascii') as file:
            self.ca = file.read()
        self.cluster = Cluster(stub, programs, work)
        self.cluster.create({'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {'name': NAMESPACE}})
        self.cluster.create({'apiVersion': 'v1', 'kind': 'ServiceAccount', 'metadata': {'name': 'restore', 'namespace': NAMESPACE}})

    def run(self, way, key, snapshot):
        """Create a round and wait for its Job."""
        self.create(way, key, snapshot)
        return self.cluster.ended(f'restore-{key}')

    def create(self, way, key, snapshot):
        self.broker.seen.clear()
        self.store.seen.clear()
        changes = {'https://understory.pgro-system.svc:9091': f'https://127.0.0.1:{self.broker.server_port}',
                   'https://s3.ap-southeast-2.amazonaws.com': f'http://127.0.0.1:{self.store.server_port}',
                   '8c2b5ef5d1d5a3c2': snapshot}
        secret, claim, job = objects_of_a_round(self.dump, way, key, changes)
        secret['data'].update(repositoryPassword=encoded('hidden-password'), brokerCaCertificate=encoded(self.ca))
        claim['spec']['storageClassName'] = ''
        volume = self.cluster.create(claim)
        secret['metadata']['ownerReferences'][0]['uid'] = volume['metadata']['uid']  # of another it would be collected
        for thing in (secret, job):
            self.cluster.create(thing)

    def is_killed(self, way, label, key):
        """In the middle of the restore every process of the engine's container is killed at once, as the OOM killer does."""
        check = self.tap.check
        self.store.is_open.clear()
        self.create(way, key, self.snapshot)
        begun = wait_until(lambda: any('/data/' in seen[1] for seen in self.store.seen))
        check(begun, f'{label}: the restore is in the middle', self.store.seen)
        killed = kill_all_with(f'SNAPSHOT_ID={self.snapshot}')  # which no other run has
        check(killed > 0, f'{label}: the engine is killed as a whole', killed)
        ended = wait_until(lambda: any('exitCode' in state_of(pod, 'proxy') for pod in self.cluster.pods(f'restore-{key}')))
        pod = self.cluster.pods(f'restore-{key}')[0]
        check(ended, f'{label}: the proxy ends by itself', json.dumps(pod['status'], indent=1) + self.cluster.log(pod))
        check(state_of(pod, 'restore').get('exitCode') == 137, f'{label}: the status of the killed engine stays',
              state_of(pod, 'restore'))
        self.store.is_open.set()
        outcome, last = self.cluster.ended(f'restore-{key}')
        check(outcome == 'Complete' and last['metadata']['name'] != pod['metadata']['name'],
              f'{label}: another pod of the Job restores', json.dumps(last['status'], indent=1) + self.cluster.log(last))

    def restores(self, way, label, key):
        check = self.tap.check
        outcome, pod = self.run(way, key, self.snapshot)
        log = self.cluster.log(pod)
        engine = state_of(pod, 'restore')
        message = json.loads(engine.get('message', '{}'))
        check(outcome == 'Complete', f'{label}: the Job completes', json.dumps(pod['status'], indent=1) + log)
        check((message.get('postgres_version'), message.get('files')) == ('15', 9), f'{label}: the snapshot is restored', message)
        check('exitCode' in state_of(pod, 'proxy'), f'{label}: the proxy has ended', state_of(pod, 'proxy'))
        asked = [(path, authorization, body) for path, authorization, body in self.broker.seen if path == '/internal/restore-creds']
        check(asked and all(one[1].startswith(f'Bearer {NAMESPACE}.restore.') for one in asked),
              f'{label}: the broker is shown a token of ServiceAccount restore', asked)
        check(asked and asked[0][2] == {'group': '11111111-2222-4333-8444-555555555555', 'type': 'postgresql physical'},
              f'{label}: keys are asked for group and type', asked)
        check(f'/api/v1/canopy-stats/{NAMESPACE}/restore-{key}' in [path for path, _, _ in self.broker.seen],
              f'{label}: the totals are posted', [path for path, _, _ in self.broker.seen])
        check(self.store.seen and all(f'Credential={doubles.KEY_ID}/' in seen[2] and seen[3] == doubles.TOKEN
                                      for seen in self.store.seen), f'{label}: the store sees the real keys alone', self.store.seen)
        self.nothing_leaks(label, log)

    def fails(self, way, label, key):
        outcome, pod = self.run(way, key, 'deadbeef')
        engine = state_of(pod, 'restore')
        self.tap.check(outcome == 'Failed' and engine.get('exitCode') == 10 and 'no matching ID' in engine.get('message', ''),
                       f'{label}: a snapshot that is gone fails the Job at once', json.dumps(pod['status'], indent=1))
        self.tap.check('exitCode' in state_of(pod, 'proxy'), f'{label}: then too the proxy has ended', state_of(pod, 'proxy'))

    def nothing_leaks(self, label, log):
        tokens = {seen[1].removeprefix('Bearer ') for seen in self.broker.seen}
        hidden = [doubles.KEY_ID, doubles.KEY, doubles.TOKEN, *tokens]
        everywhere = log + self.cluster.everything()
        self.tap.check(len(hidden) > 3 and not any(text in everywhere for text in hidden),
                       f'{label}: keys and token are in no log and no object', [text for text in hidden if text in everywhere])

    def stop(self):
        self.store.is_open.set()
        self.cluster.stop()
        self.broker.shutdown()
        self.store.shutdown()


def missing(programs):
    if os.geteuid() != 0:
        return 'needs root for the node'
    for program in ('bwrap', 'restic', 'openssl'):
        if shutil.which(program) is None:
            return f'{program} is not installed'
    return None if os.path.exists(os.path.join(programs, 'understory-proxy')) else 'understory-proxy is not built'


def main():
    stub, dump, programs = sys.argv[1:]
    why = missing(programs)
    if why is not None:
        print(f'1..0 # SKIP {why}')
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # a test that is over time ends what it started
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix='understory-proxy-pod.') as work:
        os.chmod(work, 0o755)
        world = World(tap, stub, dump, programs, work)
        try:
            for way, label, digit in ((1, 'native sidecar', 'a'), (2, 'second container', 'b')):
                world.restores(way, label, digit * 8)
                world.fails(way, label, digit * 7 + 'f')
                world.is_killed(way, label, digit * 7 + 'e')
        finally:
            world.stop()
    print(f'1..{tap.count}')
    return 0 if tap.failures == 0 else 1


if __name__ == '__main__':
    sys.exit(main())
