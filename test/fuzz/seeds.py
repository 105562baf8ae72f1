"""Write the seeds of the corpora: bodies of the mock and of the unit tests, texts in many encodings.

    python3 seeds.py        leaves alone what the fuzzers found (found-*)
"""

import hashlib
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "mock"))

import models       # noqa: E402
import send         # noqa: E402
import wire         # noqa: E402

LONGEST = 8192
STATUSES = (400, 401, 403, 404, 408, 413, 422, 429, 500, 502, 503, 529)
ERRORS = (b'{"detail": [{"msg": "field required"}]}', b'[{"error": {"message": "no", "code": 400}}]',
          b'{"error": "flagged by moderation"}', b"upstream connect error", b'{"message": "context length", "type": "x"}')
THINKING = (b"<think>hm</think>yes", b"<think>on and on", b"a</think>{}", b'{"label": "</think>"}', b" <think>a</think>b</think>c")
RETRY_AFTER = (b"3", b" 7 ", b"99999999999999999999", b"Sun, 06 Nov 1994 08:49:37 GMT", b"Fri, 31 Dec 9999 23:59:59 GMT", b"soon",
               b"-5", b"1e30")
# a token with two alternatives, and the ends: numbers in response.c
PIECES = (14, 39, 16, 49, 18, 14, 39, 16, 49, 19, 36, 14, 42, 16, 50, 19, 19, 19, 19, 21)
# of PostgreSQL's encodings: number, Python's name, a text in it
TEXTS = ((0, "utf-8", "h\u00e9llo \u65e5\u672c\u8a9e \U0001f600\n"), (1, "euc_jp", "\u65e5\u672c\u8a9e \uff76\uff85\n"),
         (2, "gb2312", "\u4e2d\u6587 text\n"), (3, "euc_kr", "\ud55c\uad6d\uc5b4 text\n"), (6, "utf-8", "h\u00e9llo \u65e5\u672c\u8a9e \U0001f600\n"),
         (8, "latin-1", "h\u00e9llo w\u00f6rld\n"), (35, "shift_jis", "\u65e5\u672c\u8a9e \u8868\n"), (39, "gb18030", "\u4e2d\u6587\U0001f600 text\n"))


def responses():
    """Name -> input of the response fuzzer."""
    document = "<<<0123456789abcdef\na zorvex here\n0123456789abcdef>>>\n"
    request = {"model": "m", "logprobs": True, "messages": [{"role": "user", "content": document}]}
    judge = models.find_model("judge-fixed-true")
    for flag in sorted(wire.FLAGS):
        response = wire.respond(request, {}, judge, {flag: True}, document)
        head = b"0" if response.status == 200 else b"e" + bytes([response.status - 300])
        yield flag, head + response.body
        if response.status == 200 and flag in ("gzip", "tegzip"):
            yield "compressed", head + send.compress(response.body)
    for status in STATUSES:
        for page in ({}, {"html": True}):
            response = wire.respond(request, {}, judge, {"status": (status, "bare"), **page}, document)
            yield f"{status}{'-html' if page else ''}", b"e" + bytes([status - 300]) + response.body
    yield "gateway", b"0" + wire.respond(request, {}, judge, {"gateway": "429"}, document).body
    for number in range(4):     # pieces: a beginning, tokens, an end
        yield f"pieces-{number}", b"g" + bytes([number, *PIECES])
    for kind, texts in (("error", [b"d" + text for text in ERRORS]), ("think", THINKING), ("retry", RETRY_AFTER)):
        for number, text in enumerate(texts, 1):
            yield f"{kind}-{number}", kind[0].encode() + text


def exchanges():
    """The same of other dialects, from the exchanges of the unit tests."""
    for api, first in (("anthropic", b"a"), ("gemini", b"m")):
        with open(os.path.join(HERE, "..", "unit", "wire", f"{api}.json"), encoding="utf-8") as file:
            for number, exchange in enumerate(json.load(file), 1):
                body = json.dumps(exchange["body"]).encode()
                head = first if exchange["status"] == 200 else b"e" + bytes([exchange["status"] - 300])
                yield f"{api}-{number}", head + body
                for name, value in exchange.get("headers", {}).items():
                    yield f"header-{name}", f"h{name}: {value}\r\n".encode()


def windows():
    """Name -> input of the window fuzzer."""
    for number, python, text in TEXTS:
        for window in range(3):
            yield f"{number}-{python}-{window}", bytes([number, window, 20]) + (text * 12).encode(python)
    for number in range(0, 42):     # what is no text in any of them
        noise = b"".join(hashlib.sha256(bytes([number, i])).digest() for i in range(5)).replace(b"\0", b"\n")
        yield f"{number}-noise", bytes([number, number % 3, 30]) + noise


def write(target, inputs):
    """Replace the seeds of a target; equal ones are written once."""
    folder = os.path.join(HERE, "corpus", target)
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(folder):
        if name.startswith("seed-"):
            os.unlink(os.path.join(folder, name))
    seen = set()
    for name, data in inputs:
        if len(data) <= LONGEST and data not in seen:
            seen.add(data)
            with open(os.path.join(folder, "seed-" + name), "wb") as file:
                file.write(data)


if __name__ == "__main__":
    write("response", [*responses(), *exchanges()])
    write("window", windows())
