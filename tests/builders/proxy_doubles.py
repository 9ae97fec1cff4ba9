"""Doubles for what a proxied restore talks to: a broker over TLS, and an S3 server that reads a directory. Both keep what came."""
import contextlib
import datetime
import http.server
import json
import os
import ssl
import subprocess
import threading
import urllib.parse
from xml.sax.saxutils import escape

KEY_ID, KEY, TOKEN = 'AKIAREALKEY0000000X1', 'real-secret-key-of-the-store', 'real-session-token'


def authority(folder):
    """A CA and a certificate for 127.0.0.1: paths of the CA's certificate and of the server's certificate and key."""
    def openssl(*arguments):
        subprocess.run(['openssl', *arguments], check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    new = ('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2')
    openssl(*new, '-subj', '/CN=test CA', '-addext', 'keyUsage=critical,keyCertSign', '-keyout', 'ca.key', '-out', 'ca.crt')
    openssl(*new, '-subj', '/CN=broker', '-addext', 'subjectAltName=IP:127.0.0.1', '-addext', 'basicConstraints=critical,CA:FALSE',
            '-CA', 'ca.crt', '-CAkey', 'ca.key', '-keyout', 'broker.key', '-out', 'broker.crt')
    return [os.path.join(folder, name) for name in ('ca.crt', 'broker.crt', 'broker.key')]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def answer(self, status, body=b'', **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        if 'Content_Length' not in headers:
            self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD':
            with contextlib.suppress(ConnectionError):  # of a client that was killed
                self.wfile.write(body)


class Broker(Handler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        self.server.seen.append((self.path, self.headers.get('Authorization', ''), body))
        if not self.path.startswith('/internal/'):
            return self.answer(204)
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
        keys = {'Version': 1, 'AccessKeyId': KEY_ID, 'SecretAccessKey': KEY, 'SessionToken': TOKEN,
                'Expiration': end.strftime('%Y-%m-%dT%H:%M:%SZ')}
        return self.answer(200, json.dumps(keys).encode(), Content_Type='application/json')


class Store(Handler):
    """Keys nauru/PATH of bucket `backups` are the files of server.folder. While server.is_open is not set, contents (data/) wait."""

    def do_GET(self):
        self.server.seen.append((self.command, self.path, self.headers.get('Authorization', ''),
                                 self.headers.get('x-amz-security-token', '')))
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
        if 'location' in query:
            return self.answer(200, b'<LocationConstraint>ap-southeast-2</LocationConstraint>')
        if 'list-type' in query:
            return self.answer(200, self.listing(query['prefix'][0], query.get('delimiter', [''])[0]).encode())
        return self.object(urllib.parse.unquote(url.path).removeprefix('/backups/nauru/'))

    do_HEAD = do_GET

    def object(self, name):
        path = os.path.join(self.server.folder, name)
        if not os.path.isfile(path):
            return self.answer(404, b'<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>')
        if name.startswith('data/'):
            self.server.is_open.wait()
        with open(path, 'rb') as file:
            data = file.read()
        entity = {'Last_Modified': 'Fri, 20 Nov 2026 08:00:00 GMT', 'ETag': '"0"'}
        wanted = self.headers.get('Range', '')
        if wanted.startswith('bytes='):
            first, last = wanted[6:].split('-')
            end = min(int(last) if last else len(data), len(data) - 1)
            part = data[int(first):end + 1]
            return self.answer(206, part, Content_Range=f'bytes {first}-{end}/{len(data)}', **entity)
        return self.answer(200, data, Content_Length=str(len(data)), **entity)

    def listing(self, prefix, delimiter):
        keys, folders = [], set()
        for where, _, names in os.walk(self.server.folder):
            for name in names:
                path = os.path.join(where, name)
                key = 'nauru/' + os.path.relpath(path, self.server.folder)
                rest = key[len(prefix):]
                if not key.startswith(prefix):
                    continue
                if delimiter and delimiter in rest:
                    folders.add(prefix + rest.split(delimiter)[0] + delimiter)
                else:
                    keys.append((key, os.path.getsize(path)))
        contents = ''.join(f'<Contents><Key>{escape(key)}</Key><Size>{size}</Size><ETag>"0"</ETag>'
                           '<LastModified>2026-11-20T08:00:00.000Z</LastModified></Contents>' for key, size in sorted(keys))
        prefixes = ''.join(f'<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>' for one in sorted(folders))
        return (f'<ListBucketResult><Name>backups</Name><Prefix>{escape(prefix)}</Prefix><IsTruncated>false</IsTruncated>'
                f'{contents}{prefixes}</ListBucketResult>')


def serve(handler, certificate=None, **state):
    """A server on a free port of 127.0.0.1; what it has seen is in server.seen."""
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    server.daemon_threads = True
    server.seen = []
    for name, value in state.items():
        setattr(server, name, value)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
