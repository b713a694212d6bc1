#!/usr/bin/env python3.11
"""The official Python SDK, 2.x line, as a client of either era: `python_v2.py URL [--era modern] …`, options in python_checks.py."""

import asyncio
import contextlib
import sys

import anyio
import httpx2
from mcp import Client, ClientSession, MCPError, types
from mcp.client.streamable_http import streamable_http_client
from pydantic import BaseModel

import python_checks
import python_modern
from python_cut import cutting_transport
from python_host import Watching
from python_modern import ModernWays


def wire(model):
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)


async def plain(awaitable):
    """The SDK's error as ours, its result as wire-shaped JSON."""
    try:
        return wire(await awaitable)
    except MCPError as error:
        raise python_checks.RpcError(error.error.code, error.error.message, error.error.data) from error


class Session(Watching):
    def __init__(self, inner, host, session_id, about):
        self.inner, self.host, self.session_id, self.about = inner, host, session_id, about

    async def ping(self):
        await self.inner.send_ping()

    def page(self, cursor):
        return types.PaginatedRequestParams(cursor=cursor) if cursor else None

    async def list_tools(self, cursor):
        return await plain(self.inner.list_tools(params=self.page(cursor)))

    async def list_prompts(self, cursor):
        return await plain(self.inner.list_prompts(params=self.page(cursor)))

    async def list_resources(self, cursor):
        return await plain(self.inner.list_resources(params=self.page(cursor)))

    async def list_templates(self, cursor):
        return await plain(self.inner.list_resource_templates(params=self.page(cursor)))

    async def call(self, name, arguments, progress=None):
        async def on_progress(value, total, message):
            progress(value, total, message)

        return await plain(self.inner.call_tool(name, arguments, progress_callback=on_progress if progress else None))

    async def call_and_cancel(self, name, arguments):
        # This line sends notifications/cancelled itself when the task that waits is cancelled.
        started = asyncio.Event()

        async def on_progress(*_):
            started.set()

        call = asyncio.create_task(self.inner.call_tool(name, arguments, progress_callback=on_progress))
        with contextlib.suppress(TimeoutError):
            with anyio.fail_after(1):
                await started.wait()
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError, MCPError):
            await call

    async def set_level(self, level):
        await plain(self.inner.set_logging_level(level))

    async def subscribe(self, uri):
        await plain(self.inner.subscribe_resource(uri))

    async def unsubscribe(self, uri):
        await plain(self.inner.unsubscribe_resource(uri))

    async def read(self, uri):
        return await plain(self.inner.read_resource(uri))

    async def get_prompt(self, name, arguments):
        return await plain(self.inner.get_prompt(name, arguments))

    async def complete_prompt(self, name, argument, value):
        reference = types.PromptReference(type="ref/prompt", name=name)
        return await plain(self.inner.complete(reference, {"name": argument, "value": value}))


class ModernSession(ModernWays, Session):
    """The SDK's `Client`, which answers `input_required` itself."""

    async def list_tools(self, cursor):
        return await plain(self.inner.list_tools(cursor=cursor))

    async def list_prompts(self, cursor):
        return await plain(self.inner.list_prompts(cursor=cursor))

    async def list_resources(self, cursor):
        return await plain(self.inner.list_resources(cursor=cursor))

    async def list_templates(self, cursor):
        return await plain(self.inner.list_resource_templates(cursor=cursor))

    async def call(self, name, arguments, progress=None):
        async def on_progress(value, total, message):
            progress(value, total, message)

        return await plain(self.inner.call_tool(name, arguments, progress_callback=on_progress if progress else None, meta=self.meta()))


class Adapter:
    eras = ("legacy", "modern")
    cutter = staticmethod(cutting_transport(httpx2))

    @contextlib.asynccontextmanager
    async def connect(self, url, host, transport=None, auth=None):
        async def sample(_, params):
            return types.CreateMessageResult.model_validate(await host.sample(wire(params)))

        async def elicit(_, params):
            return types.ElicitResult.model_validate(await host.elicit(wire(params)))

        async def roots(_):
            return types.ListRootsResult.model_validate({"roots": host.roots})

        async def log(params):
            host.logs.append(wire(params))

        async def message(incoming):
            if isinstance(incoming, BaseModel):
                host.notice(incoming.method, wire(incoming.params) if incoming.params else {})

        session_ids = []

        async def keep_session_id(response):
            session_ids.extend(filter(None, [response.headers.get("mcp-session-id")]))

        client = httpx2.AsyncClient(auth=auth, transport=transport, timeout=httpx2.Timeout(30, read=120), trust_env=False, event_hooks={"response": [keep_session_id]})
        callbacks = {
            "sampling_callback": sample,
            "elicitation_callback": elicit,
            "list_roots_callback": roots,
            "logging_callback": log,
            "message_handler": message,
        }
        if self.options.era == "modern":
            # Cached lists would hide what the far end says.
            modern = Client(streamable_http_client(url, http_client=client), **callbacks, cache=None, mode="auto")
            async with client, modern:
                yield ModernSession(modern, host, lambda: None, python_modern.about(modern))
            return
        async with client, streamable_http_client(url, http_client=client) as (read, write), ClientSession(read, write, **callbacks) as inner:
            with anyio.fail_after(python_checks.CHECK_LIMIT_S):
                answer = await inner.initialize()
            about = f"{answer.server_info.name} {answer.server_info.version}, {answer.protocol_version}"
            yield Session(inner, host, lambda: session_ids[0] if session_ids else None, about)


if __name__ == "__main__":
    sys.exit(python_checks.main(Adapter()))
