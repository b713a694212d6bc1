"""Servers of the official SDKs, all behind one gateway, and a client of either era in front of each."""

import collections
import json
import threading

from . import eras

# What one fixture server is: its script, the gateway's `era` for it, the revision in which its target leg then is, and its
# Python environment or npm package, where that is not the SDK of today.
Server = collections.namedtuple("Server", "script era revision sdk", defaults=(None,))
OLDER, LEGACY = "2025-06-18", "2025-11-25"
SERVERS = {
    "python-v1": Server("python_v1.py", "auto", LEGACY, "mcp-v1"),
    "python-v1-older": Server("python_v1.py", "auto", OLDER, "mcp-2025-06-18"),
    "python-v2": Server("python_v2.py", "auto", eras.MODERN, "mcp-v2"),
    "python-v2-legacy": Server("python_v2.py", "legacy", LEGACY, "mcp-v2"),
    "ts-v1": Server("ts_v1.mjs", "auto", LEGACY),
    "ts-v1-older": Server("ts_v1.mjs", "auto", OLDER, "sdk-2025-06-18"),
    "ts-v2": Server("ts_v2.mjs", "auto", eras.MODERN),
    "ts-v2-legacy": Server("ts_v2.mjs", "legacy", LEGACY),
}
STEPS = 3
TOKEN = "sdk-servers-progress"
TIMEOUT_S = 60


def targets(programs, cache):
    """Starts all of them; returns [(name, its `mcp:` configuration, its `era`)] and the addresses used."""
    listed = []
    for name, server in SERVERS.items():
        python = server.script.endswith(".py")
        runner = cache / "python" / server.sdk / "bin" / "python" if python else cache / "bin" / "node"
        command = [runner, cache.parent / "servers" / server.script, "0", name]
        command += [server.sdk] if server.sdk and not python else []
        # The bytecode of what is read once would lie in the work tree.
        quiet = {"PYTHONDONTWRITEBYTECODE": "1"}
        started = programs.start(f"sdk-{name}", command, environment=quiet)
        listed.append((name, {"url": started.url}, server.era))
    return listed, [mcp["url"] for _, mcp, _ in listed]


# === a client that keeps what it was told and asked ===


class Watching:
    def __init__(self, url):
        self.told, self.asked, self.change = [], [], threading.Condition()
        super().__init__(url, TIMEOUT_S, self.asked.append)

    def incoming(self, message):
        with self.change:
            self.told.append(message)
            self.change.notify_all()
        super().incoming(message)

    def steps(self, wanted):
        """The progress that came for the token, once there is as much as wanted: it may come on another stream."""

        def mine():
            found = [m["params"] for m in self.told if m.get("method") == "notifications/progress"]
            return [p["progress"] for p in found if p["progressToken"] == TOKEN]

        with self.change:
            self.change.wait_for(lambda: len(mine()) >= wanted, TIMEOUT_S / 6)
            return mine()


class WatchingLegacy(Watching, eras.Legacy):
    def watched(self, method, params):
        return self.request(method, {**params, "_meta": {"progressToken": TOKEN}})


class WatchingModern(Watching, eras.Modern):
    def watched(self, method, params):
        plain, self.meta = self.meta, {**self.meta, "progressToken": TOKEN}
        try:
            return self.request(method, params)
        finally:
            self.meta = plain


CLIENTS = {"legacy": WatchingLegacy, "modern": WatchingModern}


# === the checks: each returns True, or what went wrong ===


def same(found, wanted):
    return True if found == wanted else f"wanted {json.dumps(wanted)}, got {json.dumps(found)[:500]}"


def text(result):
    return [part.get("text") for part in result["content"]]


def lists(client, name):
    prefix = f"{name}___"
    tools = {t["name"] for t in client.pages("tools/list", "tools") if t["name"].startswith(prefix)}
    prompts = {p["name"] for p in client.pages("prompts/list", "prompts") if p["name"].startswith(prefix)}
    uris = [r["uri"] for r in client.pages("resources/list", "resources") if r["uri"] == f"fixture://{name}/note"]
    wanted = [sorted(prefix + tool for tool in ("ask", "echo", "fail", "progress")), [f"{prefix}greet"], [f"fixture://{name}/note"]]
    return same([sorted(tools), sorted(prompts), uris], wanted)


def echo(client, name):
    """The server says the revision that it was asked in: that of the target leg, whatever the client speaks."""
    result = client.request("tools/call", {"name": f"{name}___echo", "arguments": {"message": "Grüße"}})
    return same([text(result), result.get("isError", False)], [[f"Grüße in {SERVERS[name].revision}"], False])


def progress(client, name):
    result = client.watched("tools/call", {"name": f"{name}___progress", "arguments": {}})
    return same([text(result), client.steps(STEPS)], [[f"{STEPS} steps"], list(range(1, STEPS + 1))])


def ask(client, name):
    """A question through a session names its target; between two modern legs it passes as it is."""
    client.asked.clear()
    result = client.request("tools/call", {"name": f"{name}___ask", "arguments": {}})
    stands_alone = isinstance(client, eras.Modern) and SERVERS[name].revision == eras.MODERN
    message = "Who is there?" if stands_alone else f"[{name}] Who is there?"
    asked = [[q["method"], q["params"].get("message")] for q in client.asked]
    # What the server understood of each answer is what was given to it.
    given = [eras.answer(q)["content"] for q in client.asked]
    return same([asked, text(result)], [[["elicitation/create", message]], [f"{g['name']} is {g['age']}" for g in given]])


def fail(client, name):
    result = client.request("tools/call", {"name": f"{name}___fail", "arguments": {}})
    found = result.get("isError"), "it broke on purpose" in "".join(text(result))
    return True if found == (True, True) else f"no error of the tool: {json.dumps(result)[:500]}"


def prompt(client, name):
    result = client.request("prompts/get", {"name": f"{name}___greet", "arguments": {"name": "Ada"}})
    return same([[m["role"], m["content"].get("text")] for m in result["messages"]], [["user", "Greet Ada."]])


def resource(client, name):
    uri = f"fixture://{name}/note"
    result = client.request("resources/read", {"uri": uri})
    return same([[c["uri"], c.get("text")] for c in result["contents"]], [[uri, f"a note of {name}"]])


# No check is left out: each of these SDKs can do all of it in each of its eras.
CHECKS = {"list": lists, "echo": echo, "progress": progress, "ask": ask, "fail": fail, "prompt": prompt, "resource": resource}


def check(url):
    """Yields (item, True or False, detail), one for each server, era of the client and check."""
    for era, connect in CLIENTS.items():
        for name in SERVERS:
            # A client of its own for each server: what one does to the session is not the next one's trouble.
            try:
                client = connect(url)
            except (eras.ClientError, LookupError) as error:
                yield f"{name}:{era}-client:connects", False, str(error)
                continue
            for item, run in CHECKS.items():
                try:
                    verdict = run(client, name)
                except (eras.ClientError, LookupError, TypeError) as error:
                    verdict = f"{type(error).__name__}: {error}"
                yield f"{name}:{era}-client:{item}", verdict is True, None if verdict is True else verdict
            try:
                client.close()
            except eras.ClientError as error:
                yield f"{name}:{era}-client:closes", False, str(error)
