"""A small MCP server on stdio for the tests of this crate; what it does is said by the tool's name."""
import json, os, signal, subprocess, sys, time

def send(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()

def note(method, **params):
    send({"jsonrpc": "2.0", "method": method, "params": params})

mode = sys.argv[1] if len(sys.argv) > 1 else ""
if mode == "dies":
    sys.exit(3)
if mode == "stubborn":
    # Neither this process nor its child takes notice of SIGTERM; both outlive the end of input.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(300)"])
    open(sys.argv[2], "w").write(f"{os.getpid()} {child.pid}")
if mode == "leaves-child":
    child = subprocess.Popen(["sleep", "300"])
    open(sys.argv[2], "w").write(f"{os.getpid()} {child.pid}")

held = []
listening = None
modern = mode == "modern"
for line in sys.stdin:
    message = json.loads(line)
    method, id, params = message.get("method"), message.get("id"), message.get("params") or {}
    if mode == "picky" and method == "server/discover":
        sys.exit(4)
    elif mode == "silent" and method == "server/discover":
        pass
    elif modern and method == "server/discover":
        send({"jsonrpc": "2.0", "id": id, "result": {"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "public"}})
    elif modern and method == "subscriptions/listen":
        listening = id
        note("notifications/subscriptions/acknowledged", _meta={"io.modelcontextprotocol/subscriptionId": id})
    elif method == "initialize" and not modern:
        send({"jsonrpc": "2.0", "id": id, "result": {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "t", "version": "1"}}})
    elif method == "tools/call":
        tool = params.get("name")
        token = params.get("_meta", {}).get("progressToken")
        if tool == "progress":
            note("notifications/progress", progressToken=token, progress=1)
            note("notifications/message", level="info", data="working")
            send({"jsonrpc": "2.0", "id": id, "result": {"text": f"done {token}"}})
        elif tool == "noise":
            sys.stderr.write("x" * 100000 + "\nnoisy\n"); sys.stderr.flush()
            sys.stdout.write("this is no json\n\n{\"jsonrpc\": \"2.0\", \"id\": 999999, \"result\": {}}\n")
            send({"jsonrpc": "2.0", "id": id, "result": {"text": "quiet"}})
        elif tool == "env":
            send({"jsonrpc": "2.0", "id": id, "result": {"text": " ".join(sorted(os.environ))}})
        elif tool == "pid":
            send({"jsonrpc": "2.0", "id": id, "result": {"text": str(os.getpid())}})
        elif tool == "die":
            os._exit(7)
        elif tool == "huge":
            sys.stdout.write("y" * (64 << 20)); sys.stdout.flush()
        elif tool == "wrong":
            send({"jsonrpc": "2.0", "id": id, "result": 1, "error": {"code": 1, "message": ""}})
        elif tool == "hold":
            held.append(id)
        elif tool == "change":
            note("notifications/tools/list_changed", _meta={"io.modelcontextprotocol/subscriptionId": listening})
            send({"jsonrpc": "2.0", "id": id, "result": {"text": "changed"}})
        elif tool == "end":
            note("notifications/cancelled", requestId=listening)
            send({"jsonrpc": "2.0", "id": id, "result": {"text": "ended"}})
        elif tool == "held":
            send({"jsonrpc": "2.0", "id": id, "result": {"text": f"{len(held)}"}})
        elif tool == "ask":
            send({"jsonrpc": "2.0", "id": "q-1", "method": "elicitation/create", "params": {}})
            held.append(id)
    elif method == "notifications/cancelled":
        text = "cancelled" if params["requestId"] in held else "unknown"
        if modern:
            held.remove(params["requestId"])
        note("notifications/tools/list_changed", was=text)
    elif method == "notifications/release":
        for id in held:
            send({"jsonrpc": "2.0", "id": id, "result": {"text": "released"}})
        held.clear()
    elif method is None and id == "q-1":
        outcome = "answered" if "result" in message else f"refused {message['error']['code']}"
        send({"jsonrpc": "2.0", "id": held.pop(), "result": {"text": outcome}})
    elif method is not None and id is not None:
        send({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "unknown method"}})
if mode == "stubborn":
    time.sleep(300)
