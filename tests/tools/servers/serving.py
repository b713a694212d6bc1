"""What the Python servers share: a listening socket that is printed when it accepts, and the revision a request came in."""

import socket

import uvicorn

# The revision before requests said theirs.
UNSAID = "2025-03-26"


def revision(headers):
    """The revision that the request names; what it was served as, whatever the session was opened with."""
    return (headers or {}).get("mcp-protocol-version", UNSAID)


def serve(app, port):
    """Serves an ASGI application until the process is ended; with port 0 the system chooses one."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    # Listening before the line is printed: whoever reads it can connect at once.
    listener.listen(128)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    # Open streams would hold the end up.
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])
