"""Servers that others wrote, all behind one gateway: each is listed by its prefix and one tool of each is called."""

import json

from . import processes, wire


def node_program(cache, package):
    """The script that a pinned server package runs as its command."""
    folder = cache / "npm" / "servers" / "node_modules" / "@modelcontextprotocol" / package
    manifest = json.loads((folder / "package.json").read_text())
    return folder / next(iter(manifest["bin"].values()))


def targets(servers, cache, scratch):
    """Starts what has to be started; returns [(name, its `mcp:` configuration)] and the addresses used."""
    node = cache / "bin" / "node"
    everything = node_program(cache, "server-everything")
    files = scratch / "files"
    files.mkdir(exist_ok=True)
    (files / "note.txt").write_text("a note behind the gateway\n")
    port = processes.free_port()
    http = servers.start(
        "server-everything", [node, everything, "streamableHttp"], address=f"http://127.0.0.1:{port}/mcp", environment={"PORT": str(port)}
    )
    here = cache.parent
    shop = servers.start("fastmcp-server", [cache / "python" / "fastmcp" / "bin" / "python", here / "servers" / "fastmcp_server.py", "0"])
    memory = {"MEMORY_FILE_PATH": str(scratch / "memory.jsonl")}
    listed = [
        ("everything", {"url": http.url}),
        ("everything-stdio", {"command": str(node), "args": [str(everything), "stdio"]}),
        ("files", {"command": str(node), "args": [str(node_program(cache, "server-filesystem")), str(files)]}),
        ("memory", {"command": str(node), "args": [str(node_program(cache, "server-memory"))], "env": memory}),
        ("shop", {"url": shop.url}),
    ]
    return listed, [http.url, shop.url]


def calls(scratch):
    """One call of each target, and a text that its answer must hold."""
    entity = {"name": "gateway", "entityType": "thing", "observations": ["stands in front"]}
    return [
        ("everything", "echo", {"message": "over http"}, "over http"),
        ("everything-stdio", "echo", {"message": "over stdio"}, "over stdio"),
        ("files", "read_text_file", {"path": str(scratch / "files" / "note.txt")}, "a note behind the gateway"),
        ("memory", "create_entities", {"entities": [entity]}, "stands in front"),
        ("memory", "read_graph", {}, "stands in front"),
        ("shop", "add", {"a": 40, "b": 2}, "42"),
        ("shop", "count", {"steps": 3}, "counted to 3"),
    ]


def check(url, scratch, names):
    """Yields (item, True or what went wrong)."""
    try:
        with wire.Session(url) as session:
            yield "initialize", True
            tools = [t["name"] for t in session.tools()]
            for name in names:
                count = sum(t.startswith(f"{name}___") for t in tools)
                yield f"{name}-listed", True if count else f"no tool {name}___* among {tools[:10]}"
            for name, tool, arguments, wanted in calls(scratch):
                try:
                    text = json.dumps(session.call(f"{name}___{tool}", arguments))
                    yield f"{name}-{tool}", True if wanted in text else f"{wanted!r} is not in {text[:300]}"
                except wire.WireError as error:
                    yield f"{name}-{tool}", str(error)
    except (wire.WireError, KeyError) as error:
        yield "initialize", str(error)
