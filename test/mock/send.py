"""From a Response to the bytes of the wire, with the faults of HTTP.

Each fault is an option of the model's name; several at once make one mess.
"""

import functools
import zlib
from dataclasses import dataclass

HUGE_BYTES = 100 * 1024 * 1024
BOMB_BYTES = 100 * 1024 * 1024
HEADER_BYTES = 1024 * 1024
REASONS = {200: "OK", 204: "No Content", 307: "Temporary Redirect", 404: "Not Found", 429: "Too Many Requests"}


@dataclass
class Response:
    """What is answered."""
    status: int
    body: bytes = b""
    headers: tuple = ()
    content_type: str = "application/json"
    tokens: tuple = (0, 0)      # input and output, as the body says, if it can be read


@dataclass
class Sending:
    """What goes over the wire; then the connection stays, closes or resets."""
    data: bytes
    end: str = "keep"           # keep, close, reset
    filler: int = 0             # bytes of filler behind the data
    whole: bool = True          # all of it was sent
    readable: bool = True       # a client can make out the body


# What hides the body from a client that does not guess.
HIDDEN = {"gzip", "bomb", "tebomb", "http09", "headers", "longheader", "longstatus", "nulheader", "continues", "badchunk",
          "cutchunk", "shortlength", "longlength", "badlength", "twolengths", "drip", "huge"}


@functools.lru_cache(maxsize=None)
def bomb():
    """A few hundred kB that are very many when unpacked."""
    return compress(b" " * BOMB_BYTES)


def compress(data):
    """As gzip does."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def encode_body(response, options):
    """(body, headers that say how it is encoded)."""
    if "bomb" in options or "tebomb" in options:
        body = bomb()
    elif "gzip" in options or "tegzip" in options:
        body = compress(response.body)
    else:
        return response.body, []
    return body, ["Content-Encoding: gzip"] if "gzip" in options or "bomb" in options else []


def chunks(body, options):
    """A body in two chunks; with badchunk a third that is none, with cutchunk no end."""
    half = len(body) // 2
    data = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:]) if part)
    return data + b"zz\r\n" if "badchunk" in options else data[:-half] if "cutchunk" in options else data + b"0\r\n\r\n"


def frame(body, options):
    """(body, headers that say where it ends)."""
    if options.keys() & {"tegzip", "tebomb"}:
        return chunks(body, options), ["Transfer-Encoding: gzip, chunked"]
    if options.keys() & {"chunked", "badchunk", "cutchunk"}:
        return chunks(body, options), ["Transfer-Encoding: chunked"]
    if options.keys() & {"nolength", "http10"}:
        return body, []
    length = len(body) + ("huge" in options) * HUGE_BYTES
    for option, shown in (("shortlength", length // 2), ("longlength", length + 100), ("badlength", "many")):
        if option in options:
            length = shown
    lengths = [f"Content-Length: {length}"]
    return body, lengths + ["Content-Length: 1"] if "twolengths" in options else lengths


def odd_headers(options):
    """Headers that nobody wants."""
    if "headers" in options:
        return [f"X-Filler-{i}: {'x' * 80}" for i in range(HEADER_BYTES // 100)]
    if "longheader" in options:
        return ["X-Filler: " + "x" * HEADER_BYTES]
    return ["X-Nothing: a\0b"] if "nulheader" in options else []


def first_line(response, options):
    """The status line."""
    reason = REASONS.get(response.status, "Status")
    if "longstatus" in options:
        reason = "x" * HEADER_BYTES
    return f"HTTP/{'1.0' if 'http10' in options else '1.1'} {response.status} {reason}"


def interim(options):
    """Responses that come before the response."""
    if "continues" in options:
        return b"HTTP/1.1 100 Continue\r\n\r\n" * (HEADER_BYTES // 25)
    return b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n" if "hints" in options else b""


def to_bytes(response, options, keep_alive):
    """The whole of a response; http09 has no head."""
    body, encoding = encode_body(response, options)
    if "http09" in options:
        return body
    body, framing = frame(body, options)
    if response.status in (204, 304):
        body, framing = b"", []
    head = [first_line(response, options), f"Content-Type: {response.content_type}", *encoding, *framing,
            *(f"{name}: {value}" for name, value in response.headers), *odd_headers(options)]
    if not keep_alive:
        head.append("Connection: close")
    return interim(options) + "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


def prepare(response, options, keep_alive):
    """How a response is sent."""
    says_keep = keep_alive and not options.keys() & {"close", "nolength", "http10"}
    data = to_bytes(response, options, says_keep)
    sending = Sending(data, "keep" if says_keep and not options.keys() & {
        "closing", "http09", "longlength", "badchunk", "cutchunk", "twolengths", "badlength"} else "close")
    sending.readable = not options.keys() & HIDDEN
    if "huge" in options:
        sending.filler = HUGE_BYTES
    for option, share in (("drop", 0), ("reset", 0), ("drop-body", 0.5), ("reset-body", 0.5)):
        if option in options:
            head = len(data) - len(response.body) if share else 0
            sending = Sending(data[:head + int(share * len(response.body))],
                              "reset" if "reset" in option else "close", whole=False, readable=False)
    return sending
