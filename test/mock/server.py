"""A mock of LM servers, OpenAI-compatible and others, for tests; see README.md.

One process, one event loop, no thread.  It prints its port (with --tls FILE,
a certificate and its key, also the port that speaks TLS, to those only whom
--client-ca vouches for), closes stdout, and ends when stdin is closed, so it
dies with the test that started it.  With --port N it comes back where another
one was, with --unix PATH it listens at that socket, too.
What is answered is a function of the request (models.py, wire.py, send.py),
except for attempts, which are counted by model and messages, for the gate and
the meeting, and for stale, which wants a kept connection.
"""

import argparse
import asyncio
import itertools
import json
import os
import signal
import socket
import ssl
import struct
import time
from collections import Counter, deque
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import dialects
import models
import send
import wire

MAX_KEPT = 20000            # requests that the journal shows in full
MAX_BODY = 64 * 1024 * 1024
FILLER = b" " * (1024 * 1024)
HARMLESS = {"gate", "slow", "drip", "seed", "votes"}
WAITING = {"gate", "slow", "hang", "drip", "huge"}


class Gate:
    """Holds requests to models with +gate until they may pass."""

    def __init__(self):
        self.is_open = False
        self.passes = 0
        self.waiting = deque()

    def set(self, command):
        """{"open": bool} or {"pass": how many more}."""
        self.is_open = bool(command.get("open", self.is_open))
        self.passes += int(command.get("pass", 0))
        if command.get("open") is False:
            self.passes = 0
        while self.waiting and (self.is_open or self.passes > 0):
            future = self.waiting.popleft()
            if not future.done():
                self.passes -= 0 if self.is_open else 1
                future.set_result(None)

    async def wait(self):
        """Return when this request may pass."""
        if self.is_open:
            return
        if self.passes > 0:
            self.passes -= 1
            return
        future = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        await future

    def count(self):
        """Requests that wait now."""
        return sum(not future.done() for future in self.waiting)


class Meeting:
    """Holds requests until so many are in flight at a time, once."""

    def __init__(self):
        self.wanted = 0
        self.patience = 0
        self.waiting = []

    def set(self, wanted, patience=0):
        """The next requests meet when there are so many; 0: they do not."""
        self.part()
        self.wanted = wanted
        self.patience = patience

    def part(self):
        """Let all go."""
        self.wanted = 0
        for future in self.waiting:
            if not future.done():
                future.set_result(None)
        self.waiting = []

    async def wait(self, in_flight):
        """Return when all are there; alone when nobody comes."""
        if in_flight >= self.wanted:
            self.part()
            return
        future = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        await asyncio.wait([future], timeout=self.patience)


class Counts:
    """What the journal says of all requests, or of those to one model."""

    def __init__(self):
        self.requests = self.completed = self.aborted = self.answered = 0
        self.in_flight = self.peak = 0
        self.tokens = [0, 0]
        self.status = {}
        self.documents = Counter()
        self.sound = set()
        self.again = 0
        self.prompts = set()

    def begin(self, document, prompt):
        """A request has come."""
        self.requests += 1
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        self.documents[document] += 1
        self.prompts.add(prompt)

    def end(self, status):
        """It was answered; None: the client went away."""
        self.in_flight -= 1
        if status is None:
            self.aborted += 1
            return
        self.completed += 1
        self.answered += status == 200
        self.status[str(status)] = self.status.get(str(status), 0) + 1

    def show(self):
        """As JSON has it."""
        return {"requests": self.requests, "completed": self.completed, "aborted": self.aborted,
                "answered": self.answered, "in_flight": self.in_flight, "peak": self.peak,
                "input_tokens": self.tokens[0], "output_tokens": self.tokens[1],
                "again": self.again, "status": self.status, "documents": len(self.documents), "prompts": len(self.prompts)}


@dataclass
class Call:
    """One chat request on its way."""
    request: dict
    headers: dict
    model: str
    document: str
    attempt: int
    record: dict
    counts: list
    faulty: bool = False


class Mock:
    """What all connections share."""

    def __init__(self):
        self.gate = Gate()
        self.meeting = Meeting()
        self.bears = {}
        self.reset()

    def reset(self):
        """Forget all requests; those under way are counted no more."""
        self.meeting.set(0)
        self.total = Counts()
        self.by_model = {}
        self.attempts = {}
        self.kept = deque(maxlen=MAX_KEPT)
        self.connections = set()

    def begin(self, request, headers, connection):
        """Enter a chat request into the journal."""
        model = str(request.get("model"))
        messages = request.get("messages") or []
        prompt = hash(json.dumps(messages))
        document = models.unfence(models.message_text(messages[-1]) if messages else "")[0]
        self.attempts[(model, prompt)] = self.attempts.get((model, prompt), 0) + 1
        record = {"model": model, "messages": messages, "headers": headers, "time_in": time.time(),
                  "request": {k: v for k, v in request.items() if k not in ("model", "messages")}}
        self.kept.append(record)
        self.connections.add(connection)
        counts = [self.total, self.by_model.setdefault(model, Counts())]
        for count in counts:
            count.begin(document, prompt)
        return Call(request, headers, model, document, self.attempts[(model, prompt)], record, counts)

    def end(self, call, status):
        """The request was answered (0: the connection dropped) or given up."""
        for count in call.counts:
            count.end(status)
            if status == 200 and not call.faulty:
                count.again += call.document in count.sound
                count.sound.add(call.document)
        call.record.update(time_out=time.time(), status=status)

    def journal(self, full, texts):
        """The answer to GET /_journal."""
        shown = {**self.total.show(), "waiting": self.gate.count(), "connections": len(self.connections),
                 "by_model": {model: counts.show() for model, counts in self.by_model.items()}}
        if full:
            shown["list"] = list(self.kept)
        if texts:
            shown["texts"] = {model: dict(counts.documents) for model, counts in self.by_model.items()}
        return shown

    def charge(self, call, response):
        """Note the tokens that a response says it cost."""
        for count in call.counts:
            count.tokens = [a + b for a, b in zip(count.tokens, response.tokens)]
        call.record["tokens"] = response.tokens

    def answer(self, call):
        """(response, options that hold) for a chat request."""
        if self.total.in_flight > self.bears.get("limit", self.total.in_flight):
            rest = self.bears.get("retry_after")
            return wire.error(429, headers=() if rest is None else (("Retry-After", str(rest)),)), {}
        try:
            name = wire.parse_name(call.model)
            model = models.find_model(name.base)
        except wire.UnknownModel:
            model = None
        if model is None:
            return wire.error(404, message=f"The model {call.model!r} does not exist."), {}
        options = name.at(call.document, call.attempt)
        call.faulty = bool(options.keys() - HARMLESS)
        return wire.respond(call.request, call.headers, model, options | {"attempt": call.attempt},
                            call.document), options


connection_numbers = itertools.count()


class Connection(asyncio.Protocol):
    """One client: parses requests, one at a time, and answers them."""

    def __init__(self, mock):
        self.mock = mock
        self.buffer = b""
        self.transport = None
        self.number = None
        self.task = None
        self.call = None
        self.keep_alive = True
        self.continued = False
        self.nrequests = 0
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport):
        self.transport = transport
        self.number = next(connection_numbers)

    def connection_lost(self, exc):
        if self.task is not None:
            self.task.cancel()
        self.finish(None)

    def pause_writing(self):
        self.writable.clear()

    def resume_writing(self):
        self.writable.set()

    def data_received(self, data):
        self.buffer += data
        self.advance()

    def finish(self, status):
        """The call in flight, if any, has ended."""
        if self.call is not None:
            self.mock.end(self.call, status)
        self.call = self.task = None

    def advance(self):
        """Take the next whole request out of the buffer."""
        while self.task is None and not self.transport.is_closing():
            head, blank, rest = self.buffer.partition(b"\r\n\r\n")
            if not blank:
                return
            first, *lines = head.decode("latin-1").split("\r\n")
            pairs = (line.partition(":") for line in lines)
            headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
            body, used = self.take_body(headers, rest)
            if body is None:
                return
            self.buffer = rest[used:]
            self.continued = False
            self.nrequests += 1
            method, target, version = (first.split(" ") + ["", ""])[:3]
            self.keep_alive = headers.get("connection", "").lower() != "close" and version != "HTTP/1.0"
            self.handle(method, target, headers, body)

    def take_body(self, headers, rest):
        """(body, bytes of it in the buffer), or (None, 0) when not all is here."""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return take_chunks(rest)
        length = int(headers.get("content-length") or 0)
        if length > MAX_BODY:
            self.transport.close()
            return None, 0
        if len(rest) >= length:
            return rest[:length], length
        if headers.get("expect", "").lower() == "100-continue" and not self.continued:
            self.continued = True
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return None, 0

    def handle(self, method, target, headers, body):
        """Route a request."""
        path = urlsplit(target).path
        dialect, model = dialects.find(path)
        if method == "POST" and dialect:
            self.chat(headers, body, dialect, model)
        elif method == "GET" and path == "/v1/models":
            self.reply_json({"object": "list", "data": [{"id": m, "object": "model"} for m in models.MODELS]})
        elif method == "GET" and path == "/_journal":
            query = parse_qs(urlsplit(target).query)
            self.reply_json(self.mock.journal("full" in query, "texts" in query))
        elif method == "POST" and path == "/_reset":
            self.mock.reset()
            self.reply_json({})
        elif method == "POST" and path == "/_gate":
            self.mock.gate.set(json.loads(body or b"{}"))
            self.reply_json({"waiting": self.mock.gate.count()})
        elif method == "POST" and path == "/_bear":
            self.mock.bears = json.loads(body or b"{}")
            self.reply_json({})
        elif method == "POST" and path == "/_meet":
            meeting = json.loads(body)
            self.mock.meeting.set(int(meeting["count"]), float(meeting.get("patience", 1)))
            self.reply_json({})
        else:
            self.reply(wire.not_found(path), {})

    def reply_json(self, value):
        """Answer a request of the test's."""
        self.reply(wire.Response(200, json.dumps(value).encode()), {})

    def reply(self, response, options):
        """Send a response; returns the status that the journal shows."""
        sending = send.prepare(response, options, self.keep_alive)
        if self.call is not None and sending.readable:
            self.mock.charge(self.call, response)
        self.transport.write(sending.data)
        self.end(sending.end)
        return response.status if sending.whole else 0

    def end(self, how):
        """Keep the connection, close it, or reset it."""
        if how == "reset":      # nothing lingers: RST in place of FIN
            linger = struct.pack("ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()
        elif how == "close":
            self.transport.close()

    def chat(self, headers, body, dialect, model):
        """Answer at once where nothing is to be waited for."""
        try:
            given = json.loads(body)
        except ValueError:
            given = None
        if not isinstance(given, dict):
            self.reply(wire.error(400, message="The body is not a JSON object."), {})
            return
        try:
            request = dialect.to_chat(given, headers, model)
        except dialects.Refused as refused:
            self.reply(dialect.to_wire(refused.args[0], given), {})
            return
        self.call = self.mock.begin(request, headers, self.number)
        self.call.record["wire"] = given
        response, options = self.mock.answer(self.call)
        response = dialect.to_wire(response, request)
        if "stale" in options and self.nrequests > 1:
            self.transport.close()
            self.finish(0)
        elif self.mock.meeting.wanted or options.keys() & WAITING:
            self.task = asyncio.get_running_loop().create_task(self.chat_later(response, options))
        else:
            self.finish(self.reply(response, options))

    async def chat_later(self, response, options):
        """The same, after a meeting, a delay, the gate, or never."""
        if self.mock.meeting.wanted:
            await self.mock.meeting.wait(self.mock.total.in_flight)
        if "gate" in options:
            await self.mock.gate.wait()
        if "slow" in options:
            await asyncio.sleep(float(options["slow"]) / 1000)
        if "hang" in options:
            await asyncio.get_running_loop().create_future()
        if "drip" in options:
            await self.drip(send.to_bytes(response, options, False), float(options["drip"]) / 1000)
            status = response.status
        elif "huge" in options:
            status = await self.pour(response, options)
        else:
            status = self.reply(response, options)
        self.finish(status)
        self.advance()

    async def drip(self, data, pause):
        """Send byte by byte, with a pause after each."""
        for byte in data:
            self.transport.write(bytes([byte]))
            await asyncio.sleep(pause)
        self.transport.close()

    async def pour(self, response, options):
        """Send more than anybody wants, as fast as it is taken."""
        sending = send.prepare(response, options, self.keep_alive)
        self.transport.write(sending.data)
        for _ in range(sending.filler // len(FILLER)):
            await self.writable.wait()
            self.transport.write(FILLER)
        self.end(sending.end)
        return response.status


def take_chunks(data):
    """(body, bytes used) of a chunked body, or (None, 0)."""
    body, at = b"", 0
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return None, 0
        size = int(data[at:end].split(b";")[0], 16)
        if len(data) < end + 2 + size + 2:
            return None, 0
        body += data[end + 2:end + 2 + size]
        at = end + 2 + size + 2
        if size == 0:
            return body, at


def server_tls(certificate, client_ca):
    """TLS with a certificate; with client_ca only for those who have one of that issuer."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    if client_ca:
        tls.load_verify_locations(client_ca)
        tls.verify_mode = ssl.CERT_REQUIRED
    return tls


async def listen(mock, port=0, tls=None):
    """Open a port; returns its number."""
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(mock), "127.0.0.1", port, backlog=1024, ssl=tls)
    return server.sockets[0].getsockname()[1]


async def main():
    """Serve until the parent is gone."""
    loop = asyncio.get_running_loop()
    mock = Mock()
    stop = loop.create_future()
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls", metavar="FILE")
    parser.add_argument("--client-ca", metavar="FILE")
    parser.add_argument("--unix", metavar="PATH")
    options = parser.parse_args()
    ports = [await listen(mock, options.port)]
    if options.tls:
        ports.append(await listen(mock, tls=server_tls(options.tls, options.client_ca)))
    if options.unix:
        await loop.create_unix_server(lambda: Connection(mock), options.unix, backlog=1024)

    def end():
        if not stop.done():
            stop.set_result(None)

    def read_stdin():
        if not os.read(0, 4096):
            end()

    loop.add_signal_handler(signal.SIGTERM, end)
    loop.add_reader(0, read_stdin)
    print(*ports, flush=True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)    # sys.stdout.close() leaves it open
    await stop


if __name__ == "__main__":
    asyncio.run(main())
