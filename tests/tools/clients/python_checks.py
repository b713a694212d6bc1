"""What every Python client checks against the reference server's fixtures, whichever SDK line carries it.

A client script gives an adapter (see `python_v1.py`): it opens sessions with the SDK's own classes and hands every
result over as wire-shaped JSON, so that the checks read the same for both lines. Each check prints one JSON line.
"""

import argparse
import asyncio
import contextlib
import json
import traceback
import urllib.error
import urllib.request
import uuid
import warnings

import anyio

from python_host import POLL_S, Host, RpcError, Skip, fill, flat, need, text_of, until

URL_ELICITATION_REQUIRED = -32042
INVALID_PARAMS, RESOURCE_NOT_FOUND = -32602, -32002
# Bounds one check, and each adapter's initialize.
CHECK_LIMIT_S = 30
CONCURRENT_CALLS = 16
MANY_TOOLS = 250
LOG_LINES = 5
RESUME_STEPS = 8
CUT_AFTER_EVENTS = 3


class Checks:
    def __init__(self, adapter, options):
        self.adapter, self.options, self.failed = adapter, options, 0
        self.prefix = options.fixture_prefix
        self.tools = set()
        self.first = "discover" if options.era == "modern" else "initialize"
        # Whether a question can reach the client as an error, which only two legacy sides do.
        self.legacy_only = "modern" not in (options.era, options.server_era)

    # --- reporting ---

    def say(self, check, ok, detail=None):
        self.failed += ok is False
        print(json.dumps({"check": check, "ok": ok, "detail": detail}), flush=True)

    async def run(self, name, body, *arguments):
        if self.options.only and name not in self.options.only:
            return
        if name in self.options.lacks:
            return self.say(name, "lacks", self.options.lacks[name])
        if refusal := self.options.refusals.get(name):
            body, arguments = self.is_refused, (*arguments[:1], refusal)
        try:
            with anyio.fail_after(CHECK_LIMIT_S):
                detail = await body(*arguments)
            self.say(name, True, detail)
        except Exception as error:
            while isinstance(error, ExceptionGroup):
                error = error.exceptions[0]
            if isinstance(error, Skip):
                return self.say(name, "skip", str(error))
            if isinstance(error, TimeoutError):
                return self.say(name, False, f"no end within {CHECK_LIMIT_S} s")
            where = traceback.extract_tb(error.__traceback__)[-1]
            self.say(name, False, f"{type(error).__name__}: {error} ({where.name}:{where.lineno})"[:900])

    # --- calling ---

    def named(self, name):
        return self.prefix + name

    async def call(self, session, tool, arguments=None, **more):
        if self.tools and self.named(tool) not in self.tools:
            raise Skip(f"the server offers no {tool}")
        return await session.call(self.named(tool), arguments or {}, **more)

    async def good(self, session, tool, arguments=None, **more):
        result = await self.call(session, tool, arguments, **more)
        need(not result.get("isError"), result)
        return result

    # --- lists ---

    async def pages(self, lister, key):
        items, cursor, pages = [], None, 0
        while True:
            page = await lister(cursor)
            items += page[key]
            pages += 1
            cursor = page.get("nextCursor")
            if not cursor:
                return items, pages
            need(pages < 200, "the list has no end")

    async def tools_list(self, session):
        items, pages = await self.pages(session.list_tools, "tools")
        names = [t["name"] for t in items]
        need(len(names) == len(set(names)), "a tool is listed twice")
        need(all(t["inputSchema"].get("type") == "object" for t in items), "a tool has no object schema")
        self.tools = set(names)
        return f"{len(names)} tools on {pages} pages"

    async def tools_many(self, session):
        missing = [n for n in (self.named(f"page_{i:03}") for i in range(MANY_TOOLS)) if n not in self.tools]
        if len(missing) == MANY_TOOLS and not self.options.many:
            raise Skip("the server was not started with --many")
        need(not missing, f"{len(missing)} page_ tools missing, first {missing[:3]}")

    async def prompts_list(self, session):
        items, _ = await self.pages(session.list_prompts, "prompts")
        names = [p["name"] for p in items]
        need(self.named("test_simple_prompt") in names, names)
        return f"{len(names)} prompts"

    async def resources_list(self, session):
        items, _ = await self.pages(session.list_resources, "resources")
        need("test://static-text" in [r["uri"] for r in items], items)
        templates, _ = await self.pages(session.list_templates, "resourceTemplates")
        need("test://template/{id}/data" in [t["uriTemplate"] for t in templates], templates)
        return f"{len(items)} resources, {len(templates)} templates"

    # --- calls ---

    async def call_text(self, session):
        need(text_of(await self.good(session, "test_simple_text")), "no text")

    async def tool_error(self, session):
        result = await self.call(session, "test_error_handling")
        need(result.get("isError") is True and text_of(result), result)

    async def unknown_tool(self, session):
        try:
            result = await session.call(self.named("no_such_tool"), {})
        except RpcError as error:
            need(error.code in (-32602, -32601) and error.message, f"{error}")
            return str(error)
        need(result.get("isError"), result)

    async def refused(self, code, awaitable):
        try:
            result = await awaitable
        except RpcError as error:
            need(error.code == code and error.message, f"wanted {code}, got {error}")
            return str(error)
        raise AssertionError(f"wanted {code}, got {flat(result)[:300]}")

    async def is_refused(self, session, refusal):
        """What cannot be done here is refused in these very words: as an error with a code, or as the tool's own."""
        try:
            result = await session.call(self.named(refusal["tool"]), refusal.get("arguments", {}))
        except RpcError as error:
            got = str(error)
        else:
            got = f"tool error: {text_of(result)}" if result.get("isError") else flat(result)[:300]
        wanted = refusal["error"].replace("{tool}", self.named(refusal["tool"]))
        need(got == wanted, f"wanted {wanted!r}, got {got!r}")
        return got

    async def unknown_prompt(self, session):
        return await self.refused(INVALID_PARAMS, session.get_prompt(self.named("no_such_prompt"), {}))

    async def unknown_resource(self, session):
        code = INVALID_PARAMS if self.options.era == "modern" else RESOURCE_NOT_FOUND
        return await self.refused(code, session.read("test://no-such-resource"))

    async def whoami(self, session):
        return text_of(await self.good(session, "sg_whoami"))[:300]

    async def counter(self, session):
        texts = [text_of(await self.good(session, "sg_counter")) for _ in range(3)]
        need(len(set(texts)) == 3, f"the server's session was not the same one: {texts}")
        return texts

    async def big(self, session):
        size = 900_000
        text = text_of(await self.good(session, "sg_big", {"bytes": size}))
        need(len(text) >= size, f"{len(text)} of {size} characters")

    async def progress(self, session):
        seen = []
        await self.good(session, "sg_progress", {"steps": 5, "delay_ms": 20}, progress=lambda *p: seen.append(p))
        await until(lambda: len(seen) >= 5, f"5 progress events, got {seen}", 5)
        self.rising(seen, 5)

    def rising(self, seen, steps):
        values = [p[0] for p in seen]
        need(values == sorted(set(values)), f"progress is not rising: {values}")
        need(len(values) >= steps, f"{len(values)} progress events of {steps}: {values}")

    async def concurrent(self, session):
        async def one(index):
            seen = []
            steps = 3 + index % 4
            await self.good(session, "sg_progress", {"steps": steps, "delay_ms": 10}, progress=lambda *p: seen.append(p))
            await until(lambda: len(seen) >= steps, f"{steps} progress events in call {index}, got {seen}", 5)
            self.rising(seen, steps)
            need(len(seen) <= steps + 1, f"call {index} got another call's progress: {seen}")

        await asyncio.gather(*(one(index) for index in range(CONCURRENT_CALLS)))

    async def logging(self, session):
        await session.set_level("debug")
        session.host.logs.clear()
        await self.good(session, "sg_log", {"count": LOG_LINES, "level": "info"})
        await until(lambda: len(session.host.logs) >= LOG_LINES, f"{LOG_LINES} log messages")
        lines = [m["data"].get("line") for m in session.host.logs if m["level"] == "info"]
        need(lines == list(range(LOG_LINES)), f"messages lost, doubled or out of order: {lines}")
        await session.set_level("emergency")
        session.host.logs.clear()
        await self.good(session, "sg_log", {"count": LOG_LINES, "level": "info"})
        # Something answered later shows that a line on its way would have come.
        await self.good(session, "test_simple_text")
        need(not session.host.logs, f"the level was not honoured: {session.host.logs}")
        await session.set_level("debug")

    # --- questions ---

    async def elicit(self, session, action):
        host = session.host
        host.asked.clear()
        host.answer = lambda params: {"action": action, "content": fill(params)} if action == "accept" else {"action": action}
        result = await self.call(session, "sg_elicit_form")
        need(len(host.asked) == 1, f"asked {len(host.asked)} times")
        need(host.asked[0].get("requestedSchema", {}).get("type") == "object" and host.asked[0].get("message"), host.asked)
        answer = result.get("structuredContent") or json.loads(text_of(result))
        need(answer.get("action") == action, result)
        if action == "accept":
            need(answer.get("content") == fill(host.asked[0]), f"the answer changed on its way: {flat(answer)}")

    async def elicit_defaults(self, session):
        session.host.answer = lambda params: {"action": "accept", "content": fill(params)}
        result = await self.good(session, "test_elicitation_sep1034_defaults")
        need("accept" in flat(result), result)

    async def elicit_two(self, session):
        host = session.host
        host.asked.clear()
        host.answer = lambda params: {"action": "accept", "content": fill(params)}
        result = await self.good(session, "sg_elicit_two")
        need(len(host.asked) == 2, f"asked {len(host.asked)} times")
        need("accept" in flat(result), result)

    async def elicit_url(self, session):
        host = session.host
        host.asked.clear()
        host.answer = lambda params: {"action": "accept"}
        result = await self.good(session, "sg_elicit_url")
        asked = [p for p in host.asked if p.get("mode") == "url"]
        need(len(asked) == 1 and asked[0].get("url", "").startswith("http"), host.asked)
        need("accept" in flat(result), result)
        if self.options.era == "legacy":
            need(asked[0].get("elicitationId"), "no elicitationId")
        # A modern server says nothing of that kind, and a modern client has no place for it.
        if self.legacy_only:
            await until(lambda: host.saw("notifications/elicitation/complete", elicitationId=asked[0]["elicitationId"]), "notifications/elicitation/complete")

    async def url_required(self, session):
        # A name of its own, since clients may share the server's session.
        once = {"key": uuid.uuid4().hex}
        if not self.legacy_only:
            host = session.host
            host.asked.clear()
            host.answer = lambda params: {"action": "accept"}
            await self.good(session, "sg_url_required", once)
            need([p.get("mode") for p in host.asked] == ["url"], host.asked)
            return
        try:
            result = await self.call(session, "sg_url_required", once)
        except RpcError as error:
            need(error.code == URL_ELICITATION_REQUIRED, f"{error}")
            elicitations = (error.data or {}).get("elicitations", [])
            need(elicitations and elicitations[0].get("url") and elicitations[0].get("elicitationId"), error.data)
        else:
            raise AssertionError(f"answered at once: {flat(result)[:300]}")
        await self.good(session, "sg_url_required", once)

    async def rounds(self, session):
        """Three questions, one after the other, each made of the answers before it."""
        host = session.host
        host.asked.clear()
        host.answer = lambda params: {"action": "accept", "content": fill(params)}
        await self.good(session, "sg_rounds", {"rounds": 3})
        # A gateway may put the target's name before it.
        need([p["message"].partition("Round ")[2][:1] for p in host.asked] == ["1", "2", "3"], host.asked)

    async def prompt_asks(self, session):
        name = self.named("test_input_required_result_prompt")
        items, _ = await self.pages(session.list_prompts, "prompts")
        if name not in [p["name"] for p in items]:
            raise Skip("the server offers no prompt that asks")
        host = session.host
        host.asked.clear()
        host.answer = lambda params: {"action": "accept", "content": fill(params)}
        result = await session.get_prompt(name, {})
        need(host.asked and result["messages"], result)

    async def sampling(self, session):
        need("forty-two" in flat(await self.good(session, "sg_sample")), "the sampled text is not in the answer")

    async def roots(self, session):
        result = flat(await self.good(session, "sg_roots"))
        need("file:///work/alpha" in result and "file:///work/beta" in result, result)

    async def task(self, session):
        """A tool that runs as a task only; the caller waits."""
        host = session.host
        host.answer = lambda params: {"action": "accept", "content": fill(params)}
        tool, words = ("sg_task", "the job is done") if self.named("sg_task") in self.tools else ("test_tool_with_task", "Hello")
        need(words in text_of(await self.good(session, tool)), "the task's result is not in the answer")

    # --- life ---

    async def cancellation(self, session):
        if self.named("sg_wait") not in self.tools:
            raise Skip("the server offers no sg_wait")
        before = text_of(await self.good(session, "sg_cancelled"))
        await session.call_and_cancel(self.named("sg_wait"), {"ms": 60_000})
        with anyio.fail_after(10):
            while text_of(await self.good(session, "sg_cancelled")) == before:
                await asyncio.sleep(POLL_S)

    async def subscription(self, session):
        uri = "test://watched-resource"
        async with session.watching(uri):
            if self.options.touch:
                await asyncio.to_thread(self.touch, uri)
            else:
                await self.good(session, "sg_touch", {"uri": uri})
            await until(lambda: session.host.saw("notifications/resources/updated", uri=uri), "resources/updated")

    def touch(self, uri):
        urllib.request.urlopen(urllib.request.Request(self.options.touch, data=uri.encode(), method="POST"), timeout=10).close()

    async def list_changed(self, session):
        session.host.notices.clear()
        async with session.watching_tools():
            await self.good(session, "sg_toggle_tool")
            await until(lambda: session.host.saw("notifications/tools/list_changed"), "tools/list_changed")
            items, _ = await self.pages(session.list_tools, "tools")
            await self.good(session, "sg_toggle_tool")
        names = {t["name"] for t in items}
        need(names != self.tools, "the list did not change")
        return sorted(names ^ self.tools)

    async def completion(self, session):
        result = await session.complete_prompt(self.named("test_prompt_with_arguments"), "arg1", "")
        need(isinstance(result["completion"]["values"], list), result)
        return result["completion"]["values"][:5]

    async def prompt_get(self, session):
        result = await session.get_prompt(self.named("test_prompt_with_arguments"), {"arg1": "hello", "arg2": "world"})
        need("hello" in flat(result) and "world" in flat(result), result)

    async def resource_read(self, session):
        plain = await session.read("test://static-text")
        need(plain["contents"][0].get("text"), plain)
        templated = await session.read("test://template/123/data")
        need("123" in flat(templated), templated)

    # --- sessions of their own ---

    async def reconnection(self, session):
        await self.good(session, "test_reconnection")

    async def resume(self):
        """The connection dies mid-call; the SDK comes back with Last-Event-ID and nothing is lost or doubled."""
        cutter = self.adapter.cutter()
        async with self.adapter.connect(self.options.url, Host(), cutter) as session:
            seen = []
            cutter.arm(CUT_AFTER_EVENTS)
            work = self.call(session, "sg_progress", {"steps": RESUME_STEPS, "delay_ms": 150}, progress=lambda *p: seen.append(p[0]))
            try:
                result = await work
            except RpcError as error:
                if not cutter.event_ids:
                    raise Skip("the server gives its events no ids") from error
                raise
            need(cutter.cuts == 1, f"the connection was cut {cutter.cuts} times")
            need(cutter.resumed, "the SDK sent no Last-Event-ID")
            need(not result.get("isError"), result)
            need(len(seen) == len(set(seen)) and len(seen) >= RESUME_STEPS, f"events with a hole or a double: {seen}")
            return f"cut after {CUT_AFTER_EVENTS} events, resumed, progress {seen}"

    async def termination(self):
        async with self.adapter.connect(self.options.url, Host()) as session:
            await session.list_tools(None)
            session_id = session.session_id()
            if not session_id:
                raise Skip("the server keeps no session")
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Mcp-Session-Id": session_id, "MCP-Protocol-Version": "2025-11-25"}
        request = urllib.request.Request(self.options.url, data=body, headers=headers, method="POST")

        def status():
            try:
                with urllib.request.urlopen(request, timeout=10) as response:
                    return response.status
            except urllib.error.HTTPError as error:
                with error:
                    return error.code

        need((got := await asyncio.to_thread(status)) == 404, f"an ended session was answered with {got}")

    # --- all ---

    async def all(self):
        stack = contextlib.AsyncExitStack()
        async with stack:
            try:
                session = await stack.enter_async_context(self.adapter.connect(self.options.url, Host()))
            except Exception as error:
                while isinstance(error, ExceptionGroup):
                    error = error.exceptions[0]
                self.say(self.first, False, f"{type(error).__name__}: {error}"[:900])
                return
            self.say(self.first, True, session.about)
            await self.run("ping", session.ping)
            only, self.options.only = self.options.only, None
            await self.run("tools-list", self.tools_list, session)
            self.options.only = only
            for name, body, *arguments in (
                ("tools-many", self.tools_many),
                ("prompts-list", self.prompts_list),
                ("resources-list", self.resources_list),
                ("call-text", self.call_text),
                ("tool-error", self.tool_error),
                ("unknown-tool", self.unknown_tool),
                ("unknown-prompt", self.unknown_prompt),
                ("unknown-resource", self.unknown_resource),
                ("whoami", self.whoami),
                ("counter", self.counter),
                ("big-result", self.big),
                ("progress", self.progress),
                ("concurrent-progress", self.concurrent),
                ("logging", self.logging),
                ("elicit-accept", self.elicit, "accept"),
                ("elicit-decline", self.elicit, "decline"),
                ("elicit-cancel", self.elicit, "cancel"),
                ("elicit-defaults", self.elicit_defaults),
                ("elicit-two", self.elicit_two),
                ("elicit-url", self.elicit_url),
                ("url-required", self.url_required),
                ("elicit-rounds", self.rounds),
                ("elicit-in-prompt", self.prompt_asks),
                ("sampling", self.sampling),
                ("roots", self.roots),
                ("task", self.task),
                ("cancellation", self.cancellation),
                ("subscription", self.subscription),
                ("list-changed", self.list_changed),
                ("completion", self.completion),
                ("prompt-get", self.prompt_get),
                ("resource-read", self.resource_read),
                ("server-closes-mid-call", self.reconnection),
            ):
                await self.run(name, body, session, *arguments)
        await self.run("resume-after-cut", self.resume)
        await self.run("terminate", self.termination)


def main(adapter):
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--fixture-prefix", default="", help="what stands before the fixtures' tool and prompt names")
    parser.add_argument("--many", action="store_true", help="the server must offer its 250 extra tools")
    parser.add_argument("--only", action="append", help="run this check only; may be repeated")
    parser.add_argument("--era", choices=adapter.eras, default="legacy", help="the era that the client speaks")
    parser.add_argument("--server-era", choices=("legacy", "modern"), help="what the server at the far end speaks [default: the client's era]")
    parser.add_argument("--lacks", type=json.loads, default={}, help="JSON: checks that have no place here, and why")
    parser.add_argument("--refusals", type=json.loads, default={}, help="JSON: checks that are refused here: tool, arguments, error")
    parser.add_argument("--touch", metavar="URL", help="where the server is told of a changed resource [default: a tool]")
    options = parser.parse_args()
    options.server_era = options.server_era or options.era
    adapter.options = options
    checks = Checks(adapter, options)
    # The 2.x line warns about what the newest revision dropped; this is about the revisions that have it.
    warnings.simplefilter("ignore")
    asyncio.run(checks.all())
    return 1 if checks.failed else 0
