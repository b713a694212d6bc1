#!/usr/bin/env python3.11
"""The official Python SDK, 1.x line, as a server over streamable HTTP: `python_v1.py [PORT [NAME]]`. Legacy revisions only:
the last release of 2025-06-18 runs it as well as those after it.

With port 0 (the default) the system chooses one; the name is part of the resource's URI. When it is ready to accept,
the address is printed as one line on stdout.
"""

import sys

from mcp.server.fastmcp import Context, FastMCP
from pydantic import BaseModel
from serving import revision, serve

server = FastMCP("sdk-python-v1", instructions="Fixtures of the Python SDK, 1.x.")
STEPS = 3
NAME = sys.argv[2] if len(sys.argv) > 2 else "python-v1"


class Person(BaseModel):
    name: str
    age: int


@server.tool()
async def echo(message: str, ctx: Context) -> str:
    """Says the message, and the revision in which it came."""
    return f"{message} in {revision(ctx.request_context.request.headers)}"


@server.tool()
async def progress(ctx: Context) -> str:
    """Reports each of its steps as progress."""
    token = ctx.request_context.meta and ctx.request_context.meta.progressToken
    for step in range(1, STEPS + 1):
        # `ctx.report_progress` of 1.22 does not say which call it is about: it would go to the session's standing stream, where it
        # may come after the answer, or to nobody.
        await ctx.session.send_progress_notification(token or 0, step, STEPS, f"step {step}", related_request_id=ctx.request_id)
    return f"{STEPS} steps"


@server.tool()
async def ask(ctx: Context) -> str:
    """Asks who is there, by a form in the middle of the call."""
    answer = await ctx.elicit("Who is there?", schema=Person)
    if answer.action != "accept":
        return answer.action
    return f"{answer.data.name} is {answer.data.age}"


@server.tool()
async def fail() -> str:
    """Fails, as a result and not as an error of the protocol."""
    raise ValueError("it broke on purpose")


@server.prompt()
def greet(name: str) -> str:
    """A greeting."""
    return f"Greet {name}."


@server.resource(f"fixture://{NAME}/note", mime_type="text/plain")
def note() -> str:
    """A note."""
    return f"a note of {NAME}"


if __name__ == "__main__":
    serve(server.streamable_http_app(), int(sys.argv[1]) if len(sys.argv) > 1 else 0)
