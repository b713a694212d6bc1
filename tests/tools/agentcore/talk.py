"""Calls tools through a gateway with the official Python SDK, and looks at what came over the wire."""

import asyncio
import contextlib
import json

import anyio
import httpx
import life  # noqa: F401
import python_v1
from python_host import Host, fill, need

LIMIT_S = 30
EVENTS, JSON = "text/event-stream", "application/json"


class Carrier(httpx.AsyncHTTPTransport):
    """Puts a token or a signature on each request, and remembers what answered."""

    def __init__(self, token=None, sign=None):
        super().__init__()
        self.token, self.sign, self.answers = token, sign, []

    async def handle_async_request(self, request):
        if self.token:
            request.headers["authorization"] = f"Bearer {self.token}"
        if self.sign:
            self.sign(request)
        response = await super().handle_async_request(request)
        if request.method == "POST":
            kind = response.headers.get("content-type", "").partition(";")[0]
            self.answers.append((json.loads(request.content).get("method"), response.status_code, kind))
        return response

    def kind_of(self, method):
        """The content type that answered the last request of this method."""
        return [kind for asked, _, kind in self.answers if asked == method][-1]


class Talk:
    """One MCP session."""

    def __init__(self, session, host, carrier):
        self.session, self.host, self.carrier = session, host, carrier

    async def tools(self):
        names, cursor = [], None
        while True:
            page = await self.session.list_tools(cursor)
            names += [tool["name"] for tool in page["tools"]]
            cursor = page.get("nextCursor")
            if not cursor:
                return names

    async def echo(self, tool):
        """A call whose arguments come back."""
        result = await self.session.call(tool, {"text": "ferry"})
        need(result.get("structuredContent") == {"text": "ferry"}, result)

    async def progress(self, tool, streaming=True):
        """A call that tells how far it is, while it runs, if the gateway streams."""
        seen = []
        result = await self.session.call(tool, {"steps": 3, "delay_ms": 10}, lambda value, *_: seen.append(value))
        need(result.get("structuredContent") == {"steps": 3}, result)
        kind = self.carrier.kind_of("tools/call")
        need((seen, kind) == (([1, 2, 3], EVENTS) if streaming else ([], JSON)), f"{seen} as {kind}")

    async def elicitation(self, tool):
        """A call that asks the person a question."""
        self.host.answer = lambda params: {"action": "accept", "content": fill(params)}
        before = len(self.host.asked)
        result = await self.session.call(tool, {})
        need(len(self.host.asked) == before + 1, self.host.asked)
        need(result.get("structuredContent", {}).get("action") == "accept", result)


@contextlib.asynccontextmanager
async def session(url, token=None, sign=None):
    """A session with the gateway at this URL."""
    host, carrier = Host(), Carrier(token, sign)
    with anyio.fail_after(LIMIT_S):
        async with python_v1.Adapter().connect(url, host, carrier) as inner:
            yield Talk(inner, host, carrier)


def run(body, url, token=None, sign=None):
    """`body(talk)` in a session of its own."""

    async def whole():
        async with session(url, token, sign) as talk:
            return await body(talk)

    return asyncio.run(whole())


def tools(url, token=None):
    return run(lambda talk: talk.tools(), url, token)


def knock(url, token=None, method="POST", sign=None, session_id=None):
    """Status, headers and body of one bare request, whatever they are."""
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    with httpx.Client(trust_env=False, timeout=LIMIT_S) as client:
        request = client.build_request(method, url, json=message if method == "POST" else None, headers={"accept": f"{JSON}, {EVENTS}"})
        if token:
            request.headers["authorization"] = f"Bearer {token}"
        if session_id:
            request.headers["mcp-session-id"] = session_id
        if sign:
            sign(request)
        answer = client.send(request)
    return answer.status_code, answer.headers, answer.content
