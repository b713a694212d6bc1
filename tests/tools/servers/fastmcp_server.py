#!/usr/bin/env python3.11
"""A FastMCP server over streamable HTTP, as a real target: `fastmcp_server.py [PORT]`.

With port 0 (the default) the system chooses one. When it is ready to accept, the address is printed as one line on stdout.
"""

import asyncio
import socket
import sys
from dataclasses import dataclass

from fastmcp import Context, FastMCP

server = FastMCP("fastmcp-target", instructions="A small shop.")


@dataclass
class Order:
    size: int
    gift: bool


@server.tool
async def count(steps: int, ctx: Context) -> str:
    """Counts and reports each step as progress."""
    for step in range(1, min(steps, 100) + 1):
        await ctx.report_progress(step, steps, f"step {step}")
    return f"counted to {steps}"


@server.tool
async def order(ctx: Context) -> dict:
    """Asks the person for an order."""
    answer = await ctx.elicit("What shall it be?", response_type=Order)
    if answer.action != "accept":
        return {"action": answer.action}
    return {"action": "accept", "size": answer.data.size, "gift": answer.data.gift}


@server.tool
async def add(a: int, b: int, ctx: Context) -> int:
    """Adds two numbers, and says so in the log."""
    await ctx.info(f"adding {a} and {b}")
    return a + b


@server.resource("shop://opening-hours")
def opening_hours() -> str:
    """When the shop is open."""
    return "9 to 17"


@server.resource("shop://shelf/{number}")
def shelf(number: str) -> str:
    """What lies on a shelf."""
    return f"shelf {number} is empty"


@server.prompt
def greet(name: str) -> str:
    """A greeting."""
    return f"Greet {name}."


async def main(port):
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    # Listening before the line is printed: whoever reads it can connect at once.
    listener.listen(128)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    await server.run_http_async(host="127.0.0.1", path="/mcp", sockets=[listener], show_banner=False, log_level="warning")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
