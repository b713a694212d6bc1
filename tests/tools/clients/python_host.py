"""What the Python clients' checks stand on: the client's side of a conversation, errors and waiting."""

import asyncio
import contextlib
import json

import anyio

POLL_S = 0.05


class Skip(Exception):
    """The server or the SDK does not offer what the check is about."""


class RpcError(Exception):
    """A JSON-RPC error, whatever the SDK's own class for it."""

    def __init__(self, code, message, data):
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.data = code, message, data


class Watching:
    """The legacy ways to hear of changes, for a session class that subscribes; `ModernWays` has the others."""

    @contextlib.asynccontextmanager
    async def watching(self, uri):
        await self.subscribe(uri)
        yield
        await self.unsubscribe(uri)

    @contextlib.asynccontextmanager
    async def watching_tools(self):
        # Changes of lists come unasked.
        yield


class Host:
    """The client's side of the conversation: answers questions by the check's wish and remembers what arrived."""

    def __init__(self):
        self.answer = lambda params: {"action": "decline"}
        self.asked, self.logs, self.notices = [], [], []
        self.roots = [{"uri": "file:///work/alpha", "name": "alpha"}, {"uri": "file:///work/beta", "name": "beta"}]

    async def elicit(self, params):
        self.asked.append(params)
        answer = self.answer(params)
        return await answer if asyncio.iscoroutine(answer) else answer

    async def sample(self, params):
        self.asked.append(params)
        return {"role": "assistant", "model": "fixture-model", "stopReason": "endTurn", "content": {"type": "text", "text": "sampled: forty-two"}}

    def notice(self, method, params):
        self.notices.append((method, params or {}))

    def saw(self, method, **wanted):
        return any(m == method and all(p.get(k) == v for k, v in wanted.items()) for m, p in self.notices)


# === helpers ===


def text_of(result):
    return "\n".join(c.get("text", "") for c in result.get("content", []) if c.get("type") == "text")


def flat(value):
    return json.dumps(value, sort_keys=True)


def need(condition, detail):
    if not condition:
        raise AssertionError(detail if isinstance(detail, str) else flat(detail)[:600])


async def until(condition, what, limit=10):
    """Waits for a condition, since notifications come in their own time."""
    try:
        with anyio.fail_after(limit):
            while not condition():
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise AssertionError(f"never came: {what}") from None


def fill(params):
    """A valid answer to a requested schema: defaults first, else something of the right type."""
    content = {}
    for name, schema in params.get("requestedSchema", {}).get("properties", {}).items():
        kind = schema.get("type")
        if "default" in schema:
            content[name] = schema["default"]
        elif "enum" in schema:
            content[name] = schema["enum"][0]
        elif "oneOf" in schema:
            content[name] = schema["oneOf"][0]["const"]
        elif kind == "array":
            items = schema.get("items", {})
            first = items["enum"][0] if "enum" in items else items.get("anyOf", [{}])[0].get("const")
            content[name] = [first]
        elif kind in ("integer", "number"):
            content[name] = schema.get("minimum", 1)
        elif kind == "boolean":
            content[name] = True
        else:
            formats = {"email": "ada@example.com", "uri": "https://example.com/", "date": "2026-01-02", "date-time": "2026-01-02T03:04:05Z"}
            content[name] = formats.get(schema.get("format"), "Ada Lovelace"[: schema.get("maxLength", 12)])
    return content
