#!/usr/bin/env python3
"""Measure how long a session that waits goes on after what should end it; run by bench/cancel.

Sessions are brought to wait in each way; then comes the cause.  Taken is the time
from the signal (the end of the connection; when the timeout was due) until the
client has the error, or until the process is gone where that is what ends.
Beside it pg_sleep(), ended by the same cause in the same run.
"""

import argparse
import os
import select
import signal
import socket
import statistics
import struct
import subprocess
import tempfile
import time

from batch import Mock

CAUSES = ("cancel", "timeout", "terminate", "client gone", "fast", "immediate")
TIMEOUT_MS = 1500
LONG = 10_000_000
PATIENT = "connect_timeout '600', request_timeout '600', allow_private_address 'true'"


class Client:
    """A session, by the protocol: what a driver does would be measured too."""

    def __init__(self):
        self.buffer = b""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(os.path.join(os.environ["PGHOST"], f".s.PGSQL.{os.environ['PGPORT']}"))
        body = b"".join(part.encode() + b"\0" for part in
                        ("user", os.environ.get("PGUSER", "postgres"), "database", "postgres", ""))
        self.socket.sendall(struct.pack("!ii", len(body) + 8, 196608) + body)
        self.pid = 0
        self.wait_for(b"Z")

    def message(self):
        """(type, body) of the next message; (b"", b"") at the end."""
        while len(self.buffer) < 5 or len(self.buffer) < 1 + struct.unpack("!i", self.buffer[1:5])[0]:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return b"", b""
            self.buffer += data
        length = struct.unpack("!i", self.buffer[1:5])[0]
        kind, body, self.buffer = self.buffer[:1], self.buffer[5:1 + length], self.buffer[1 + length:]
        if kind == b"K":
            self.pid = struct.unpack("!i", body[:4])[0]
        return kind, body

    def wait_for(self, kinds):
        """Read until a message of these kinds, or the end; returns the messages."""
        messages = []
        while True:
            messages.append(self.message())
            if messages[-1][0] == b"" or messages[-1][0] in kinds:
                return messages

    def send(self, sql):
        """Begin a query."""
        data = sql.encode() + b"\0"
        self.socket.sendall(b"Q" + struct.pack("!i", len(data) + 4) + data)

    def run(self, sql):
        """Its first column of the last row, or None."""
        self.send(sql)
        value = None
        for kind, body in self.wait_for(b"Z"):
            if kind == b"E":
                raise RuntimeError(body.replace(b"\0", b" ").decode())
            if kind == b"D":
                length = struct.unpack("!i", body[2:6])[0]
                value = body[6:6 + length].decode() if length >= 0 else None
        return value


def until(condition, what):
    """Poll a condition."""
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise RuntimeError(f"waited in vain for {what}")


def deaf_port(backlog, buffer=None):
    """A port that nobody reads from."""
    port = socket.socket()
    if buffer:
        port.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    port.bind(("127.0.0.1", 0))
    port.listen(backlog)
    return port


def black_hole():
    """A port whose queue is full, and what fills it."""
    port, full = deaf_port(0), []
    while True:
        full.append(socket.socket())
        full[-1].setblocking(False)
        full[-1].connect_ex(port.getsockname())
        if not select.select([], [full[-1]], [], 0.5)[1]:
            full.pop().close()
            return port, full


class World:
    """The server, and what sessions wait for."""

    def __init__(self):
        self.mock = Mock()
        self.ports = [deaf_port(512), deaf_port(512, 4096), *black_hole()]
        self.pipe = os.path.join(tempfile.mkdtemp(), "aliases")
        os.mkfifo(self.pipe)
        self.data = None
        self.texts = 0
        tls, unread, hole = (f"127.0.0.1:{port.getsockname()[1]}/v1" for port in self.ports[:3])
        own = f"http://127.0.0.1:{self.mock.port}/v1"
        self.states = {     # name -> (base_url, model, rows)
            "resolver": ("http://nonesuch:80/v1", "judge-fixed-true", 1),
            "connection": (f"http://{hole}", "judge-fixed-true", 1),
            "TLS handshake": (f"https://{tls}", "judge-fixed-true", 1),
            "request half sent": (f"http://{unread}", "judge-fixed-true", 1),
            "first byte": (own, "judge-fixed-true+hang", 1),
            "body": (own, "judge-fixed-true+drip-200", 1),
            "back-off": (own, "judge-fixed-true+500", 1000),
            "Retry-After": (own, "judge-fixed-true+429-s60", 1),
            "place": (own, "judge-fixed-true+hang", 1),
            "another's answer": (own, "judge-fixed-true+hang", 1),
            "full ring": (own, "judge-rules+long-100000", 9),
            "commit": (own, "judge-fixed-true", 1),
        }

    def prepare(self):
        """LMs and judges; a resolver that hangs needs the server's environment."""
        session = Client()
        self.data = session.run("SHOW data_directory")
        session.run("CREATE EXTENSION gepa")
        session.run("ALTER SYSTEM SET gepa.verdict_ring_size = '256kB'")
        session.run("ALTER SYSTEM SET log_min_messages = 'fatal'")
        for number, (state, (url, model, _)) in enumerate(self.states.items()):
            session.run(f"""CREATE SERVER lm{number} FOREIGN DATA WRAPPER gepa_lm
                OPTIONS (base_url '{url}', model '{model}', max_concurrency '{1 if state == "place" else 16}', {PATIENT})""")
            session.run(f"""SELECT gepa.create_judge('judge{number}', 'lm{number}', 'Is it good?',
                options => '{{"max_chars": {LONG}, "reasoning": true}}')""")
        os.environ["HOSTALIASES"] = self.pipe
        self.control("restart", "-m", "fast")

    def control(self, *arguments):
        """pg_ctl."""
        subprocess.run(["pg_ctl", "-s", "-w", "-D", self.data, "-l", "/dev/null", *arguments], check=True)

    def postmaster(self):
        """Its pid."""
        with open(os.path.join(self.data, "postmaster.pid"), encoding="ascii") as file:
            return int(file.readline())

    def statement(self, state):
        """SQL that waits so."""
        if state == "pg_sleep()":
            return "SELECT pg_sleep(600)"
        number = list(self.states).index(state)
        self.texts += 1
        text = f"repeat('long ', {LONG // 5})" if state == "request half sent" else \
            "'the same'" if state == "another's answer" else f"'text {self.texts} '"
        return f"SELECT count(gepa_judge('judge{number}', {text} || i)) FROM generate_series(1, {self.states[state][2]}) i"

    def stop_writer(self, session):
        """Stop it where it is; returns its pid."""
        while True:
            self.texts += 1
            session.run(f"SELECT gepa_judge('judge{list(self.states).index('commit')}', 'warm {self.texts}')")
            pid = session.run("SELECT pid FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer'")
            if pid is not None:
                os.kill(int(pid), signal.SIGSTOP)
                return int(pid)

    def begin(self, session, state, settings):
        """Let it wait; returns since when."""
        for setting in settings:
            session.run(setting)
        now = time.monotonic()
        session.send(self.statement(state))
        return now


def settled(watcher, session):
    """Whether a session has come to wait."""
    event = f"""SELECT wait_event IS NOT NULL AND wait_event <> 'ClientRead' AND state = 'active'
        FROM pg_stat_activity WHERE pid = {session.pid}"""
    return watcher.run(event) == "t"


def end(cause, world, session):
    """Bring the cause about; returns when it was."""
    now = time.monotonic()
    if cause == "cancel":
        os.kill(session.pid, signal.SIGINT)
    elif cause == "terminate":
        os.kill(session.pid, signal.SIGTERM)
    elif cause == "client gone":
        session.socket.close()
    elif cause in ("fast", "immediate"):
        os.kill(world.postmaster(), signal.SIGINT if cause == "fast" else signal.SIGQUIT)
    return now


def gone(pid):
    """When the process has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return time.monotonic()
    ready = select.select([descriptor], [], [], 60)[0]
    os.close(descriptor)
    if not ready:
        raise RuntimeError(f"process {pid} goes on")
    return time.monotonic()


def measure(world, state, cause):
    """Milliseconds from the cause to the end of the statement."""
    watcher, session = Client(), Client()
    settings = [f"SET statement_timeout = {TIMEOUT_MS}"] if cause == "timeout" else []
    if state == "pg_sleep()":
        settings.append("SET client_connection_check_interval = 10")
    writer = world.stop_writer(watcher) if state in ("full ring", "commit") else 0
    holder = Client() if state in ("place", "another's answer") else None
    if holder:      # whose call does not end
        world.begin(holder, state, [])
        until(lambda: settled(watcher, holder), "a call that is in the way")
    try:
        begun = world.begin(session, state, settings)
        if cause == "timeout":
            start = begun + TIMEOUT_MS / 1000
        else:
            until(lambda: settled(watcher, session), state)
            time.sleep(0.2)     # on to where it waits
            start = end(cause, world, session)
        if cause in ("cancel", "timeout"):
            session.wait_for(b"EC")
            stop = time.monotonic()
        else:
            stop = gone(session.pid)
    finally:
        if writer:
            os.kill(writer, signal.SIGCONT)
    for client in filter(None, (session, watcher, holder)):
        client.socket.close()
    if cause in ("fast", "immediate"):
        until(lambda: not os.path.exists(os.path.join(world.data, "postmaster.pid")), "the end of the server")
        world.control("start")
    return 1000 * (stop - start)


def main():
    """A row for each state, a column for each cause."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=10)
    options = parser.parse_args()
    world = World()
    world.prepare()
    print(f"ms from the cause to the end, median / maximum of {options.repeat}\n")
    print(f"{'waits for':20}" + "".join(f"{cause:>16}" for cause in CAUSES), flush=True)
    for state in ["pg_sleep()", *world.states]:
        cells = []
        for cause in CAUSES:
            taken = [measure(world, state, cause) for _ in range(options.repeat)]
            cells.append(f"{statistics.median(taken):.1f} / {max(taken):.1f}")
        print(f"{state:20}" + "".join(f"{cell:>16}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
