#!/usr/bin/env python3.11
"""The official Python SDK, 2.x line, as a server over streamable HTTP: `python_v2.py [PORT [NAME]]`. Both eras at one address.

With port 0 (the default) the system chooses one; the name is part of the resource's URI. When it is ready to accept,
the address is printed as one line on stdout.
"""

import sys
from typing import Annotated

from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver import Context, Elicit, MCPServer, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel
from serving import revision, serve

server = MCPServer("sdk-python-v2", instructions="Fixtures of the Python SDK, 2.x.")
STEPS = 3
NAME = sys.argv[2] if len(sys.argv) > 2 else "python-v2"


class Person(BaseModel):
    name: str
    age: int


async def visitor() -> Elicit[Person]:
    """Asked as a request to the client in a session, by `input_required` in the era without: the SDK's choice."""
    return Elicit("Who is there?", Person)


@server.tool()
async def echo(message: str, ctx: Context) -> str:
    """Says the message, and the revision in which it came."""
    return f"{message} in {revision(ctx.headers)}"


@server.tool()
async def progress(ctx: Context) -> str:
    """Reports each of its steps as progress."""
    for step in range(1, STEPS + 1):
        await ctx.report_progress(step, STEPS, f"step {step}")
    return f"{STEPS} steps"


@server.tool()
async def ask(person: Annotated[ElicitationResult[Person], Resolve(visitor)]) -> str:
    """Asks who is there, by a form."""
    if not isinstance(person, AcceptedElicitation):
        return person.action
    return f"{person.data.name} is {person.data.age}"


@server.tool()
async def fail() -> str:
    """Fails, as a result and not as an error of the protocol."""
    raise ToolError("it broke on purpose")


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
