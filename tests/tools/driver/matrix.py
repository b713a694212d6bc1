"""Client SDKs and revisions against servers of each era: who runs where, and the table of it."""

import dataclasses
import json
import pathlib
import re

from . import expected

OLDER, LEGACY, MODERN = "2025-06-18", "2025-11-25", "2026-07-28"


# === servers ===


@dataclasses.dataclass(frozen=True)
class Server:
    """What stands at the far end of a leg: its SDK, the revision that it speaks, and what starts it (none: the reference server)."""

    sdk: str
    revision: str
    command: tuple = ()

    @property
    def era(self):
        return "modern" if self.revision == MODERN else "legacy"


RUST, RUST_MODERN = Server("rust", LEGACY), Server("rust", MODERN)


def servers(cache, folder):
    """The server of each leg."""

    def python(name):
        return cache / "python" / name / "bin" / "python"

    node = cache / "bin" / "node"
    return {
        "direct": RUST,
        "plain": RUST,
        "prefixed": RUST,
        "through": RUST,
        "older-python": Server("python-v1-older", OLDER, (python("mcp-2025-06-18"), folder / "all_python_v1.py", "0")),
        "older-ts": Server("ts-v1-older", OLDER, (node, folder / "all_ts_v1.mjs", "0", OLDER_PACKAGE)),
        "python": Server("python-v1", LEGACY, (python("mcp-v1"), folder / "all_python_v1.py", "0")),
        "ts": Server("ts-v1", LEGACY, (node, folder / "all_ts_v1.mjs", "0")),
        "modern-direct": RUST_MODERN,
        "modern-plain": RUST_MODERN,
        "modern-python": Server("python-v2", MODERN, (python("mcp-v2"), folder / "all_python_v2.py", "0")),
        "modern-ts": Server("ts-v2", MODERN, (node, folder / "all_ts_v2.mjs", "0")),
    }


OLDER_PACKAGE = "sdk-2025-06-18"
# Legs of the table. `direct` is a client's own era without a gateway.
SDK_LEGS = ("older-python", "older-ts", "python", "ts", "modern-python", "modern-ts")
COLUMNS = ("older-python", "older-ts", "plain", "python", "ts", "modern-plain", "modern-python", "modern-ts", "direct")
OWN_ERA = "Rust, own era, no gateway"


# === clients ===


@dataclasses.dataclass(frozen=True)
class Client:
    """One client program, and the revision that it speaks."""

    sdk: str
    command: tuple
    revision: str = LEGACY

    @property
    def modern(self):
        return self.revision == MODERN

    def arguments(self, leg, server, touch):
        words = ["--era", "modern" if self.modern else "legacy", "--server-era", server.era]
        words += ["--lacks", json.dumps(expected.lacks(self, server, leg)), "--refusals", json.dumps(expected.refusals(self, server))]
        # The server's session of who listens is not that of who calls.
        return [*words, "--touch", touch] if self.modern and touch else words

    def runs_on(self, leg):
        """The oldest and the newest revision run without prefixes only, and a modern client needs a gateway before a legacy server."""
        if self.sdk == "inspector" and leg in SDK_LEGS[1:]:
            # It starts a process for each check: one server of each revision is enough.
            return False
        legs = {OLDER: ("direct",), LEGACY: ("direct", "prefixed", "through"), MODERN: ("modern-direct",)}
        return leg not in ("direct", "modern-direct", "prefixed", "through") or leg in legs[self.revision]

    @property
    def base(self):
        """The leg without a gateway that its other legs are compared with."""
        return "modern-direct" if self.modern else "direct"


def clients(cache, folder):
    """All client suites by name."""
    python = {name: cache / "python" / name / "bin" / "python" for name in ("mcp-2025-06-18", "mcp-v1", "mcp-v2", "fastmcp")}
    node = cache / "bin" / "node"
    older = {
        "python-v1-older": (python["mcp-2025-06-18"], folder / "python_v1.py"),
        "ts-v1-older": (node, folder / "ts_v1.mjs", "--package", OLDER_PACKAGE),
    }
    plain = {
        "python-v1": (python["mcp-v1"], folder / "python_v1.py"),
        "python-v2": (python["mcp-v2"], folder / "python_v2.py"),
        "ts-v1": (node, folder / "ts_v1.mjs"),
        "ts-v2": (node, folder / "ts_v2.mjs"),
        "fastmcp": (python["fastmcp"], folder / "fastmcp_client.py"),
        "inspector": ("bash", folder / "inspector.sh"),
    }
    suites = {name: Client(name, command) for name, command in plain.items()}
    suites |= {name: Client(name, command, OLDER) for name, command in older.items()}
    suites |= {f"{name}-{MODERN}": Client(name, plain[name], MODERN) for name in ("python-v2", "ts-v2", "fastmcp", "inspector")}
    return suites


# === the table ===


def titles(tools):
    """How the table names the SDKs: with the versions that are pinned."""
    npm = {}
    for folder in ("sdk", "inspector"):
        npm |= json.loads((tools / "npm" / folder / "package.json").read_text())["dependencies"]

    def pinned(file, package):
        return re.search(rf"(?m)^{package}==(\S+)", (tools / "python" / f"{file}.txt").read_text()).group(1)

    return {
        "rust": "Rust",
        "python-v1-older": f"Python `mcp` {pinned('mcp-2025-06-18', 'mcp')}",
        "ts-v1-older": f"TypeScript `sdk` {npm[OLDER_PACKAGE].rpartition('@')[2]}",
        "python-v1": f"Python `mcp` {pinned('mcp-v1', 'mcp')}",
        "python-v2": f"Python `mcp` {pinned('mcp-v2', 'mcp')}",
        "ts-v1": f"TypeScript `sdk` {npm['@modelcontextprotocol/sdk']}",
        "ts-v2": f"TypeScript `client` {npm['@modelcontextprotocol/client']}",
        "fastmcp": f"FastMCP {pinned('fastmcp', 'fastmcp')}",
        "inspector": f"Inspector {npm['@modelcontextprotocol/inspector']}",
    }


def cell(outcome, baseline):
    """`passed/total` and the names of what failed or is a known refusal."""
    failed = [i.name for i in outcome.items if i.ok is False]
    known = [name for name in failed if baseline.expects(outcome.suite, outcome.leg, name)]
    total = [i for i in outcome.items if i.ok is True or i.ok is False]
    parts = [f"{len(total) - len(failed)}/{len(total)}"]
    parts += [f"failed: {', '.join(n for n in failed if n not in known)}"] * (len(failed) > len(known))
    parts += [f"refused: {', '.join(known)}"] * bool(known)
    return "; ".join(parts)


def rows(outcomes, suites, baseline, tools):
    """The table as lists of cells, its head first."""
    names, ends = titles(tools), servers(tools, tools)
    cells = {(o.suite, "direct" if o.leg == "modern-direct" else o.leg): cell(o, baseline) for o in outcomes if o.suite in suites}
    heads = [OWN_ERA if leg == "direct" else f"{ends[leg].revision}: {names[ends[leg].sdk]}" for leg in COLUMNS]
    table = [["client", "revision", *heads]]
    for suite, client in sorted(suites.items(), key=lambda pair: (pair[1].revision, list(names).index(pair[1].sdk))):
        line = [cells.get((suite, leg), "-") for leg in COLUMNS]
        if set(line) != {"-"}:
            table.append([names[client.sdk], client.revision, *line])
    return table


def notes(outcomes, suites, kind):
    """What the items of this kind say, each once, with those that it is true of."""
    said = {}
    for outcome in outcomes:
        client = suites.get(outcome.suite)
        if not client:
            continue
        for item in outcome.items:
            if item.ok == kind:
                detail = " ".join(str(item.detail).split())[:300].replace("|", "\\|")
                said.setdefault((item.name, detail), []).append(f"{outcome.suite} {outcome.leg}")
    return said


def refusals(outcomes, suites, tools):
    """A table of what was refused, with the words that the client saw: each error once, with whom it is between."""
    names, ends, found = titles(tools), servers(tools, tools), {}
    for outcome in outcomes:
        client, server = suites.get(outcome.suite), ends.get(outcome.leg)
        if client and outcome.leg in COLUMNS and client.sdk != "inspector":
            for check, refusal in expected.refusals(client, server).items():
                clients_of, servers_of = found.setdefault((refusal["error"], check), (set(), set()))
                clients_of.add(client.revision)
                servers_of.add(f"{server.revision}: {names[server.sdk]}")
    merged = {}
    for (error, check), (clients_of, servers_of) in found.items():
        merged.setdefault((error, ", ".join(sorted(clients_of)), "; ".join(sorted(servers_of))), []).append(f"`{check}`")
    body = [f"| {client} | {server} | {', '.join(sorted(checks))} | {error} |" for (error, client, server), checks in sorted(merged.items())]
    return ["| client | server | refused | with |", "| --- | --- | --- | --- |", *body]


def markdown(outcomes, suites, baseline, tools):
    """The table, what failed with its reason, and what an era has no place for."""
    head, *body = rows(outcomes, suites, baseline, tools)
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body)]
    failed = notes(outcomes, suites, False)
    if failed:
        lines += ["", "What failed or was refused:", ""]
        lines += [f"- `{name}` ({', '.join(where)}): {detail}" for (name, detail), where in failed.items()]
    lines += ["", *refusals(outcomes, suites, tools)]
    lines += ["", "Not counted, because a revision has no place for it:", ""]
    for (name, detail), where in notes(outcomes, suites, "lacks").items():
        lines.append(f"- `{name}`: {detail}")
    for (name, detail), where in notes(outcomes, suites, "skip").items():
        lines.append(f"- `{name}` ({', '.join(where)}): {detail}")
    return "\n".join(lines) + "\n"


def write(path, *arguments):
    pathlib.Path(path).write_text(markdown(*arguments))
