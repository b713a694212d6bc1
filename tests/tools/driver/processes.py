"""Starts servers, waits until they say where they listen, and ends them with everything they started."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/[\w/.-]*")
READY_LIMIT_S = 60
TERM_LIMIT_S = 10


class NotReady(Exception):
    """A server ended or said nothing in time; the message carries the end of its log."""


class Program:
    """One started program, in a process group of its own, writing into its log."""

    def __init__(self, name, command, log, environment=None):
        self.name, self.log, self.url = name, log, None
        with log.open("wb") as out:
            try:
                self.process = subprocess.Popen(
                    [str(word) for word in command],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **(environment or {})},
                    start_new_session=True,
                )
            except OSError as error:
                raise NotReady(f"{name}: {error}") from error

    def tail(self, size=1500):
        return self.log.read_text(errors="replace")[-size:].strip()

    def stop(self):
        """Asks the whole group to end, then makes it: what the program started goes with it."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, sign)
            except ProcessLookupError:
                pass
            try:
                self.process.wait(TERM_LIMIT_S)
            except subprocess.TimeoutExpired:
                continue


class Programs:
    """All programs of a run; leaving the context ends them, newest first, and lets no new one start."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.running = []
        self.closed = False
        self.lock = threading.Lock()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self.lock:
            self.closed = True
            running, self.running = self.running[::-1], []
        for program in running:
            program.stop()

    def launch(self, name, command, log, environment=None):
        with self.lock:
            if self.closed:
                raise NotReady(f"{name}: the run is ending")
            program = Program(name, command, self.folder / log, environment)
            self.running.append(program)
        return program

    def end(self, programs):
        """Ends these before the others, newest first."""
        for program in programs[::-1]:
            program.stop()
        with self.lock:
            self.running = [p for p in self.running if p not in programs]

    def execute(self, name, command, limit, environment=None):
        """Runs a program to its end; returns its exit code (None when it had to be ended) and what it printed."""
        program = self.launch(name, command, f"{name}.out", environment)
        try:
            code = program.process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
        self.end([program])
        return code, program.log.read_text(errors="replace")

    def start(self, name, command, *, not_these=(), address=None, announced=None, environment=None, limit=READY_LIMIT_S):
        """Starts a server and waits for its address: printed on stdout, or `address` when the caller chose it.

        `not_these` are addresses that it may print without being the one meant (its targets). `announced` is how it says
        the address if that does not end in `mcp`: a pattern with one group.
        """
        server = self.launch(name, command, f"{name}.log", environment)
        process, log = server.process, server.log
        end = time.monotonic() + limit
        while time.monotonic() < end:
            if process.poll() is not None:
                raise NotReady(f"{name} ended with {process.returncode}: {server.tail()}")
            if address:
                if answers(address):
                    server.url = address
                    return server
            elif announced:
                if found := announced.search(log.read_text(errors="replace")):
                    server.url = found.group(1)
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
    host, port = re.match(r"http://([\d.]+):(\d+)/", address).groups()
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def free_port():
    """A port for servers that cannot choose one themselves. Another program could take it in between: unlikely, and then the run says so."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
