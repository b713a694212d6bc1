#!/usr/bin/env python3.11
"""The official Python SDK signs in at a gateway, 1.x line or 2.x: `python_client.py ERA WORLD_FILE`. The TypeScript twin is ts_client.mjs.

Each check opens a session of its own, with the tokens that the client has by then. The SDK renews a token when it knows that it has
ended; a token that is refused makes it ask the person again.
"""

import asyncio
import base64
import contextlib
import html.parser
import importlib
import json
import pathlib
import sys
import time
import traceback
import types
import urllib.parse

import anyio
from mcp.client.auth import OAuthClientProvider
from mcp.shared import auth

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "clients"))

from python_host import POLL_S, Host, fill, need  # noqa: E402

V2 = hasattr(auth, "AuthorizationCodeResult")
http = importlib.import_module("httpx2" if V2 else "httpx")
SHARED = json.loads((HERE / "shared.json").read_text())
REDIRECT = SHARED["client"]["redirect_uris"][0]
WELL_KNOWN = "/.well-known/oauth-protected-resource"
# Their eras.
TARGETS = ("new", "old")
LIMIT_S = 60
PAGES = 6
# Longer than a token is good.
LONG = {"steps": 90, "delay_ms": 50}
EVENTS, JSON = "text/event-stream", "application/json"


# === the person and the client ===


class Wire(http.AsyncHTTPTransport):
    """Remembers what the client sent, and what answered."""

    def __init__(self):
        super().__init__()
        self.seen = []

    async def handle_async_request(self, request):
        response = await super().handle_async_request(request)
        kind = response.headers.get("content-type", "").split(";")[0]
        form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        body = json.loads(request.content) if request.method == "POST" and request.headers.get("content-type") == JSON else {}
        seen = types.SimpleNamespace(
            headers=dict(request.headers),
            body=body,
            rpc=body.get("method"),
            method=request.method,
            url=str(request.url),
            form=dict(urllib.parse.parse_qsl(request.content.decode())) if form else {},
            token=request.headers.get("authorization", "").removeprefix("Bearer "),
            session=request.headers.get("mcp-session-id"),
            resumed=request.headers.get("last-event-id"),
            status=response.status_code,
            challenge=response.headers.get("www-authenticate", ""),
            kind=kind,
            answer=json.loads(await response.aread() or b"null") if kind == JSON else None,
        )
        self.seen.append(seen)
        return response

    def grants(self, kind):
        return [one for one in self.seen if one.form.get("grant_type") == kind]


class Page(html.parser.HTMLParser):
    """The form of a page."""

    form = None

    def handle_starttag(self, tag, attributes):
        if tag == "form":
            self.form = dict(attributes)


class Person:
    """Signs in with a browser, and lets the client have what it asks for. The browser stays signed in."""

    def __init__(self, name):
        self.name, self.asked, self.pages, self.landed = name, [], [], None
        self.browser = http.AsyncClient(trust_env=False)

    async def visit(self, url):
        self.asked.append(dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query)))
        request = self.browser.build_request("GET", url)
        for _ in range(4 * PAGES):
            response = await self.browser.send(request)
            if response.is_redirect:
                url = str(response.url.join(response.headers["location"]))
                if url.startswith(REDIRECT):
                    self.landed = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
                    return need("code" in self.landed, self.landed)
                request = self.browser.build_request("GET", url)
                continue
            need(response.status_code == 200, f"{response.url}: {response.status_code} {response.text[:300]}")
            page = Page()
            page.feed(response.text)
            self.pages.append(page.form["id"])
            fields = {"user": self.name, "password": SHARED["users"][self.name]} if page.form["id"] == "login" else {}
            request = self.browser.build_request("POST", str(response.url.join(page.form["action"])), data=fields)
        raise AssertionError(f"the authorization server asks without end: {self.pages}")

    async def landed_where(self):
        if V2:
            return auth.AuthorizationCodeResult(code=self.landed["code"], state=self.landed["state"], iss=self.landed.get("iss"))
        return self.landed["code"], self.landed["state"]


class Storage:
    """What a host keeps between two starts."""

    tokens = client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


class Visitor:
    """One person with one client at one gateway."""

    def __init__(self, gateway, adapter, name):
        self.gateway, self.adapter, self.url = gateway, adapter, gateway["url"]
        self.person, self.storage = Person(name), Storage()
        # A client registers itself, or names the document that describes it.
        document = {} if gateway["registers"] else {"client_metadata_url": SHARED["document"]}
        metadata = auth.OAuthClientMetadata.model_validate(SHARED["client"])
        self.provider = OAuthClientProvider(self.url, metadata, self.storage, self.person.visit, self.person.landed_where, **document)

    @property
    def token(self):
        return self.storage.tokens.access_token

    @contextlib.asynccontextmanager
    async def session(self):
        wire, host = Wire(), Host()
        host.answer = lambda params: {"action": "accept", "content": fill(params)}
        async with self.adapter.connect(self.url, host, wire, self.provider) as session:
            session.wire = wire
            yield session


# === what is checked ===


class Checks:
    """The methods `check_…`, in the order in which they stand here, each with the gateway's name before its own."""

    def __init__(self, world, gateway, adapter, era):
        self.world, self.gateway, self.adapter, self.era = world, gateway, adapter, era
        self.url, self.failed = gateway["url"], 0
        self.ada, self.eve = Visitor(gateway, adapter, "ada"), Visitor(gateway, adapter, "eve")

    async def run(self):
        for name, check in vars(Checks).items():
            if not name.startswith("check_"):
                continue
            started = time.monotonic()
            try:
                with anyio.fail_after(LIMIT_S):
                    ok, detail = True, await check(self)
            except Exception as error:
                traceback.print_exc()
                while isinstance(error, BaseExceptionGroup):
                    error = error.exceptions[0]
                ok, detail = False, f"{type(error).__name__}: {error}"
            self.failed += ok is False
            name = f"{self.gateway['name']}-{name.removeprefix('check_').replace('_', '-')}"
            print(json.dumps({"check": name, "ok": ok, "detail": detail, "seconds": round(time.monotonic() - started, 2)}), flush=True)

    async def check_the_challenge_leads_to_a_token(self):
        async with self.ada.session() as session:
            await self.echo(session)
        seen, issuer = session.wire.seen, self.world["issuer"]
        parts = urllib.parse.urlsplit(self.url)
        document = f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}{parts.path}"
        need((seen[0].url, seen[0].status, seen[0].token) == (self.url, 401, ""), vars(seen[0]))
        need(f'resource_metadata="{document}"' in seen[0].challenge and 'scope="invoke"' in seen[0].challenge, seen[0].challenge)
        steps = [(one.method, one.url, one.status) for one in seen[1:6]]
        wanted = [("GET", document, 200), ("GET", f"{issuer}/.well-known/oauth-authorization-server", 200)]
        wanted += [("POST", f"{issuer}/reg", 201)] if self.gateway["registers"] else []
        wanted += [("POST", f"{issuer}/token", 200), ("POST", self.url, 200)]
        need(steps[: len(wanted)] == wanted, steps)
        asked = self.ada.person.asked[0]
        need((asked["resource"], asked["code_challenge_method"]) == (self.url, "S256") and "invoke" in asked["scope"].split(), asked)
        need(self.gateway["registers"] or asked["client_id"] == SHARED["document"], asked)
        need(self.ada.person.pages == ["login", "consent"], self.ada.person.pages)
        claims = claims_of(self.ada.token)
        need((claims["aud"], claims["iss"], claims["sub"], claims["scope"]) == (self.url, issuer, "ada", "invoke"), claims)

    async def check_calls_stream_and_ask(self):
        seen = []
        async with self.ada.session() as session:
            for target in TARGETS:
                result = await session.call(f"{target}___sg_progress", {"steps": 3, "delay_ms": 10}, lambda value, *_: seen.append(value))
                need(result["structuredContent"] == {"steps": 3}, result)
            calls = [one.kind for one in session.wire.seen if one.rpc == "tools/call"]
            need((seen, calls) == ([1, 2, 3] * 2, [EVENTS] * 2), f"{seen} {calls}")
            for target in TARGETS:
                result = await session.call(f"{target}___sg_elicit_form", {})
                need(result["structuredContent"]["action"] == "accept", result)
            need(len(session.host.asked) == 2, session.host.asked)
        need(len(self.ada.person.asked) == 1, "the person was asked again")

    async def check_the_session_goes_on_with_new_tokens(self):
        async with self.ada.session() as session:
            await self.echo(session)
            first = self.ada.token

            async def renewed():
                await self.echo(session)
                return len(session.wire.grants("refresh_token")) >= 2

            await until(renewed, True)
            need(self.ada.token != first, "the token is the same")
            self.one_session(session)
        need(all(grant.status == 200 and grant.form["resource"] == self.url for grant in session.wire.grants("refresh_token")), "refused")
        await until(lambda: knock(self.url, first), (401, "token_expired"))
        need(len(self.ada.person.asked) == 1, "the person was asked again")

    async def check_a_call_outlives_its_token(self):
        seen = []
        async with self.ada.session() as session:
            await self.echo(session)
            started = claims_of(self.ada.token)["exp"]
            result = await session.call("old___sg_progress", LONG, lambda value, *_: seen.append(value))
            need(result["structuredContent"] == {"steps": LONG["steps"]} and seen == sorted(set(seen)), f"{result} {seen}")
            need(seen[-1] == LONG["steps"], seen[-5:])
            await self.echo(session)
            need(claims_of(self.ada.token)["exp"] > started, "no token was renewed")
            self.one_session(session)
        # Streams of a session end with the token that opened them, and are resumed with the next one.
        resumed = [one.status for one in session.wire.seen if one.resumed and one.resumed[0] != "0"]
        need(resumed == ([200] if self.era == "legacy" else []), resumed)

    async def check_another_person_cannot_go_on_with_it(self):
        async with self.eve.session() as own:
            await self.echo(own)
        need(claims_of(self.eve.token)["sub"] == "eve", "another subject")
        await (self.steals_a_session() if self.era == "legacy" else self.steals_a_question())

    async def steals_a_session(self):
        async with self.ada.session() as session:
            await self.echo(session)
            for method in ("POST", "GET", "DELETE"):
                async with self.eve.session() as own:
                    await self.echo(own)
                headers = {"mcp-protocol-version": "2025-11-25", "mcp-session-id": session.session_id()}
                status, reason = await knock(self.url, self.eve.token, method, headers)
                need((status, reason) == (404, "session_not_found"), f"{method}: {status} {reason}")
            await self.echo(session)
            self.one_session(session)

    async def steals_a_question(self):
        """There are no sessions: what waits in the gateway is a call of a target with sessions, whose question is open."""
        refusals = []

        async def answer(params):
            asked = next(one for one in session.wire.seen[::-1] if one.rpc == "tools/call")
            result = asked.answer["result"]
            more = {"requestState": result["requestState"], "inputResponses": {name: {"action": "decline"} for name in result["inputRequests"]}}
            async with self.eve.session() as own:
                await self.echo(own)
            headers = {name: value for name, value in asked.headers.items() if name.startswith("mcp-")}
            message = {**asked.body, "params": {**asked.body["params"], **more}}
            refusals.append(await knock(self.url, self.eve.token, "POST", headers, message))
            return {"action": "accept", "content": fill(params)}

        async with self.ada.session() as session:
            session.host.answer = answer
            result = await session.call("old___sg_elicit_form", {})
        need(result["structuredContent"]["action"] == "accept", result)
        need(refusals == [(200, "invalid_request_state")], refusals)

    async def check_a_token_of_another_gateway_is_refused(self):
        other = next(one for one in self.world["gateways"] if one is not self.gateway)
        visitor = Visitor(other, self.adapter, "ada")
        with contextlib.suppress(Exception):
            async with visitor.session() as session:
                await self.echo(session)
        need(claims_of(visitor.token)["aud"] == other["url"], claims_of(visitor.token))
        status, reason = await knock(self.url, visitor.token)
        need((status, reason) == (401, "token_audience"), f"{status} {reason}")

    async def check_more_scopes_are_asked_for_in_the_session(self):
        """The gateway wants more from now on."""
        self.ada.person.pages.clear()
        async with self.ada.session() as session:
            await self.echo(session)
            changed = await asyncio.create_subprocess_exec(*self.gateway["tighten"], stdout=asyncio.subprocess.DEVNULL)
            need(await changed.wait() == 0, "the gateway was not changed")

            async def granted():
                await self.echo(session)
                return "admin" in claims_of(self.ada.token)["scope"].split()

            await until(granted, True)
            self.one_session(session)
        refused = [one for one in session.wire.seen if one.status == 403]
        need(len(refused) == 1 and 'error="insufficient_scope"' in refused[0].challenge and 'scope="admin"' in refused[0].challenge, len(refused))
        # Who they are is known; what the client may have is asked.
        need(self.ada.person.pages == ["consent"], self.ada.person.pages)
        return f"granted: {claims_of(self.ada.token)['scope']}"

    # === helpers ===

    async def echo(self, session):
        result = await session.call("new___sg_echo", {"text": "ferry"})
        need(result.get("structuredContent") == {"text": "ferry"}, result)

    def one_session(self, session):
        """Nothing was lost on the way: all requests were of one session, and none was unknown."""
        own = [one for one in session.wire.seen if one.url == self.url]
        need(len({one.session for one in own} - {None}) == (self.era == "legacy"), [one.session for one in own])
        need(all(one.status in (200, 202, 401, 403) for one in own), [one.status for one in own])


async def until(look, wanted):
    """Looks until it is as wanted."""
    end = time.monotonic() + LIMIT_S / 2
    while (found := await look()) != wanted:
        need(time.monotonic() < end, f"wanted {wanted}: {found}")
        await asyncio.sleep(POLL_S)


def claims_of(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


async def knock(url, token, method="POST", more=None, message=None):
    """Status and reason of one bare request."""
    headers = {"accept": f"{JSON}, {EVENTS}" if method == "POST" else EVENTS, "authorization": f"Bearer {token}", **(more or {})}
    message = message or {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    async with http.AsyncClient(trust_env=False, timeout=LIMIT_S) as client:
        answer = await client.request(method, url, json=message if method == "POST" else None, headers=headers)
    return answer.status_code, answer.json().get("error", {}).get("data", {}).get("reason")


async def main(era, path):
    adapter = importlib.import_module("python_v2" if V2 else "python_v1").Adapter()
    adapter.options = types.SimpleNamespace(era=era)
    world = json.loads(pathlib.Path(path).read_text())
    runs = [Checks(world, gateway, adapter, era) for gateway in world["gateways"]]
    await asyncio.gather(*(run.run() for run in runs))
    return 1 if any(run.failed for run in runs) else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
