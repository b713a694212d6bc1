#!/usr/bin/env python3.11
"""All fixtures of the matrix on the official Python SDK, 2.x line, low level, for 2026-07-28: `all_python_v2.py [PORT]`.

Questions are `input_required` results; what was answered in earlier rounds travels in `requestState`, here in clear. The
address is printed as one line on stdout when it is ready to accept.
"""

import asyncio
import json
import sys
import warnings

from mcp import MCPError, types
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated, ToolsListChanged
from serving import FIXTURES, INVALID_PARAMS, application, contents, page, prompt, serve, structured, text, tools

# A session's counter, a stream that comes back and tasks have no place here.
LACKS = {"sg_counter", "test_reconnection", "sg_task"}
ASKING_PROMPT = FIXTURES["askingPrompt"]["name"]

shared = {"toggled": False, "cancelled": 0}
bus = InMemorySubscriptionBus()


class Asked(Exception):
    """The client has to answer these first."""

    def __init__(self, questions, answers):
        super().__init__("input required")
        self.result = {"resultType": "input_required", "inputRequests": questions, "requestState": json.dumps(answers)}


def wire(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def take(params, questions):
    """The answers to all of these, or `Asked` for those that did not come."""
    answers = json.loads(params.request_state or "{}")
    answers |= {key: wire(answer) for key, answer in (params.input_responses or {}).items()}
    missing = {key: question for key, question in questions.items() if key not in answers}
    if missing:
        raise Asked(missing, answers)
    return [answers[key] for key in questions]


def form(message, name):
    return {"method": "elicitation/create", "params": {"mode": "form", "message": message, "requestedSchema": FIXTURES["forms"][name]}}


def one(params, question):
    return take(params, {"answer": question})[0]


async def touch(uri):
    await bus.publish(ResourceUpdated(uri=uri))
    return True


# === calls ===


async def progress(context, params):
    steps = params.arguments.get("steps", 3)
    for step in range(1, steps + 1):
        await asyncio.sleep(params.arguments.get("delay_ms", 10) / 1000)
        await context.session.report_progress(step, steps, f"step {step}")
    return structured({"steps": steps})


async def log(context, params):
    for line in range(params.arguments.get("count", 3)):
        await context.session.send_log_message(params.arguments.get("level", "info"), {"line": line}, "sdk-all")
    return text("logged")


async def wait(_, params):
    try:
        await asyncio.sleep(params.arguments.get("ms", 1000) / 1000)
    except asyncio.CancelledError:
        shared["cancelled"] += 1
        raise
    return text("waited")


async def toggle(*_):
    shared["toggled"] = not shared["toggled"]
    await bus.publish(ToolsListChanged())
    return structured({"on": shared["toggled"]})


async def touched(_, params):
    return structured({"told": await touch(params.arguments["uri"])})


async def rounds(_, params):
    for number in range(1, params.arguments.get("rounds", 3) + 1):
        take(params, {f"round-{number}": form(f"Round {number}", "round")})
    return text("no more rounds")


async def elicit_two(_, params):
    first, second = take(params, {which: form(f"The {which} of two questions", which) for which in ("first", "second")})
    return structured({"first": first, "second": second})


async def elicit_form(_, params):
    return structured(one(params, form("Who are you?", "sg_elicit_form")))


async def defaults(_, params):
    return structured(one(params, form("Please review these values", "test_elicitation_sep1034_defaults")))


async def elicit_url(context, params):
    # What a client did not declare must not be asked: the SDK leaves that to its user.
    declared = context.session.client_capabilities
    if not (declared and declared.elicitation and declared.elicitation.url is not None):
        raise MCPError(-32021, "this tool needs URL mode elicitation", {"requiredCapabilities": {"elicitation": {"url": {}}}})
    visit = {"mode": "url", "message": "Please visit this page", "url": "https://example.com/visit"}
    return structured({"action": one(params, {"method": "elicitation/create", "params": visit})["action"]})


async def sample(_, params):
    message = {"role": "user", "content": {"type": "text", "text": "Say something."}}
    answer = one(params, {"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": 100}})
    return text(f"LLM response: {json.dumps(answer['content'])}")


async def roots(_, params):
    return structured(one(params, {"method": "roots/list", "params": {}}))


async def whoami(context, _):
    return structured({"revision": context.protocol_version, "headers": dict(context.request.headers)})


async def cancelled(*_):
    return structured({"count": shared["cancelled"]})


async def simple(*_):
    return text("This is a simple text response for testing.")


async def failing(*_):
    return text("This tool intentionally returns an error for testing") | {"isError": True}


async def big(_, params):
    return text("x" * params.arguments.get("bytes", 1024))


CALLS = {
    "test_simple_text": simple,
    "test_error_handling": failing,
    "test_elicitation_sep1034_defaults": defaults,
    "sg_whoami": whoami,
    "sg_big": big,
    "sg_progress": progress,
    "sg_log": log,
    "sg_elicit_form": elicit_form,
    "sg_elicit_two": elicit_two,
    "sg_rounds": rounds,
    "sg_elicit_url": elicit_url,
    "sg_url_required": elicit_url,
    "sg_sample": sample,
    "sg_roots": roots,
    "sg_wait": wait,
    "sg_cancelled": cancelled,
    "sg_toggle_tool": toggle,
    "sg_touch": touched,
}


def listed():
    return [t for t in tools(shared["toggled"]) if t["name"] not in LACKS]


async def call_tool(context, params):
    if params.name not in [t["name"] for t in listed()]:
        raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name}")
    params.arguments = params.arguments or {}
    try:
        return types.CallToolResult.model_validate(await CALLS.get(params.name, simple)(context, params))
    except Asked as asked:
        return types.InputRequiredResult.model_validate(asked.result)


# === lists and what is read ===


async def list_tools(_, params):
    found = page(listed(), params.cursor if params else None)
    if not found:
        raise MCPError(INVALID_PARAMS, "unknown cursor")
    return types.ListToolsResult.model_validate(found)


async def list_prompts(*_):
    return types.ListPromptsResult.model_validate({"prompts": [*FIXTURES["prompts"], FIXTURES["askingPrompt"]]})


async def list_resources(*_):
    return types.ListResourcesResult.model_validate({"resources": FIXTURES["resources"]})


async def list_templates(*_):
    return types.ListResourceTemplatesResult.model_validate({"resourceTemplates": FIXTURES["templates"]})


async def read(_, params):
    found = contents(str(params.uri))
    if not found:
        raise MCPError(INVALID_PARAMS, "Resource not found", {"uri": str(params.uri)})
    return types.ReadResourceResult.model_validate(found)


async def get_prompt(_, params):
    if params.name == ASKING_PROMPT:
        try:
            said = one(params, form("What shall it be about?", "round"))
        except Asked as asked:
            return types.InputRequiredResult.model_validate(asked.result)
        return types.GetPromptResult.model_validate({"messages": [{"role": "user", "content": {"type": "text", "text": json.dumps(said)}}]})
    found = prompt(params.name, params.arguments)
    if not found:
        raise MCPError(INVALID_PARAMS, f"Unknown prompt: {params.name}")
    return types.GetPromptResult.model_validate(found)


async def set_level(*_):
    """Never called in this era; that it is there is what makes the SDK say that the server logs."""
    return types.EmptyResult()


async def complete(*_):
    return types.CompleteResult.model_validate({"completion": {"values": ["alpha", "beta"]}})


if __name__ == "__main__":
    # The SDK warns of what the newest revision deprecates, sampling and roots among it: they are what is tested.
    warnings.simplefilter("ignore")
    server = Server(
        "sdk-all-python-v2",
        instructions="All fixtures on the Python SDK, 2.x.",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read,
        on_completion=complete,
        on_set_logging_level=set_level,
        on_subscriptions_listen=ListenHandler(bus),
    )
    serve(application(StreamableHTTPSessionManager(server), touch), int(sys.argv[1]) if len(sys.argv) > 1 else 0)
