"""What the Python servers share: a listening socket that is printed when it accepts, and fixtures as they are on the wire."""

import contextlib
import json
import pathlib
import socket

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

# The revision before requests said theirs.
UNSAID = "2025-03-26"
INVALID_PARAMS, RESOURCE_NOT_FOUND = -32602, -32002
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
FIXTURES = json.loads((pathlib.Path(__file__).parent / "fixtures.json").read_text())


def revision(headers):
    """The revision that the request names; what it was served as, whatever the session was opened with."""
    return (headers or {}).get("mcp-protocol-version", UNSAID)


def serve(app, port):
    """Serves an ASGI application until the process is ended; with port 0 the system chooses one."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    # Listening before the line is printed: whoever reads it can connect at once.
    listener.listen(128)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    # Open streams would hold the end up.
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


class Endpoint:
    """An ASGI endpoint of its own: a function would be taken for one that returns a response."""

    def __init__(self, handle):
        self.handle = handle

    async def __call__(self, scope, receive, send):
        await self.handle(scope, receive, send)


def application(manager, touch):
    """The SDK's session manager at /mcp, and `touch(uri)` beside it, for changes that belong to nobody's call."""

    @contextlib.asynccontextmanager
    async def lifespan(_):
        async with manager.run():
            yield

    async def control(request):
        return JSONResponse({"told": await touch((await request.body()).decode())})

    routes = [Route("/mcp", endpoint=Endpoint(manager.handle_request)), Route("/control/touch", control, methods=["POST"])]
    return Starlette(routes=routes, lifespan=lifespan)


# === fixtures ===


def text(words):
    return {"content": [{"type": "text", "text": words}]}


def structured(value):
    return text(json.dumps(value)) | {"structuredContent": value}


def tools(toggled):
    """All of them, in a fixed order."""
    many = [{"name": f"page_{i:03}", "description": "One of many", "inputSchema": {"type": "object"}} for i in range(FIXTURES["manyTools"])]
    return FIXTURES["tools"] + ([FIXTURES["toggled"]] if toggled else []) + many


def page(items, cursor):
    """One page of `tools/list`; None for a cursor that no page gave."""
    position = (cursor or "tools:0").removeprefix("tools:")
    if not position.isdecimal() or int(position) >= len(items):
        return None
    end = int(position) + FIXTURES["pageSize"]
    return {"tools": items[int(position) : end]} | ({"nextCursor": f"tools:{end}"} if end < len(items) else {})


def contents(uri):
    """What `resources/read` answers; None for an unknown one."""
    if uri in [r["uri"] for r in FIXTURES["resources"]]:
        return {"contents": [{"uri": uri, "mimeType": "text/plain", "text": "This is the content of the static text resource."}]}
    name = uri.removeprefix("test://template/").removesuffix("/data")
    if name and uri == f"test://template/{name}/data":
        return {"contents": [{"uri": uri, "mimeType": "application/json", "text": json.dumps({"id": name})}]}
    return None


def prompt(name, arguments):
    """What `prompts/get` answers; None for an unknown one."""
    if name not in [p["name"] for p in FIXTURES["prompts"]]:
        return None
    said = ", ".join(f"{key}='{value}'" for key, value in (arguments or {}).items()) or "nothing"
    return {"messages": [{"role": "user", "content": {"type": "text", "text": f"Prompt with {said}"}}]}
