#!/usr/bin/env python3
"""A double of Microsoft Entra's token endpoint, for workload identity: gives every federated token that is "federated" an access token
that Azurite takes (its claims are right, its signature is none), and no other.

usage: entra.py ADDRESS CERTIFICATE KEY     listens on port 443 of ADDRESS, where clients look for login.microsoftonline.com
"""
import base64
import http.server
import json
import ssl
import sys
import time
import urllib.parse

BASE = "https://login.microsoftonline.com/"


def part(claims):
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


def token(tenant):
    now = int(time.time())
    return ".".join([part({"alg": "RS256", "typ": "JWT"}),
                     part({"aud": "https://storage.azure.com", "iss": f"https://sts.windows.net/{tenant}/", "tid": tenant,
                           "iat": now - 10, "nbf": now - 10, "exp": now + 3600}), "c2ln"])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        tenant = BASE + self.path.split("/")[1]
        if "discovery/instance" in self.path:
            return self.answer(200, {"tenant_discovery_endpoint": tenant + "/v2.0/.well-known/openid-configuration", "api-version": "1.1",
                                     "metadata": [{"preferred_network": "login.microsoftonline.com", "preferred_cache": "login.windows.net",
                                                   "aliases": ["login.microsoftonline.com", "login.windows.net"]}]})
        return self.answer(200, {"token_endpoint": tenant + "/oauth2/v2.0/token", "issuer": tenant + "/v2.0", "jwks_uri": tenant + "/keys",
                                 "authorization_endpoint": tenant + "/oauth2/v2.0/authorize"})

    def do_POST(self):
        asked = urllib.parse.parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
        if asked.get("client_assertion", [""])[0].strip() != "federated":
            return self.answer(401, {"error": "invalid_client", "error_description": "AADSTS700211: No matching federated identity record "
                                     "found for presented assertion issuer.", "error_codes": [700211]})
        return self.answer(200, {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599,
                                 "access_token": token(self.path.split("/")[1])})


server = http.server.ThreadingHTTPServer((sys.argv[1], 443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
