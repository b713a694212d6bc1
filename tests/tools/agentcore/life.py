"""What the clients of the control plane have in common: checks in a row, waiting, refusals."""

import json
import pathlib
import sys
import time
import traceback
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "clients"))

from python_host import need  # noqa: E402

POLL_S = 0.1
SETTLED_LIMIT_S = 30
CHANGING = ("CREATING", "UPDATING", "DELETING", "SYNCHRONIZING")
ACCOUNT, REGION = "123456789012", "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/gateway"
NO_GATEWAY = "there-is-none-0123456789"
# Kinds of targets that the service model has and this gateway has not yet.
LATER_KINDS = {
    "lambda": {
        "mcp": {
            "lambda": {
                "lambdaArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:weather",
                "toolSchema": {"inlinePayload": [{"name": "now", "description": "Now", "inputSchema": {"type": "object"}}]},
            }
        }
    },
    "openApiSchema": {"mcp": {"openApiSchema": {"inlinePayload": '{"openapi": "3.1.0"}'}}},
    "smithyModel": {"mcp": {"smithyModel": {"inlinePayload": '{"smithy": "2.0"}'}}},
    "apiGateway": {
        "mcp": {
            "apiGateway": {
                "restApiId": "abcdefghij",
                "stage": "prod",
                "apiGatewayToolConfiguration": {"toolFilters": [{"filterPath": "/pets", "methods": ["GET"]}]},
            }
        }
    },
    "connector": {
        "mcp": {"connector": {"source": {"connectorId": "web-search"}, "enabled": ["WebSearch"], "configurations": [{"name": "WebSearch"}]}}
    },
}


class Life:
    """One client's whole gateway life: the methods `check_…`, in the order in which they stand in the class, a base's first.

    Each prints one JSON line; one that fails lets the others run, as what it left out shows there too.
    """

    def run(self):
        failed = 0
        checks = [pair for part in type(self).__mro__[::-1] for pair in vars(part).items() if pair[0].startswith("check_")]
        for name, check in checks:
            started = time.monotonic()
            try:
                ok, detail = True, check(self)
            except Exception as error:
                traceback.print_exc()
                while isinstance(error, ExceptionGroup):
                    error = error.exceptions[0]
                ok, detail = False, f"{type(error).__name__}: {error}"
            failed += not ok
            took = round(time.monotonic() - started, 2)
            name = name.removeprefix("check_").replace("_", "-")
            print(json.dumps({"check": name, "ok": ok, "detail": detail, "seconds": took}), flush=True)
        return 1 if failed else 0


# === helpers ===


def token():
    """A `clientToken`: the model wants 33 characters at least."""
    return str(uuid.uuid4())


def refused(error, *words):
    """A context that wants this exception, with all these words in its message; its `value` is the exception."""
    return Refused(error, words)


class Refused:
    value = None

    def __init__(self, error, words):
        self.error, self.words = error, words

    def __enter__(self):
        return self

    def __exit__(self, kind, value, _):
        need(kind is not None, f"nothing was raised, wanted {self.error}")
        if not issubclass(kind, self.error):
            return False
        missing = [word for word in self.words if word not in str(value)]
        need(not missing, f"{missing} not in: {value}")
        self.value = value
        return True


def code_of(error):
    """Name and HTTP status of an error, as botocore read them."""
    return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]


def settled(get, wanted="READY", **which):
    """Waits until nothing is under way, and wants this status; the object."""
    end = time.monotonic() + SETTLED_LIMIT_S
    while True:
        found = get(**which)
        if found["status"] not in CHANGING:
            need(found["status"] == wanted, f"wanted {wanted}: {found['status']} {found.get('statusReasons')}")
            return found
        need(time.monotonic() < end, f"{which} is {found['status']} for {SETTLED_LIMIT_S} s")
        time.sleep(POLL_S)


def gone(get, error, **which):
    """Waits until an object is not found any more."""
    end = time.monotonic() + SETTLED_LIMIT_S
    while True:
        try:
            found = get(**which)
        except error:
            return
        need(found["status"] == "DELETING", f"wanted DELETING: {found['status']}")
        need(time.monotonic() < end, f"{which} is DELETING for {SETTLED_LIMIT_S} s")
        time.sleep(POLL_S)


def same_members(sent, got):
    """Every member that was sent came back as it was."""
    different = {name: got.get(name) for name, value in sent.items() if got.get(name) != value}
    need(not different, f"came back otherwise: {different}")


def mcp_server(endpoint, **more):
    """`targetConfiguration` of an MCP server."""
    return {"mcp": {"mcpServer": {"endpoint": endpoint, **more}}}


def protocol(sessions=True, streaming=True, **more):
    """`protocolConfiguration`: elicitation needs both."""
    mcp = dict(more)
    if sessions:
        mcp["sessionConfiguration"] = {"sessionTimeoutInSeconds": 900}
    if streaming:
        mcp["streamingConfiguration"] = {"enableResponseStreaming": True}
    return {"mcp": mcp}
