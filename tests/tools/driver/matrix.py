"""Client SDKs and revisions against servers of each era: who runs where, and the table of it."""

import dataclasses
import json
import pathlib
import re

OLDER, LEGACY, MODERN = "2025-06-18", "2025-11-25", "2026-07-28"
# Legs of the table, and what stands in its head. `direct` is a client's own era without a gateway.
COLUMNS = {"older-plain": f"server of {OLDER}", "plain": f"server of {LEGACY}", "modern-plain": f"server of {MODERN}", "direct": "without a gateway, own era"}


@dataclasses.dataclass(frozen=True)
class Client:
    """One client program, and the revision that it speaks."""

    sdk: str
    command: tuple
    revision: str = LEGACY

    @property
    def modern(self):
        return self.revision == MODERN

    def arguments(self, leg, reference):
        words = ["--era", "modern" if self.modern else "legacy", "--server-era", server_era(leg)]
        if self.modern and reference:
            # The server's session of who listens is not that of who calls.
            words += ["--touch", reference.replace("/mcp", "/control/touch")]
        return words if self.revision != OLDER else [*words, "--revision", self.revision]

    def runs_on(self, leg):
        """The oldest and the newest revision run without prefixes only, and a modern client needs a gateway before a legacy server."""
        through = ("older-plain", "plain", "modern-plain")
        legs = {OLDER: ("direct",), LEGACY: ("direct", "prefixed", "through"), MODERN: ("modern-direct",)}
        return leg in (*through, *legs[self.revision])

    @property
    def base(self):
        """The leg without a gateway that its other legs are compared with."""
        return "modern-direct" if self.modern else "direct"


def server_era(leg):
    """What the clients are told that the server speaks."""
    return {"modern": "modern", "older": OLDER}.get(leg.partition("-")[0], "legacy")


def clients(cache, folder):
    """All client suites by name."""
    python = {name: cache / "python" / name / "bin" / "python" for name in ("mcp-v1", "mcp-v2", "fastmcp")}
    node = cache / "bin" / "node"
    plain = {
        "python-v1": (python["mcp-v1"], folder / "python_v1.py"),
        "python-v2": (python["mcp-v2"], folder / "python_v2.py"),
        "ts-v1": (node, folder / "ts_v1.mjs"),
        "ts-v2": (node, folder / "ts_v2.mjs"),
        "fastmcp": (python["fastmcp"], folder / "fastmcp_client.py"),
        "inspector": ("bash", folder / "inspector.sh"),
    }
    suites = {name: Client(name, command) for name, command in plain.items()}
    for name, revision in [("python-v1", OLDER), ("ts-v2", OLDER), *((n, MODERN) for n in ("python-v2", "ts-v2", "fastmcp", "inspector"))]:
        suites[f"{name}-{revision}"] = Client(name, plain[name], revision)
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
    names = titles(tools)
    cells = {(o.suite, "direct" if o.leg == "modern-direct" else o.leg): cell(o, baseline) for o in outcomes if o.suite in suites}
    table = [["client", "revision", *COLUMNS.values()]]
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


def markdown(outcomes, suites, baseline, tools):
    """The table, what failed with its reason, and what an era has no place for."""
    head, *body = rows(outcomes, suites, baseline, tools)
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body)]
    failed = notes(outcomes, suites, False)
    if failed:
        lines += ["", "What failed or was refused:", ""]
        lines += [f"- `{name}` ({', '.join(where)}): {detail}" for (name, detail), where in failed.items()]
    lines += ["", "Not counted, because a revision has no place for it:", ""]
    for (name, detail), where in notes(outcomes, suites, "lacks").items():
        lines.append(f"- `{name}`: {detail}")
    for (name, detail), where in notes(outcomes, suites, "skip").items():
        lines.append(f"- `{name}` ({', '.join(where)}): {detail}")
    return "\n".join(lines) + "\n"


def write(path, *arguments):
    pathlib.Path(path).write_text(markdown(*arguments))
