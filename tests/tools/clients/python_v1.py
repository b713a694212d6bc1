#!/usr/bin/env python3.11
"""The official Python SDK, 1.x line, as a client: `python_v1.py URL …`, options in python_checks.py.

Run with the last release of 2025-06-18 it is a client of that revision, with those after it one of 2025-11-25.
"""

import asyncio
import contextlib
import sys

import anyio
import httpx
from mcp import ClientSession, McpError, types
from mcp.client import streamable_http
from pydantic import AnyUrl

import python_checks
from python_cut import cutting_transport
from python_host import Watching


def wire(model):
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)


async def plain(awaitable):
    """The SDK's error as ours, its result as wire-shaped JSON."""
    try:
        return wire(await awaitable)
    except McpError as error:
        raise python_checks.RpcError(error.error.code, error.error.message, error.error.data) from error


def streams(url, client):
    """The transport on an HTTP client of ours; the older release takes one that makes it."""
    if hasattr(streamable_http, "streamable_http_client"):
        return streamable_http.streamable_http_client(url, http_client=client)

    def made(headers=None, **_):
        client.headers.update(headers or {})
        return client

    return streamable_http.streamablehttp_client(url, httpx_client_factory=made)


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
        # This line does not send notifications/cancelled when its task ends: by hand, with the id the call got.
        started = asyncio.Event()

        async def on_progress(*_):
            started.set()

        request_id = self.inner._request_id
        call = asyncio.create_task(self.inner.call_tool(name, arguments, progress_callback=on_progress))
        with contextlib.suppress(TimeoutError):
            with anyio.fail_after(1):
                await started.wait()
        params = types.CancelledNotificationParams(requestId=request_id, reason="the test changed its mind")
        await self.inner.send_notification(types.ClientNotification(types.CancelledNotification(params=params)))
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError, McpError):
            await call

    async def set_level(self, level):
        await plain(self.inner.set_logging_level(level))

    async def subscribe(self, uri):
        await plain(self.inner.subscribe_resource(AnyUrl(uri)))

    async def unsubscribe(self, uri):
        await plain(self.inner.unsubscribe_resource(AnyUrl(uri)))

    async def read(self, uri):
        return await plain(self.inner.read_resource(AnyUrl(uri)))

    async def get_prompt(self, name, arguments):
        return await plain(self.inner.get_prompt(name, arguments))

    async def complete_prompt(self, name, argument, value):
        reference = types.PromptReference(type="ref/prompt", name=name)
        return await plain(self.inner.complete(reference, {"name": argument, "value": value}))


class Adapter:
    eras = ("legacy",)
    cutter = staticmethod(cutting_transport(httpx))

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
            root = getattr(incoming, "root", incoming)
            if isinstance(root, types.Notification):
                host.notice(root.method, wire(root.params) if root.params else {})

        client = httpx.AsyncClient(auth=auth, transport=transport, timeout=httpx.Timeout(30, read=120), trust_env=False)
        # The older release enters the client itself, which works once only.
        own = contextlib.AsyncExitStack() if not hasattr(streamable_http, "streamable_http_client") else client
        async with own, streams(url, client) as (read, write, session_id):
            async with ClientSession(
                read,
                write,
                sampling_callback=sample,
                elicitation_callback=elicit,
                list_roots_callback=roots,
                logging_callback=log,
                message_handler=message,
            ) as inner:
                with anyio.fail_after(python_checks.CHECK_LIMIT_S):
                    answer = await inner.initialize()
                # Every server has it: the revision is what this release asks for.
                if answer.protocolVersion != types.LATEST_PROTOCOL_VERSION:
                    raise RuntimeError(f"asked for {types.LATEST_PROTOCOL_VERSION}, got {answer.protocolVersion}")
                about = f"{answer.serverInfo.name} {answer.serverInfo.version}, {answer.protocolVersion}"
                yield Session(inner, host, session_id, about)


if __name__ == "__main__":
    sys.exit(python_checks.main(Adapter()))
