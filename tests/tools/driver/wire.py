"""A very small MCP client over streamable HTTP, made of the standard library: enough to list and call."""

import json
import urllib.error
import urllib.request

# The endpoints are on this machine: a proxy from the environment has no part in it.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
REVISION = "2025-11-25"
ANSWER_LIMIT = 16 << 20


class WireError(Exception):
    """No answer, an HTTP error, or a JSON-RPC error."""


class Session:
    def __init__(self, url, timeout=60):
        self.url, self.timeout, self.next_id = url, timeout, 0
        self.headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}

    def __enter__(self):
        info = {"name": "sessiongate-driver", "version": "1.0.0"}
        self.about = self.request("initialize", {"protocolVersion": REVISION, "capabilities": {}, "clientInfo": info})
        self.headers["MCP-Protocol-Version"] = self.about["protocolVersion"]
        self.post({"jsonrpc": "2.0", "method": "notifications/initialized"}, None)
        return self

    def __exit__(self, *_):
        try:
            OPENER.open(urllib.request.Request(self.url, headers=self.headers, method="DELETE"), timeout=self.timeout).close()
        except (OSError, urllib.error.URLError):
            pass

    def request(self, method, params=None):
        self.next_id += 1
        message = {"jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params or {}}
        answer = self.post(message, self.next_id)
        if answer is None:
            raise WireError(f"{method}: the answer never came")
        if "error" in answer:
            raise WireError(f"{method}: {json.dumps(answer['error'])[:500]}")
        return answer["result"]

    def post(self, message, wanted):
        request = urllib.request.Request(self.url, data=json.dumps(message).encode(), headers=self.headers, method="POST")
        try:
            with OPENER.open(request, timeout=self.timeout) as response:
                if "Mcp-Session-Id" in response.headers:
                    self.headers["Mcp-Session-Id"] = response.headers["Mcp-Session-Id"]
                if wanted is None:
                    return None
                if "text/event-stream" not in response.headers.get("Content-Type", ""):
                    return json.loads(response.read(ANSWER_LIMIT))
                return self.from_events(response, wanted)
        except urllib.error.HTTPError as error:
            with error:
                raise WireError(f"{message['method']}: HTTP {error.code} {error.read(500)!r}") from error
        except (OSError, ValueError) as error:
            raise WireError(f"{message['method']}: {error}") from error

    @staticmethod
    def from_events(response, wanted):
        data = []
        for line in response:
            text = line.decode().rstrip("\r\n")
            if text.startswith("data:"):
                data.append(text[5:].removeprefix(" "))
            elif not text and data:
                event, data = "\n".join(data), []
                if event and (message := json.loads(event)).get("id") == wanted and "method" not in message:
                    return message
        return None

    def tools(self):
        """All tools, over all pages."""
        found, cursor = [], None
        while True:
            page = self.request("tools/list", {"cursor": cursor} if cursor else {})
            found += page["tools"]
            cursor = page.get("nextCursor")
            if not cursor:
                return found

    def call(self, name, arguments):
        result = self.request("tools/call", {"name": name, "arguments": arguments})
        if result.get("isError"):
            raise WireError(f"{name}: {json.dumps(result)[:500]}")
        return result
