#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = ["botocore==1.44.5"]
# ///
"""Writes src/auth/sigv4/tests/vectors.json: requests signed by the real botocore, with a stopped clock.

The first group comes out of whole clients (`bedrock-agentcore-control`), caught just before the socket; the second out
of botocore's signers alone, with what a client would seldom send. The result is checked in, so that no test run needs
this script. To make it anew:

    python3 -m venv /tmp/vectors && /tmp/vectors/bin/pip install botocore==1.44.5
    /tmp/vectors/bin/python tests/tools/sigv4_vectors.py > src/auth/sigv4/tests/vectors.json
"""

import base64
import datetime
import json
import sys
from urllib.parse import urlsplit

import botocore
import botocore.auth
import botocore.session
from botocore.auth import S3SigV4Auth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
SERVICE = "bedrock-agentcore"
REGION = "us-east-1"
KEY = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None)
SESSION_KEY = ("ASIAEXAMPLE", "c2VjcmV0/Of+A/Session", "FwoGZXIvYXdzEXAMPLE//////////wEaD+token==")
ENDPOINT = "http://127.0.0.1:8081"
ARN = "arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway/demo-abcdefghij"
ROLE = "arn:aws:iam::123456789012:role/gateway"
TOKEN = "00000000-0000-4000-8000-000000000000"

botocore.auth.get_current_datetime = lambda *args, **kwargs: NOW

vectors = []
outbound = []
# Unsigned, and different on each machine and run.
NOISE = {"user-agent": "botocore", "amz-sdk-invocation-id": TOKEN}


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def add(name, form, key, method, url, headers, body, **more):
    parts = urlsplit(url)
    default_port = {"http": 80, "https": 443}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    authority = host if parts.port in (None, default_port) else f"{host}:{parts.port}"
    vectors.append({
        "name": name,
        "form": form,
        "access_key_id": key[0],
        "method": method,
        "path": parts.path or "/",
        "query": parts.query,
        "authority": authority,
        "headers": [[key, NOISE.get(key.lower()) or text(value)] for key, value in headers],
        "body": base64.b64encode(body).decode(),
        **more,
    })


# === whole clients ===


class Caught(Exception):
    pass


def client(key, endpoint=ENDPOINT):
    session = botocore.session.Session()
    session.set_config_variable("region", REGION)
    session.set_credentials(*key)
    made = session.create_client("bedrock-agentcore-control", endpoint_url=endpoint, region_name=REGION)

    def catch(request, **_):
        made.caught = request
        raise Caught

    made.meta.events.register("before-send", catch)
    return made


# botocore would retry the exception; it is none of its own, so it falls through.
def call(name, operation, /, key=KEY, endpoint=ENDPOINT, **arguments):
    made = client(key, endpoint)
    try:
        getattr(made, operation)(**arguments)
    except Caught:
        pass
    request = made.caught
    body = request.body or b""
    body = body.encode() if isinstance(body, str) else bytes(body)
    add(name, "header", key, request.method, request.url, list(request.headers.items()), body)


gateway = dict(name="demo", roleArn=ROLE, authorizerType="NONE", protocolType="MCP")
call("client: GET a list", "list_gateways")
call("client: GET a list, paged", "list_gateways", maxResults=7, nextToken="a+b/c=d e~é&")
call("client: GET by ARN", "get_gateway", gatewayIdentifier=ARN)
call("client: POST", "create_gateway", clientToken=TOKEN, **gateway)
call("client: POST, unicode body", "create_gateway", clientToken=TOKEN, description="Grüße, 世界 🌍", **gateway)
call("client: PUT", "update_gateway", gatewayIdentifier="demo-abcdefghij", **gateway)
call("client: DELETE", "delete_gateway", gatewayIdentifier="demo-abcdefghij")
call("client: DELETE with repeated query", "untag_resource", resourceArn=ARN, tagKeys=["b", "a b", "a+b", "a"])
call("client: session token", "list_gateways", key=SESSION_KEY)
call("client: session token, POST", "create_gateway", key=SESSION_KEY, clientToken=TOKEN, **gateway)
call("client: host name, port of its own", "list_gateways", endpoint="http://gateway.example:9443")
call("client: host name, default port", "list_gateways", endpoint="https://gateway.example:443")
call("client: IPv6", "list_gateways", endpoint="http://[::1]:8081")
for name, key in [("client: presigned", KEY), ("client: presigned, session token", SESSION_KEY)]:
    url = client(key).generate_presigned_url("get_gateway", {"gatewayIdentifier": ARN}, ExpiresIn=600)
    add(name, "presigned", key, "GET", url, [], b"")


# === signers alone ===


def sign(name, method="GET", path="/", params=None, headers=(), body=b"", key=KEY, form="header", unsigned=False, **more):
    request = AWSRequest(method=method, url=ENDPOINT + path, params=params, data=body)
    for header, value in headers:
        request.headers.add_header(header, value)
    if unsigned:
        request.context["payload_signing_enabled"] = False
    signer = SigV4Auth if form == "header" else SigV4QueryAuth
    signer(Credentials(*key), SERVICE, REGION).add_auth(request)
    # Whatever a requests-like library adds after signing is left out: the signed headers are what is sent.
    signed = list(request.headers.items())
    add(name, form, key, method, request.prepare().url, signed, body, **more)


call_body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "größe 🌍"}}, ensure_ascii=False).encode()
mcp = [
    ("Content-Type", "application/json"),
    ("Accept", "application/json, text/event-stream"),
    ("Mcp-Session-Id", "b1946ac9-2f1c-4f0e-9f5e-3a1d5d1c2b7a"),
]
sign("signer: root")
sign("signer: MCP call", "POST", "/gateways/demo-abcdefghij/mcp", headers=mcp, body=call_body)
sign("signer: MCP delete", "DELETE", "/gateways/demo-abcdefghij/mcp", headers=mcp[1:])
sign("signer: path that is encoded already", path="/tags/arn%3Aaws%3As3%3A%3A%3Aa%2Fb%20c%2Bd%C3%A9~_-.")
sign("signer: path with raw reserved characters", path="/a:b/c=d,e;f@g!h$i&j'k(l)m*n+o")
sign("signer: path with an encoded percent sign", path="/a%2525b")
sign("signer: query, space as plus on the wire", params=[("q", "a b"), ("p", "1+2=3")])
sign("signer: query, empty and repeated", params=[("b", ""), ("a", "2"), ("a", "10"), ("", "x"), ("a", "")])
sign("signer: query, name order before pair order", params=[("a-b", "1"), ("a", "1"), ("A", "1"), ("a%b", "1")])
sign("signer: query, unicode", params=[("é", "ü/世"), ("e", "~-_.")])
sign("signer: query in the URL", path="/gateways/?maxResults=10&nextToken=a%2Fb%3D")
sign("signer: query without value", path="/gateways/?list&all=1")
sign("signer: header with inner spaces", headers=[("X-Amz-Meta-Note", "  two   spaces\tand a tab  "), ("X-Plain", "a  b")])
sign("signer: header twice", headers=[("X-Amz-Meta-Tag", "one"), ("X-Amz-Meta-Tag", " two  three ")])
sign("signer: empty header", headers=[("X-Amz-Meta-Empty", "")])
sign("signer: Date instead of X-Amz-Date", headers=[("Date", "now")])
digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
sign("signer: hash of the body in a header", "PUT", "/a", headers=[("X-Amz-Content-SHA256", digest)], body=b"hello")
sign("signer: binary body", "POST", "/a", body=bytes(range(256)))
sign("signer: session token", "POST", "/a", body=b"{}", key=SESSION_KEY)
sign("signer: presigned with query", params={"q": "a b", "p": "1+2"}, form="presigned")
sign("signer: presigned with a header", headers=[("Accept", "text/event-stream")], form="presigned")
sign("signer: body not signed", "POST", "/a", body=b"{}", headers=[("X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD")], refused="unsigned")



# === what the gateway itself signs ===


def send(name, service, method, url, headers=(), body=b"", key=KEY):
    request = AWSRequest(method=method, url=url, data=body)
    for header, value in headers:
        request.headers.add_header(header, value)
    (S3SigV4Auth if service == "s3" else SigV4Auth)(Credentials(*key), service, "eu-west-1").add_auth(request)
    given = {header.lower() for header, _ in headers}
    added = {name.lower(): value for name, value in request.headers.items() if name.lower() not in given}
    outbound.append({
        "name": name,
        "service": service,
        "access_key_id": key[0],
        "method": method,
        "url": url,
        "headers": headers,
        "body": base64.b64encode(body).decode(),
        "added": added,
    })


function = "arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Aclean%3APROD"
invocation = [("x-amz-invocation-type", "RequestResponse"), ("x-amz-client-context", "eyJjdXN0b20iOnt9fQ==")]
lambda_url = f"http://127.0.0.1:4566/2015-03-31/functions/{function}/invocations"
send("lambda", "lambda", "POST", lambda_url, invocation, '{"größe":1}'.encode())
send("lambda, session token", "lambda", "POST", lambda_url, invocation, b"{}", key=SESSION_KEY)
send("s3", "s3", "GET", "http://127.0.0.1:4566/bucket/a%20b/..c//d%2Be%C3%A9~.json")
send("s3, session token", "s3", "GET", "https://bucket.s3.eu-west-1.amazonaws.com/key?versionId=a%2Fb", key=SESSION_KEY)
form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")]
send("sts", "sts", "POST", "https://sts.eu-west-1.amazonaws.com/", form, b"Action=GetCallerIdentity&Version=2011-06-15")

head = {
    "made_with": f"botocore {botocore.__version__}",
    "now": NOW.strftime("%Y%m%dT%H%M%SZ"),
    "region": REGION,
    "keys": [{"id": id, "secret": secret, "token": token} for id, secret, token in (KEY, SESSION_KEY)],
}


def lines(items):
    return ",\n".join("    " + json.dumps(item, ensure_ascii=False) for item in items)


start = json.dumps(head, indent=2, ensure_ascii=False)[:-2]
sys.stdout.write(f'{start},\n  "vectors": [\n{lines(vectors)}\n  ],\n  "outbound": [\n{lines(outbound)}\n  ]\n}}\n')
