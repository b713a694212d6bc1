"""What a client in front of a server cannot have: checks without a place there, and those that are refused, with their words."""

OLDER, LEGACY, MODERN = "2025-06-18", "2025-11-25", "2026-07-28"

NO_RESUMPTION = "2026-07-28 has no resumption: a closed stream is a call given up"
CLIENT_LACKS = {
    OLDER: {"resume-after-cut": "SDKs of that time do not come back for the stream of a call"},
    MODERN: {
        "ping": "2026-07-28 has no ping",
        "server-closes-mid-call": NO_RESUMPTION,
        "resume-after-cut": NO_RESUMPTION,
        "terminate": "2026-07-28 has no sessions",
    },
}
NO_PROMPT = "before 2026-07-28 prompts do not ask"
SERVER_LACKS = {
    OLDER: {"elicit-in-prompt": NO_PROMPT, "server-closes-mid-call": "closing a call's stream on purpose came with 2025-11-25"},
    LEGACY: {"elicit-in-prompt": NO_PROMPT},
    MODERN: {
        "counter": "a server of 2026-07-28 keeps nothing between two calls",
        "server-closes-mid-call": "a server of 2026-07-28 cannot close a stream and have it resumed",
    },
}
# The row of a check that is refused, by the tool that it calls.
TOOLS = {"elicit-url": "sg_elicit_url", "url-required": "sg_url_required", "task": "sg_task"}
UNDECLARED_PAGE = "-32603: target `ref` needs a page to be visited first, and the client did not declare URL mode elicitation"
UNDECLARED_URL = {
    ("rust", LEGACY): "tool error: the client did not declare URL elicitation",
    ("python-v1", LEGACY): "tool error: the client did not declare URL mode elicitation (-32602)",
    ("ts-v1", LEGACY): "tool error: Client does not support url elicitation.",
}
# A legacy client gets the words of the only target that could have it, a modern one those of the gateway, which knows the list.
UNKNOWN = {LEGACY: "-32602: Unknown tool: {tool}", MODERN: "-32602: unknown tool `{tool}`: list them to see what there is"}
UNDECLARED_MODERN = "tool error: target `ref` needs a client with elicitation.url"
UNDECLARED_TASK = "-32021: the target needs to ask the client something that this request does not declare"


def lacks(client, server, leg):
    """Why a check has no place between these two, by check."""
    found = {**CLIENT_LACKS.get(client.revision, {}), **SERVER_LACKS[server.revision]}
    rust = server.sdk == "rust"
    if client.revision == MODERN and rust and server.revision == LEGACY:
        found["logging"] = "the server logs on its session's standing stream, which belongs to no request"
    if client.revision == OLDER and leg == "direct":
        found["server-closes-mid-call"] = SERVER_LACKS[OLDER]["server-closes-mid-call"]
        found["elicit-url"] = found["url-required"] = "URL elicitation came with 2025-11-25"
    if rust and server.revision == LEGACY:
        found["task"] = "the reference server's tasks of 2025-11-25 are checked in tests/it"
    elif rust and leg == "modern-direct":
        found["task"] = "these clients do not have the tasks extension"
    elif server.revision == MODERN and not rust:
        found["task"] = "the SDK's servers have no tasks of 2026-07-28"
    return found


def refusals(client, server):
    """The exact error of a check that is refused between these two: by check, the tool and its error."""
    found = {}
    if server.revision == OLDER:
        found = dict.fromkeys(TOOLS, UNKNOWN[MODERN if client.revision == MODERN else LEGACY])
    elif client.revision == OLDER:
        found["elicit-url"] = UNDECLARED_URL.get((server.sdk, server.revision), UNDECLARED_MODERN)
        found["url-required"] = UNDECLARED_MODERN if server.revision == MODERN else UNDECLARED_PAGE
    elif client.revision == MODERN and (server.sdk, server.revision) == ("rust", MODERN):
        found["task"] = UNDECLARED_TASK
    calls = {"task": "test_tool_with_task"} if server.sdk == "rust" else {}
    return {check: {"tool": calls.get(check, TOOLS[check]), "error": error} for check, error in found.items()}
