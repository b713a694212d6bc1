"""Starts servers, waits until they say where they listen, and ends them with everything they started."""

import os
import pathlib
import re
import signal
import subprocess
import threading
import time

ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/[\w/.-]*")
READY_LIMIT_S = 60
TERM_LIMIT_S = 10


class NotReady(Exception):
    """A server ended or said nothing in time; the message carries the end of its log."""


class Server:
    """One started program, in a process group of its own."""

    def __init__(self, name, process, log):
        self.name, self.process, self.log = name, process, log
        self.url = None

    def tail(self, size=1500):
        return self.log.read_text(errors="replace")[-size:].strip()

    def stop(self):
        for sign, limit in ((signal.SIGTERM, TERM_LIMIT_S), (signal.SIGKILL, TERM_LIMIT_S)):
            try:
                os.killpg(self.process.pid, sign)
            except ProcessLookupError:
                pass
            try:
                self.process.wait(limit)
            except subprocess.TimeoutExpired:
                continue
            if sign == signal.SIGTERM:
                # The program is gone; what it started and left in its group goes too.
                continue
            return


class Servers:
    """All servers of a run; leaving the context ends them, newest first."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.running = []
        self.lock = threading.Lock()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self.lock:
            running, self.running = self.running[::-1], []
        for server in running:
            server.stop()

    def start(self, name, command, *, not_these=(), address=None, environment=None, limit=READY_LIMIT_S):
        """Starts a program and waits for its address: printed on stdout, or `address` when the caller chose it.

        `not_these` are addresses that the program may print without being the one meant (its targets).
        """
        log = self.folder / f"{name}.log"
        out = log.open("wb")
        try:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        except OSError as error:
            raise NotReady(f"{name}: {error}") from error
        finally:
            out.close()
        server = Server(name, process, log)
        with self.lock:
            self.running.append(server)
        end = time.monotonic() + limit
        while time.monotonic() < end:
            if process.poll() is not None:
                raise NotReady(f"{name} ended with {process.returncode}: {server.tail()}")
            if address:
                if answers(address):
                    server.url = address
                    return server
            else:
                for found in ADDRESS.findall(log.read_text(errors="replace")):
                    if found.endswith("mcp") and found not in not_these:
                        server.url = found
                        return server
            time.sleep(0.05)
        raise NotReady(f"{name} said no address within {limit} s: {server.tail()}")


def answers(address):
    """Whether something accepts connections there."""
    import socket

    host, port = re.match(r"http://([\d.]+):(\d+)/", address).groups()
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def free_port():
    """A port for servers that cannot choose one themselves. Another program could take it in between: unlikely, and then the run says so."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
