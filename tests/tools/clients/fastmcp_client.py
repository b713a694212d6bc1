#!/usr/bin/env python3.11
"""FastMCP's client, on either era: `fastmcp_client.py URL [--era modern] …`, options in python_checks.py."""

import asyncio
import contextlib
import sys

import httpx2
import mcp_types as types
from fastmcp import Client
from fastmcp.client.elicitation import ElicitResult
from fastmcp.client.transports import StreamableHttpTransport
from mcp import MCPError
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
        await self.inner.ping()

    async def list_tools(self, cursor):
        return await plain(self.inner.list_tools_mcp(cursor=cursor))

    async def list_prompts(self, cursor):
        return await plain(self.inner.list_prompts_mcp(cursor=cursor))

    async def list_resources(self, cursor):
        return await plain(self.inner.list_resources_mcp(cursor=cursor))

    async def list_templates(self, cursor):
        return await plain(self.inner.list_resource_templates_mcp(cursor=cursor))

    async def call(self, name, arguments, progress=None):
        async def on_progress(value, total, message):
            progress(value, total, message)

        return await plain(self.inner.call_tool_mcp(name, arguments, progress_handler=on_progress if progress else None))

    async def call_and_cancel(self, name, arguments):
        call = asyncio.create_task(self.inner.call_tool_mcp(name, arguments))
        # Something answered after it on the same session shows that the call has had the time to arrive.
        await self.inner.ping()
        await asyncio.sleep(0.2)
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError, MCPError):
            await call

    async def set_level(self, level):
        await self.inner.set_logging_level(level)

    async def subscribe(self, uri):
        # FastMCP has no subscription of its own; its inner session is the SDK's.
        await plain(self.inner.session.subscribe_resource(uri))

    async def unsubscribe(self, uri):
        await plain(self.inner.session.unsubscribe_resource(uri))

    async def read(self, uri):
        return await plain(self.inner.read_resource_mcp(uri))

    async def get_prompt(self, name, arguments):
        return await plain(self.inner.get_prompt_mcp(name, arguments))

    async def complete_prompt(self, name, argument, value):
        reference = types.PromptReference(type="ref/prompt", name=name)
        return await plain(self.inner.complete_mcp(reference, {"name": argument, "value": value}))


class ModernSession(ModernWays, Session):
    async def call(self, name, arguments, progress=None):
        async def on_progress(value, total, message):
            progress(value, total, message)

        return await plain(self.inner.call_tool_mcp(name, arguments, progress_handler=on_progress if progress else None, meta=self.meta()))

    async def call_and_cancel(self, name, arguments):
        call = asyncio.create_task(self.inner.call_tool_mcp(name, arguments))
        # Something answered after it shows that the call has had the time to arrive.
        await self.inner.list_prompts_mcp()
        await asyncio.sleep(0.2)
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError, MCPError):
            await call


class Adapter:
    eras = ("legacy", "modern")
    cutter = staticmethod(cutting_transport(httpx2))

    @contextlib.asynccontextmanager
    async def connect(self, url, host, transport=None):
        session_ids = []

        async def sample(messages, params, context):
            return types.CreateMessageResult.model_validate(await host.sample(wire(params)))

        async def elicit(message, response_type, params, context):
            answer = await host.elicit(wire(params))
            return ElicitResult(action=answer["action"], content=answer.get("content"))

        async def log(params):
            host.logs.append(wire(params))

        async def message(incoming):
            if isinstance(incoming, BaseModel):
                host.notice(incoming.method, wire(incoming.params) if incoming.params else {})

        async def keep_session_id(response):
            session_ids.extend(filter(None, [response.headers.get("mcp-session-id")]))

        def factory(**given):
            given.pop("transport", None)
            return httpx2.AsyncClient(**given, transport=transport, trust_env=False, event_hooks={"response": [keep_session_id]})

        client = Client(
            StreamableHttpTransport(url, httpx_client_factory=factory),
            roots=[r["uri"] for r in host.roots],
            sampling_handler=sample,
            elicitation_handler=elicit,
            log_handler=log,
            message_handler=message,
            mode="auto" if self.options.era == "modern" else "legacy",
            init_timeout=python_checks.CHECK_LIMIT_S,
        )
        async with client:
            if self.options.era == "modern":
                yield ModernSession(client, host, lambda: None, python_modern.about(client))
                return
            answer = client.initialize_result
            about = f"{answer.server_info.name} {answer.server_info.version}, {answer.protocol_version}"
            yield Session(client, host, lambda: session_ids[0] if session_ids else None, about)


if __name__ == "__main__":
    sys.exit(python_checks.main(Adapter()))
