#!/usr/bin/env python3
"""A double of Azure Blob's read side over TLS: containers are directories, errors are what Azurite 3.37.0 was heard to say.

usage: blob_store.py serve DIRECTORY CERTIFICATE KEY     says "port N" when it listens on loopback; BLOB_ACCOUNT and BLOB_KEY name the account
       blob_store.py sas PERMISSIONS MINUTES             an account SAS that ends in so many minutes

It checks what a SAS says of itself (signature, end, permissions) and nothing else of a request. It keeps no state and writes nothing.
"""
import base64
import datetime
import hashlib
import hmac
import http.server
import os
import pathlib
import ssl
import sys
import urllib.parse
from xml.sax.saxutils import escape

VERSION = "2020-12-06"
SENTENCES = {
    "AuthorizationFailure": (403, "Server failed to authenticate the request. Make sure the value of the Authorization header is "
                                  "formed correctly including the signature."),
    "AuthorizationPermissionMismatch": (403, "This request is not authorized to perform this operation using this permission."),
    "ContainerNotFound": (404, "The specified container does not exist."),
    "BlobNotFound": (404, "The specified blob does not exist."),
}


def signature(fields):
    """Of an account SAS: learn.microsoft.com/rest/api/storageservices/create-account-sas, "Construct the signature string"."""
    text = "\n".join([os.environ["BLOB_ACCOUNT"]] + [fields.get(k, "") for k in ("sp", "ss", "srt", "st", "se", "sip", "spr", "sv", "ses")]
                     + [""])
    key = base64.b64decode(os.environ["BLOB_KEY"])
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def sas(permissions, minutes):
    ends = (now() + datetime.timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    fields = {"sv": VERSION, "ss": "b", "srt": "sco", "sp": permissions, "se": ends, "spr": "https"}
    return urllib.parse.urlencode(dict(fields, sig=signature(fields)))


class Refused(Exception):
    pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "Azurite-Blob/3.37.0"
    root = pathlib.Path()

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", headers=None, reason=None, length=None):
        self.send_response(status, reason)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def check(self, query, permission):
        if query.get("sig") != signature(query) or query.get("se", "") < now().strftime("%Y-%m-%dT%H:%M:%SZ"):
            raise Refused("AuthorizationFailure")
        if permission not in query.get("sp", ""):
            raise Refused("AuthorizationPermissionMismatch")

    def list(self, container, query):
        folder, prefix, delimiter = self.root / container, query.get("prefix", ""), query.get("delimiter", "")
        if not folder.is_dir():
            raise Refused("ContainerNotFound")
        names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
        items, folders = "", []
        for name in (n for n in names if n.startswith(prefix)):
            rest = name[len(prefix):]
            if delimiter and delimiter in rest:
                folders.append(prefix + rest.split(delimiter)[0] + delimiter)
            else:
                items += (f"<Blob><Name>{escape(name)}</Name><Properties><Last-Modified>Fri, 20 Nov 2026 20:13:51 GMT</Last-Modified>"
                          f"<Etag>0x1</Etag><Content-Length>{(folder / name).stat().st_size}</Content-Length>"
                          "<Content-Type>application/octet-stream</Content-Type><BlobType>BlockBlob</BlobType></Properties></Blob>")
        items += "".join(f"<BlobPrefix><Name>{escape(name)}</Name></BlobPrefix>" for name in dict.fromkeys(folders))
        self.answer(200, ('<?xml version="1.0" encoding="UTF-8" standalone="yes"?><EnumerationResults ContainerName="%s"><Blobs>%s</Blobs>'
                          "<NextMarker/></EnumerationResults>" % (container, items)).encode(), {"Content-Type": "application/xml"})

    def read(self, container, name):
        path = self.root / container / name
        if not path.is_file():
            raise Refused("BlobNotFound" if (self.root / container).is_dir() else "ContainerNotFound")
        body = path.read_bytes()
        headers = {"Last-Modified": "Fri, 20 Nov 2026 20:13:51 GMT", "ETag": '"0x1"', "x-ms-blob-type": "BlockBlob",
                   "x-ms-creation-time": "Fri, 20 Nov 2026 20:13:51 GMT", "Content-Type": "application/octet-stream",
                   "Accept-Ranges": "bytes"}
        wanted = self.headers.get("x-ms-range") or self.headers.get("Range")
        if wanted is None or self.command == "HEAD":
            return self.answer(200, body, headers)
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        end = min(int(last), len(body) - 1) if last else len(body) - 1
        headers["Content-Range"] = f"bytes {first}-{end}/{len(body)}"
        return self.answer(206, body[int(first):end + 1], headers)

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        path = urllib.parse.unquote(url.path).strip("/")
        if self.headers["Host"].startswith("127."):  # an address has no room for the account, which the path begins with then
            path = path.removeprefix(os.environ["BLOB_ACCOUNT"] + "/")
        container, _, name = path.partition("/")
        try:
            self.check(query, "r" if name else "l")
            if name:
                self.read(container, name)
            else:
                self.list(container, query)
        except Refused as refused:
            status, sentence = SENTENCES[str(refused)]
            body = (f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<Error>\n  <Code>{refused}</Code>\n  <Message>{sentence}\n'
                    "RequestId:0\nTime:2026-11-20T20:14:46.280Z</Message>\n</Error>").encode()
            self.answer(status, body, {"x-ms-error-code": str(refused), "Content-Type": "application/xml"}, sentence)

    do_HEAD = do_GET


def serve(directory, certificate, key):
    Handler.root = pathlib.Path(directory)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print("port", server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(*sys.argv[2:])
    else:
        print(sas(sys.argv[2], int(sys.argv[3])))
