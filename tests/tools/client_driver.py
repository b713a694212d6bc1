#!/usr/bin/env python3.11
"""Makes the gateway a client of URL: the command that the conformance suite runs for its client scenarios.

Starts a gateway with URL as its only target, waits until it is ready, does as a client of the gateway what the scenario
wants to see, and ends the gateway. The last line on standard output is `{"driver": "ok"}` or says what went wrong.

    client_driver.py URL

The suite gives the scenario in MCP_CONFORMANCE_SCENARIO, its revision in MCP_CONFORMANCE_PROTOCOL_VERSION, and more for
some in MCP_CONFORMANCE_CONTEXT. The runner gives SESSIONGATE_BINARY, SESSIONGATE_DRIVER_ERA (`legacy` or `modern`: the
driver's own era, default that of the revision), SESSIONGATE_DRIVER_FOLDER (where the log stays) and
SESSIONGATE_DRIVER_LIMIT (seconds).
"""

import json
import os
import pathlib
import signal
import sys
import tempfile
import time
import urllib.error
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from driver import eras, processes  # noqa: E402

ROOT = HERE.parent.parent
READY_STEP_S = 0.05
SKILLS = "io.modelcontextprotocol/skills"
# Tools of http-invalid-tool-headers that a client must not use.
MALFORMED = (
    "invalid_empty_header",
    "invalid_object_header",
    "invalid_array_header",
    "invalid_null_header",
    "invalid_number_header",
    "invalid_duplicate_same_case",
    "invalid_duplicate_diff_case",
    "invalid_space_in_name",
    "invalid_colon_in_name",
    "invalid_non_ascii_name",
    "invalid_control_char_name",
)


class Limit(Exception):
    """The driver's time is over."""


# === the gateway ===


def configuration(url, folder):
    """JSON is YAML, so the file needs no writer of its own."""
    return {
        "listen": "127.0.0.1:0",
        "data_dir": str(folder / "data"),
        "shutdown_timeout": "2s",
        # The suite says localhost, which may be either family.
        "allow_private_networks": ["127.0.0.0/8", "::1/128"],
        "gateways": [{"name": "driver", "path": "/mcp", "naming": "plain", "targets": [{"name": "suite", "mcp": {"url": url}}]}],
    }


def wait_until_ready(server):
    """The catalogue is there: before, a client would see an empty one."""
    address = urllib.parse.urljoin(server.url, "/readyz")
    while True:
        try:
            with eras.OPENER.open(address, timeout=5):
                return
        except urllib.error.HTTPError as error:
            with error:
                error.read(1000)
        if server.process.poll() is not None:
            raise processes.NotReady(f"the gateway ended with {server.process.returncode}: {server.tail()}")
        time.sleep(READY_STEP_S)


# === what a client does, by scenario ===


def call(client, tool, arguments=None):
    given = eras.sample_object(tool["inputSchema"]) if arguments is None else arguments
    result = client.request("tools/call", {"name": tool["name"], "arguments": given}, tool)
    if result.get("isError"):
        raise eras.ClientError(f"{tool['name']}: {json.dumps(result)[:600]}")


def call_all(client, tools, context):
    """Every tool that the gateway shows, also those that it should have kept back."""
    if "toolCalls" in context:
        by_name = {t["name"]: t for t in tools}
        for wanted in context["toolCalls"]:
            call(client, by_name[wanted["name"]], wanted["arguments"])
        return
    for tool in tools:
        call(client, tool)


def echo_schema(client, tools, _context):
    """Gives the schema that came through the gateway back to the suite."""
    by_name = {t["name"]: t for t in tools}
    schema = by_name["json_schema_2020_12_tool"]["inputSchema"]
    call(client, by_name["json_schema_echo"], {"schema": schema})


def interleave(client, tools, _context):
    """An unrelated call while a question is open, besides every tool by itself."""
    by_name = {t["name"]: t for t in tools}

    def once(_question):
        client.before_answer = lambda question: None
        call(client, by_name["test_mrtr_unrelated"])

    client.before_answer = once
    call_all(client, tools, {})


def refused(client, tools, _context):
    """What is shown works; what is kept back is refused when it is called by its name all the same."""
    call_all(client, tools, {})
    for name in set(MALFORMED) - {t["name"] for t in tools}:
        try:
            client.request("tools/call", {"name": name, "arguments": {"value": "x"}})
        except eras.ClientError:
            continue
        raise eras.ClientError(f"{name}: called although its schema is malformed")


def list_only(client, tools, _context):
    """The server has the tool in its list only; the call still makes the gateway handle the tool's schema."""
    for tool in tools:
        try:
            call(client, tool)
        except eras.ClientError as error:
            if "-32601" not in str(error):
                raise


def skills(client, tools, _context):
    """As far as a host gets: the files of a skill only if the gateway knows skills at all."""
    if SKILLS in client.offers.get("extensions", {}):
        for skill in client.request("skills/list")["skills"]:
            client.request("resources/read", {"uri": skill["uri"]})


SPECIAL = {
    "http-invalid-tool-headers": refused,
    "json-schema-2020-12-preservation": echo_schema,
    "json-schema-ref-no-deref": list_only,
    "sep-2322-client-request-state": interleave,
}


def act(client, scenario, context):
    tools = client.pages("tools/list", "tools") if "tools" in client.offers else []
    if scenario.startswith("sep-2640-"):
        return skills(client, tools, context)
    SPECIAL.get(scenario, call_all)(client, tools, context)
    if "resources" in client.offers:
        for resource in client.pages("resources/list", "resources"):
            client.request("resources/read", {"uri": resource["uri"]})
    if "prompts" in client.offers:
        for prompt in client.pages("prompts/list", "prompts"):
            client.request("prompts/get", {"name": prompt["name"], "arguments": {a["name"]: "driver" for a in prompt.get("arguments", [])}})


def drive(url, folder, limit):
    scenario = os.environ.get("MCP_CONFORMANCE_SCENARIO", "")
    revision = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", eras.MODERN)
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    era = os.environ.get("SESSIONGATE_DRIVER_ERA") or ("modern" if revision >= eras.MODERN else "legacy")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    binary = os.environ.get("SESSIONGATE_BINARY") or target / "debug" / "sessiongate"
    with processes.Programs(folder) as servers:
        config = folder / "gateway.yaml"
        config.write_text(json.dumps(configuration(url, folder), indent=2))
        server = servers.start("gateway", [binary, "serve", "--config", config], not_these=[url], limit=limit)
        wait_until_ready(server)
        client = eras.connect(era, server.url, limit, None, revision)
        act(client, scenario, context)
        client.close()
        # What is left is to end the gateway, which has limits of its own.
        signal.alarm(0)
        print(f"driver: {scenario} on {revision} as a {era} client", flush=True)


def end_early(sign, _frame):
    # Once: what it interrupts ends the gateway, and is not to be interrupted itself.
    signal.signal(sign, signal.SIG_IGN)
    raise Limit("the time is over" if sign == signal.SIGALRM else "was told to end")


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    limit = int(os.environ.get("SESSIONGATE_DRIVER_LIMIT", "30"))
    signal.signal(signal.SIGALRM, end_early)
    signal.signal(signal.SIGTERM, end_early)
    signal.alarm(limit)
    trouble = None
    with tempfile.TemporaryDirectory(prefix="sessiongate-driver-") as spare:
        folder = pathlib.Path(os.environ.get("SESSIONGATE_DRIVER_FOLDER") or spare)
        try:
            drive(sys.argv[1], folder, limit)
        except (Limit, processes.NotReady, eras.ClientError, OSError, ValueError, LookupError) as error:
            trouble = f"{type(error).__name__}: {error}"
            log = folder / "gateway.log"
            print(log.read_text(errors="replace")[-4000:] if log.is_file() else "no log", file=sys.stderr)
    print(json.dumps({"driver": "failed", "message": trouble} if trouble else {"driver": "ok"}), flush=True)
    return 1 if trouble else 0


if __name__ == "__main__":
    sys.exit(main())
