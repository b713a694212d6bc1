"""Two small clients, one of each era, that answer questions: what the driver of the suite's client scenarios speaks to the gateway.

Both have `request`, `pages` and `close`, so that a scenario is written once. Made of the standard library: a client that
shares no code with the gateway, since the two would share mistakes.
"""

import base64
import itertools
import json
import re
import threading
import urllib.error
import urllib.request

# The endpoints are on this machine: a proxy from the environment has no part in it.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
MODERN = "2026-07-28"
INFO = {"name": "sessiongate-client-driver", "version": "1.0.0"}
# Everything that a server may ask for, so that no scenario is spared a question.
CAPABILITIES = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}
META = "io.modelcontextprotocol/"
NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
ANSWER_LIMIT = 16 << 20
ROUNDS = 8
PAGES = 100


class ClientError(Exception):
    """No answer, an HTTP error, a JSON-RPC error, or an answer that the era does not know."""


# === answers to what a server asks ===


def sample(schema):
    """A value that fits a schema well enough: its default if it has one."""
    for key in ("default", "const"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("oneOf", "anyOf"):
        if schema.get(key):
            return sample(schema[key][0])
    kind = schema.get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return sample_object(schema, everything=False)
    if kind == "array":
        return [sample(schema.get("items", {}))] * schema.get("minItems", 1)
    return {"integer": schema.get("minimum", 7), "number": schema.get("minimum", 2.5), "boolean": True, "null": None}.get(kind, "driver")


def sample_object(schema, everything=True):
    wanted = set(schema.get("required", []))
    return {n: sample(s) for n, s in schema.get("properties", {}).items() if isinstance(s, dict) and (everything or n in wanted)}


def answer(question):
    """The result for one question; forms are accepted with their defaults."""
    method, params = question["method"], question.get("params") or {}
    if method == "elicitation/create":
        if params.get("mode") == "url":
            return {"action": "accept"}
        return {"action": "accept", "content": sample_object(params.get("requestedSchema", {}))}
    if method == "sampling/createMessage":
        return {"role": "assistant", "content": {"type": "text", "text": "driver"}, "model": "driver", "stopReason": "endTurn"}
    if method == "roots/list":
        return {"roots": [{"uri": "file:///driver", "name": "driver"}]}
    if method == "ping":
        return {}
    raise ClientError(f"asked for {method}, which no client was told of")


# === what the eras share ===


def events(response):
    """The messages of an event stream; comments and events without data are passed over."""
    data, read = [], 0
    for line in response:
        read += len(line)
        if read > ANSWER_LIMIT:
            raise ClientError("the answer is too long")
        text = line.decode().rstrip("\r\n")
        if text.startswith("data:"):
            data.append(text[5:].removeprefix(" "))
        elif not text and data:
            event, data = "\n".join(data), []
            if event.strip():
                yield json.loads(event)


class Client:
    def __init__(self, url, timeout, before_answer=None):
        self.url, self.timeout = url, timeout
        # Called with each question before it is answered; what it does happens in the middle of the call.
        self.before_answer = before_answer or (lambda question: None)
        self.ids = itertools.count(1)
        self.headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}

    def answered(self, question):
        self.before_answer(question)
        return answer(question)

    def exchange(self, message, headers, each):
        """Posts one message; returns the response to its id, giving everything else that comes before it to `each`."""
        label = message.get("method", "response")
        request = urllib.request.Request(self.url, data=json.dumps(message).encode(), headers={**self.headers, **headers}, method="POST")
        try:
            with OPENER.open(request, timeout=self.timeout) as response:
                self.opened(response)
                if "method" not in message or "id" not in message:
                    return None
                streamed = "text/event-stream" in response.headers.get("Content-Type", "")
                for found in events(response) if streamed else [json.loads(response.read(ANSWER_LIMIT))]:
                    if "method" in found:
                        each(found)
                    elif found.get("id") == message["id"]:
                        return found
        except urllib.error.HTTPError as error:
            with error:
                raise ClientError(f"{label}: HTTP {error.code} {error.read(600).decode(errors='replace')}") from error
        except (OSError, ValueError) as error:
            raise ClientError(f"{label}: {error}") from error
        raise ClientError(f"{label}: the answer never came")

    def opened(self, response):
        pass

    @staticmethod
    def result(label, response):
        if "result" not in response:
            raise ClientError(f"{label}: {json.dumps(response.get('error', response))[:600]}")
        return response["result"]

    def pages(self, method, member):
        """All items of a list, over all pages."""
        found, cursor = [], None
        for _ in range(PAGES):
            page = self.request(method, {"cursor": cursor} if cursor else {})
            found += page[member]
            cursor = page.get("nextCursor")
            if not cursor:
                return found
        raise ClientError(f"{method}: more than {PAGES} pages")

    def close(self):
        pass


# === the era of sessions ===


class Legacy(Client):
    """As the SDKs do, it reads the stream that belongs to no call as well: some servers ask there, even about a call."""

    def __init__(self, url, timeout, before_answer=None, revision="2025-11-25"):
        super().__init__(url, timeout, before_answer)
        capabilities = CAPABILITIES if revision >= "2025-11-25" else {**CAPABILITIES, "elicitation": {}}
        about = self.request("initialize", {"protocolVersion": revision, "capabilities": capabilities, "clientInfo": INFO})
        self.offers = about["capabilities"]
        self.headers["MCP-Protocol-Version"] = about["protocolVersion"]
        self.exchange({"jsonrpc": "2.0", "method": "notifications/initialized"}, {}, self.incoming)
        self.listening, self.trouble = threading.Event(), None
        # A daemon: the stream ends with the gateway.
        threading.Thread(target=self.listen, daemon=True).start()
        if not self.listening.wait(timeout) or self.trouble:
            raise ClientError(f"the stream outside calls: {self.trouble or 'no answer'}")

    def opened(self, response):
        if "Mcp-Session-Id" in response.headers:
            self.headers["Mcp-Session-Id"] = response.headers["Mcp-Session-Id"]

    def listen(self):
        headers = {name: value for name, value in self.headers.items() if name != "Content-Type"}
        try:
            with OPENER.open(urllib.request.Request(self.url, headers=headers | {"Accept": "text/event-stream"}), timeout=self.timeout) as response:
                self.listening.set()
                for message in events(response):
                    if "method" in message:
                        self.incoming(message)
        except (OSError, ValueError, ClientError) as error:
            self.trouble = error
            self.listening.set()

    def incoming(self, message):
        if "id" in message:
            self.exchange({"jsonrpc": "2.0", "id": message["id"], "result": self.answered(message)}, {}, self.incoming)

    def request(self, method, params=None, _tool=None):
        message = {"jsonrpc": "2.0", "id": next(self.ids), "method": method, "params": params or {}}
        return self.result(method, self.exchange(message, {}, self.incoming))

    def close(self):
        if isinstance(self.trouble, ClientError):
            raise self.trouble
        try:
            OPENER.open(urllib.request.Request(self.url, headers=self.headers, method="DELETE"), timeout=self.timeout).close()
        except OSError:
            pass  # the gateway ends anyway


# === the era of requests that stand alone ===


def header_value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if re.fullmatch(r"[\x20-\x7e]*", text) and text == text.strip() and not re.fullmatch(r"=\?base64\?.*\?=", text):
        return text
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


def parameter_headers(schema, arguments):
    """The `Mcp-Param-*` headers of a call, by the `x-mcp-header` marks of the tool's schema."""
    found = {}
    for name, part in (schema.get("properties") or {}).items():
        value = arguments.get(name) if isinstance(arguments, dict) else None
        if value is None or not isinstance(part, dict):
            continue
        if isinstance(value, dict):
            found |= parameter_headers(part, value)
        elif "x-mcp-header" in part:
            found[f"Mcp-Param-{part['x-mcp-header']}"] = header_value(value)
    return found


class Modern(Client):
    def __init__(self, url, timeout, before_answer=None, revision=MODERN):
        super().__init__(url, timeout, before_answer)
        self.headers["MCP-Protocol-Version"] = revision
        self.meta = {f"{META}protocolVersion": revision, f"{META}clientInfo": INFO, f"{META}clientCapabilities": CAPABILITIES}
        self.offers = self.request("server/discover")["capabilities"]

    def incoming(self, message):
        if "id" in message:
            raise ClientError(f"{message['method']} as a request: this revision has none from servers")

    def request(self, method, params=None, tool=None):
        params, extra = params or {}, {}
        headers = {"Mcp-Method": method}
        if method in NAMED:
            headers["Mcp-Name"] = header_value(params[NAMED[method]])
        if tool:
            headers |= parameter_headers(tool["inputSchema"], params.get("arguments", {}))
        for _ in range(ROUNDS):
            message = {"jsonrpc": "2.0", "id": next(self.ids), "method": method, "params": {**params, **extra, "_meta": self.meta}}
            result = self.result(method, self.exchange(message, headers, self.incoming))
            kind = result.get("resultType")
            if kind == "complete":
                return result
            if kind != "input_required":
                raise ClientError(f"{method}: resultType {kind!r}")
            extra = {"inputResponses": {key: self.answered(q) for key, q in result.get("inputRequests", {}).items()}}
            if "requestState" in result:
                extra["requestState"] = result["requestState"]
        raise ClientError(f"{method}: still asking after {ROUNDS} rounds")


def connect(era, url, timeout, before_answer, revision):
    """A client of the era; `revision` is that of the scenario, and counts where it belongs to the era."""
    if era == "modern":
        return Modern(url, timeout, before_answer)
    return Legacy(url, timeout, before_answer, revision if revision < MODERN else "2025-11-25")
