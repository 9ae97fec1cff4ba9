"""A second reading of Signature Version 4, for tests: it shares no code with the proxy. Standard library only."""
import datetime
import hashlib
import hmac
import http.client
import re
import urllib.parse

EMPTY = hashlib.sha256(b"").hexdigest()


def authorization(method, host, path, query, headers, key, secret, region, service, date, payload_hash):
    """headers: lower-case names to values, all of them signed; query: sorted and encoded."""
    names = sorted(headers)
    canonical = "\n".join([method, path, query, *(f"{n}:{headers[n]}" for n in names), "", ";".join(names), payload_hash])
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    k = ("AWS4" + secret).encode()
    for part in (date[:8], region, service, "aws4_request", to_sign):
        k = hmac.new(k, part.encode(), hashlib.sha256).digest()
    return f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={';'.join(names)}, Signature={k.hex()}"


def call(endpoint, method, path, query, body, key, secret, region="default", service="s3", content_type=None, token=None):
    """One signed request; returns (status, body)."""
    url = urllib.parse.urlsplit(endpoint)
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    payload_hash = hashlib.sha256(body).hexdigest()
    headers = {"host": url.netloc, "x-amz-date": date}
    if service == "s3":
        headers["x-amz-content-sha256"] = payload_hash
    if content_type:
        headers["content-type"] = content_type
    if token:
        headers["x-amz-security-token"] = token
    headers["authorization"] = authorization(method, url.netloc, path, query, dict(headers), key, secret, region, service, date,
                                             payload_hash)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    connection.request(method, path + ("?" + query if query else ""), body, headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, data


def assume_role(endpoint, role, key, secret):
    """A set of short-lived keys as canopy gives them."""
    form = urllib.parse.urlencode({"Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": role, "RoleSessionName": "restore",
                                   "DurationSeconds": "900"})
    status, data = call(endpoint, "POST", "/", "", form.encode(), key, secret, service="sts",
                        content_type="application/x-www-form-urlencoded")
    text = data.decode()
    if status != 200:
        raise RuntimeError(f"AssumeRole: {status} {text}")
    field = lambda name: re.search(f"<{name}>([^<]*)</{name}>", text)[1]
    return {"Version": 1, "AccessKeyId": field("AccessKeyId"), "SecretAccessKey": field("SecretAccessKey"),
            "SessionToken": field("SessionToken"), "Expiration": field("Expiration")}
