#!/usr/bin/env python3.11
"""All fixtures of the matrix on the official Python SDK, 1.x line, low level: `all_python_v1.py [PORT]`.

The same file serves the last release of 2025-06-18 and those of 2025-11-25: what came with the latter is offered where the
SDK has it. The address is printed as one line on stdout when it is ready to accept.
"""

import asyncio
import contextlib
import sys
import uuid
import weakref

import anyio
from mcp import McpError, types
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.streamable_http import EventMessage, EventStore
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from pydantic import AnyUrl
from serving import FIXTURES, INVALID_PARAMS, LEVELS, RESOURCE_NOT_FOUND, application, contents, page, prompt, serve, structured, text, tools

HAS_URLS = hasattr(types, "ElicitRequestURLParams")
HAS_TASKS = hasattr(types, "CreateTaskResult")
# What came with 2025-11-25 is not offered by a release before it.
LACKS = (set() if HAS_URLS else {"sg_elicit_url", "sg_url_required", "test_reconnection"}) | (set() if HAS_TASKS else {"sg_task"})


class Events(EventStore):
    """The events of all streams, for as long as the process lives."""

    def __init__(self):
        self.events = []

    async def store_event(self, stream_id, message):
        self.events.append((stream_id, message))
        return str(len(self.events) - 1)

    async def replay_events_after(self, last_event_id, send_callback):
        stream = self.events[int(last_event_id)][0]
        for number in range(int(last_event_id) + 1, len(self.events)):
            stored, message = self.events[number]
            if stored == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


class Fixtures(Server):
    """The SDK's server, with what it says at `initialize` completed: it has no word for subscriptions."""

    def create_initialization_options(self, *_):
        options = super().create_initialization_options(NotificationOptions(tools_changed=True))
        options.capabilities.resources.subscribe = True
        return options


server = Fixtures("sdk-all-python-v1", instructions="All fixtures on the Python SDK, 1.x.")
# By session: how many calls were counted, the level, and what it subscribed to.
sessions = weakref.WeakKeyDictionary()
shared = {"toggled": False, "cancelled": 0}
visited = set()


def mine():
    return sessions.setdefault(server.request_context.session, {"count": 0, "level": "debug", "uris": set()})


def refuse(code, message, data=None):
    raise McpError(types.ErrorData(code=code, message=message, data=data))


def handles(request_type, result_type):
    """Registers a handler that takes the params and returns the result as it is on the wire."""

    def register(handler):
        async def handle(request):
            mine()
            result = await handler(request.params)
            return types.ServerResult(result if isinstance(result, types.BaseModel) else result_type.model_validate(result))

        server.request_handlers[request_type] = handle
        return handler

    return register


# === lists and what is read ===


def listed():
    return [t for t in tools(shared["toggled"]) if t["name"] not in LACKS]


@handles(types.ListToolsRequest, types.ListToolsResult)
async def list_tools(params):
    found = page(listed(), params.cursor if params else None)
    return found or refuse(INVALID_PARAMS, "unknown cursor")


@handles(types.ListPromptsRequest, types.ListPromptsResult)
async def list_prompts(_):
    return {"prompts": FIXTURES["prompts"]}


@handles(types.ListResourcesRequest, types.ListResourcesResult)
async def list_resources(_):
    return {"resources": FIXTURES["resources"]}


@handles(types.ListResourceTemplatesRequest, types.ListResourceTemplatesResult)
async def list_templates(_):
    return {"resourceTemplates": FIXTURES["templates"]}


@handles(types.ReadResourceRequest, types.ReadResourceResult)
async def read(params):
    return contents(str(params.uri)) or refuse(RESOURCE_NOT_FOUND, "Resource not found", {"uri": str(params.uri)})


@handles(types.GetPromptRequest, types.GetPromptResult)
async def get_prompt(params):
    return prompt(params.name, params.arguments) or refuse(INVALID_PARAMS, f"Unknown prompt: {params.name}")


@handles(types.CompleteRequest, types.CompleteResult)
async def complete(_):
    return {"completion": {"values": ["alpha", "beta"]}}


@handles(types.SetLevelRequest, types.EmptyResult)
async def set_level(params):
    mine()["level"] = params.level
    return {}


@handles(types.SubscribeRequest, types.EmptyResult)
async def subscribe(params):
    mine()["uris"].add(str(params.uri))
    return {}


@handles(types.UnsubscribeRequest, types.EmptyResult)
async def unsubscribe(params):
    mine()["uris"].discard(str(params.uri))
    return {}


async def touch(uri):
    """Tells the sessions that subscribed to the resource; how many."""
    watching = [s for s, known in list(sessions.items()) if uri in known["uris"]]
    for session in watching:
        await session.send_resource_updated(AnyUrl(uri))
    return len(watching)


# === calls ===


async def ask(message, form):
    context = server.request_context
    answer = await context.session.elicit(message, FIXTURES["forms"][form], related_request_id=context.request_id)
    return answer.model_dump(mode="json", exclude_none=True)


async def progress(arguments):
    context, steps = server.request_context, arguments.get("steps", 3)
    for step in range(1, steps + 1):
        await asyncio.sleep(arguments.get("delay_ms", 10) / 1000)
        if context.meta and context.meta.progressToken is not None:
            await context.session.send_progress_notification(context.meta.progressToken, step, steps, f"step {step}", str(context.request_id))
    return structured({"steps": steps})


async def log(arguments):
    context, level = server.request_context, arguments.get("level", "info")
    for line in range(arguments.get("count", 3)):
        if LEVELS.index(level) >= LEVELS.index(mine()["level"]):
            await context.session.send_log_message(level, {"line": line}, "sdk-all", context.request_id)
    return text("logged")


async def wait(arguments):
    try:
        await asyncio.sleep(arguments.get("ms", 1000) / 1000)
    except asyncio.CancelledError:
        shared["cancelled"] += 1
        raise
    return text("waited")


async def toggle(_):
    shared["toggled"] = not shared["toggled"]
    for session in list(sessions):
        # A session that is over is not forgotten at once.
        with contextlib.suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            await session.send_tool_list_changed()
    return structured({"on": shared["toggled"]})


async def elicit_url(_):
    context, elicitation_id = server.request_context, str(uuid.uuid4())
    answer = await context.session.elicit_url("Please visit this page", f"https://example.com/visit/{elicitation_id}", elicitation_id, context.request_id)
    if answer.action == "accept":
        await context.session.send_elicit_complete(elicitation_id, context.request_id)
    return structured({"action": answer.action})


async def url_required(arguments):
    key, elicitation_id = arguments.get("key", ""), str(uuid.uuid4())
    if key in visited:
        return text("the page was visited")
    visited.add(key)
    # Here, since a release before 2025-11-25 does not have it.
    from mcp.shared.exceptions import UrlElicitationRequiredError

    url = f"https://example.com/connect/{elicitation_id}"
    raise UrlElicitationRequiredError([types.ElicitRequestURLParams(message="Connect your account", url=url, elicitationId=elicitation_id)])


async def sample(_):
    context = server.request_context
    message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text="Say something."))
    answer = await context.session.create_message([message], max_tokens=100, related_request_id=context.request_id)
    return text(f"LLM response: {answer.content.text}")


async def roots(_):
    # The SDK asks this on the session's standing stream, whatever the call.
    answer = await server.request_context.session.list_roots()
    return structured(answer.model_dump(mode="json", exclude_none=True))


async def counter(_):
    mine()["count"] += 1
    return structured({"count": mine()["count"]})


async def rounds(arguments):
    answers = [await ask(f"Round {number}", "round") for number in range(1, arguments.get("rounds", 3) + 1)]
    return structured({"answers": answers})


async def elicit_two(_):
    first, second = await asyncio.gather(ask("The first of two questions", "first"), ask("The second of two questions", "second"))
    return structured({"first": first, "second": second})


async def whoami(_):
    context = server.request_context
    return structured({"client": context.session.client_params.model_dump(mode="json", exclude_none=True), "headers": dict(context.request.headers)})


async def touched(arguments):
    return structured({"told": await touch(arguments["uri"])})


async def cancelled(_):
    return structured({"count": shared["cancelled"]})


async def elicit_form(_):
    return structured(await ask("Who are you?", "sg_elicit_form"))


async def defaults(_):
    return structured(await ask("Please review these values", "test_elicitation_sep1034_defaults"))


async def reconnection(_):
    if close := server.request_context.close_sse_stream:
        await close()
    await asyncio.sleep(0.1)
    return text("The stream was closed and resumed.")


async def task(_):
    async def work(_):
        await asyncio.sleep(0.2)
        return types.CallToolResult.model_validate(text("the job is done"))

    return await server.request_context.experimental.run_task(work)


async def simple(_):
    return text("This is a simple text response for testing.")


async def failing(_):
    return text("This tool intentionally returns an error for testing") | {"isError": True}


async def big(arguments):
    return text("x" * arguments.get("bytes", 1024))


CALLS = {
    "test_simple_text": simple,
    "test_error_handling": failing,
    "test_elicitation_sep1034_defaults": defaults,
    "test_reconnection": reconnection,
    "sg_whoami": whoami,
    "sg_counter": counter,
    "sg_big": big,
    "sg_progress": progress,
    "sg_log": log,
    "sg_elicit_form": elicit_form,
    "sg_elicit_two": elicit_two,
    "sg_rounds": rounds,
    "sg_elicit_url": elicit_url,
    "sg_url_required": url_required,
    "sg_sample": sample,
    "sg_roots": roots,
    "sg_wait": wait,
    "sg_cancelled": cancelled,
    "sg_toggle_tool": toggle,
    "sg_touch": touched,
    "sg_task": task,
}


@handles(types.CallToolRequest, types.CallToolResult)
async def call(params):
    if params.name not in [t["name"] for t in listed()]:
        refuse(INVALID_PARAMS, f"Unknown tool: {params.name}")
    handler = CALLS.get(params.name, simple)
    try:
        return await handler(params.arguments or {})
    except McpError as error:
        # A refusal by the client is the tool's failure; one of the protocol is this server's own.
        if error.error.code == -32042:
            raise
        return text(f"{error.error.message} ({error.error.code})") | {"isError": True}


if __name__ == "__main__":
    if HAS_TASKS:
        server.experimental.enable_tasks()
    manager = StreamableHTTPSessionManager(server, event_store=Events(), **({"retry_interval": 200} if HAS_URLS else {}))
    serve(application(manager, touch), int(sys.argv[1]) if len(sys.argv) > 1 else 0)
