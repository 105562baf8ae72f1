"""From an Answer to the bytes of a response, with the faults a name asks for.

A model's name is BASE+MODIFIER+MODIFIER..., a modifier is NAME or NAME-VALUE
or a status such as 429-date-once; README.md lists them.
"""

import json
import math
import re
import time
from dataclasses import dataclass
from email.utils import formatdate

from models import percent

STATUS = re.compile(r"(\d{3})(-date|-bare|-s\d+)?(-once|-n\d+)?$")
COUNTED = re.compile(r"(drop|drop-body|slow-\d+|hang|html)-(?:once|n(\d+))$")
FLAGS = frozenset("""
    drop drop-body truncated-json html huge badlabel prose extra fenced empty length refusal filter
    think unclosed reasoning tool choices wrongtype dupkeys nul badutf8 nan nousage logprobs
    nologprobs badlogprobs splittoken noschema toolong quota leak gate hang gullible skew
    chunked badchunk close nolength script plain nochoices
""".split())
VALUED = re.compile(r"(lacks|slow|garbage|reject|key|bias|drip|long|redirect)-(.+)$", re.S)

HUGE_BYTES = 20 * 1024 * 1024
MESSAGES = {
    400: ("invalid_request_error", "The request is not valid."),
    401: ("invalid_api_key", "Incorrect API key provided."),
    403: ("permission_denied", "This key may not use this model."),
    404: ("model_not_found", "The model does not exist."),
    429: ("rate_limit_exceeded", "Rate limit reached."),
}


class UnknownModel(Exception):
    """A name that means nothing here."""


@dataclass
class StatusFault:
    """Answer with a status; at all times or the first few."""
    status: int
    retry_after: str    # "-date", "-bare", "-s3" or ""
    times: float        # attempts at the same messages


@dataclass
class Name:
    """A model's name taken apart."""
    base: str
    options: dict       # flag -> True, valued -> text
    statuses: list      # of StatusFault
    counted: dict       # flag or slow -> attempts it holds for


def parse_name(name):
    """Take a model's name apart."""
    base, *modifiers = name.split("+")
    parsed = Name(base, {}, [], {})
    for modifier in modifiers:
        status, counted = STATUS.match(modifier), COUNTED.match(modifier)
        if status:
            times = status.group(3) or ""
            parsed.statuses.append(StatusFault(int(status.group(1)), status.group(2) or "", count_of(times)))
            continue
        if counted:
            modifier = counted.group(1)
            parsed.counted[modifier.partition("-")[0] if modifier.startswith("slow-") else modifier] = \
                int(counted.group(2) or 1)
        valued = VALUED.match(modifier)
        if modifier in FLAGS:
            parsed.options[modifier] = True
        elif valued:
            parsed.options[valued.group(1)] = valued.group(2)
        else:
            raise UnknownModel(name)
    return parsed


def count_of(suffix):
    """-once, -n3 or nothing, which is always."""
    if suffix == "-once":
        return 1
    return int(suffix[2:]) if suffix else math.inf


@dataclass
class Response:
    """What goes over the wire; cut: close after so many bytes of it."""
    status: int
    body: bytes = b""
    headers: tuple = ()
    content_type: str = "application/json"
    cut: int = None
    chunked: bool = False
    badchunk: bool = False
    close: bool = False
    length: bool = True         # send Content-Length


def error(status, code=None, message=None, headers=()):
    """An error in OpenAI's form."""
    kind, text = MESSAGES.get(status, ("server_error", "The server had an error."))
    body = {"error": {"message": message or text, "type": kind, "code": code or kind}}
    return Response(status, json.dumps(body).encode(), headers)


def retry_after(fault):
    """The Retry-After header of a fault: 1 s unless the name says otherwise."""
    if fault.retry_after == "-bare" or fault.status not in (429, 503):
        return ()
    if fault.retry_after == "-date":
        # a date has whole seconds: two from now are at least one
        return (("Retry-After", formatdate(time.time() + 2, usegmt=True)),)
    return (("Retry-After", fault.retry_after[2:] or "1"),)


def key_refused(name, headers):
    """True when the name wants another key than the request has."""
    wanted = name.options.get("key")
    return wanted is not None and headers.get("authorization") != f"Bearer {wanted}"


def early_fault(name, attempt, headers, document, request):
    """A response that comes before any model is asked, or None."""
    if key_refused(name, headers):
        return error(401)
    if "reject" in name.options and percent("reject", document) < int(name.options["reject"]):
        return error(400, message="This text cannot be taken.")
    for fault in name.statuses:
        if attempt <= fault.times:
            return error(fault.status, headers=retry_after(fault))
    if name.options.get("lacks") in request:
        return error(400, message=f"Unsupported parameter: {name.options['lacks']}.")
    if "leak" in name.options:
        return error(400, message=f"I was sent {headers.get('authorization')} and do not like it.")
    if "quota" in name.options:
        return error(429, "insufficient_quota", "You exceeded your current quota.")
    if "toolong" in name.options:
        return error(400, "context_length_exceeded", "This model's maximum context length is 4096 tokens.")
    if "redirect" in name.options:
        # 307: who follows sends the same POST again
        return Response(307, b"", (("Location",
                                    f"http://127.0.0.1:{name.options['redirect']}/v1/chat/completions"),))
    if holds(name, "html", attempt):
        return Response(200, b"<html><body><h1>It works!</h1></body></html>", content_type="text/html")
    if "plain" in name.options:
        return Response(200, b"pong", content_type="text/plain")
    if "nochoices" in name.options:
        return Response(200, b'{"object": "list", "data": []}')
    if "huge" in name.options:
        return Response(200, b'{"choices": [{"message": {"content": "' + b"x" * HUGE_BYTES + b'"}}]}')
    return None


def not_found(path):
    """What a web framework says of a path that it has nothing at."""
    return Response(404, json.dumps({"detail": f"Nothing is at {path}."}).encode())


def holds(name, flag, attempt):
    """Whether a flag that may be counted holds for this attempt."""
    return flag in name.options and attempt <= name.counted.get(flag, math.inf)


# ------------------------------------------------------------------- content

def spoil(answer, options, document):
    """The content with the faults of the name."""
    content = answer.content
    label = answer.label or ""
    if "garbage" in options and percent("garbage", document) < int(options["garbage"]):
        return "lorem ipsum dolor sit amet"
    for flag, text in (("badlabel", '{"label": "perhaps"}'), ("prose", f"I think that it is {label}."),
                       ("extra", f"Here you are: {content} I hope it helps."), ("noschema", f"Label: {label}"),
                       ("fenced", f"```json\n{content}\n```"), ("empty", ""), ("length", content[:len(content) // 2]),
                       ("wrongtype", '{"label": 17}'), ("dupkeys", '{"label": "false", "label": "true"}'),
                       ("nul", '{"label": "tr\\u0000ue"}'), ("think", f"<think>Is it {label}?</think>\n{content}"),
                       ("unclosed", "<think>Is it true? Or false?")):
        if flag in options:
            content = text
    return content


def finish_reason(options):
    """Why the answer ended."""
    return "length" if "length" in options else "content_filter" if "filter" in options else \
        "tool_calls" if "tool" in options else "stop"


def build_message(answer, options, content):
    """The message of a choice."""
    message = {"role": "assistant", "content": content}
    if "refusal" in options:
        message.update(content=None, refusal="I cannot help with that.")
    elif "filter" in options:
        message["content"] = None
    elif "tool" in options:
        message.update(content=None, tool_calls=[
            {"id": "call_1", "type": "function", "function": {"name": "judge", "arguments": "{}"}}])
    if "reasoning" in options:
        message["reasoning_content"] = f"Thinking. {answer.reasoning or ''}"
    return message


# ------------------------------------------------------------------ logprobs

def pieces_of(content, label, split):
    """The tokens of the content; the label is one token, or oddly cut."""
    at = content.rfind(f'"{label}"') if label else -1
    if at < 0:
        return re.findall(r"\s?\w+|\W", content), [], 0
    before = re.findall(r"\s?\w+|\W", content[:at])
    after = content[at + len(label) + 2:]
    if split:       # the quote goes with the head, the other quote with the tail
        half = (len(label) + 1) // 2
        return before, ['"' + label[:half], label[half:] + '"'], after
    return before + ['"'], [label], '"' + after


def alternatives(answer, pieces, index, split):
    """Probabilities of the label's token at an index, and of other tokens."""
    weights = {}
    for label, probability in zip(answer.labels, answer.probabilities):
        half = (len(label) + 1) // 2
        own = ['"' + label[:half], label[half:] + '"'] if split else [label]
        if own[:index] == pieces[:index]:
            weights[own[index]] = weights.get(own[index], 0) + probability
    total = sum(weights.values()) or 1
    # unconstrained: a fifth of the mass is on tokens that no grammar would let pass
    spread = {token: 0.8 * weight / total for token, weight in weights.items()}
    spread[" maybe"] = spread.get(" maybe", 0) + 0.15
    return spread


def entry(token, probabilities):
    """One token with its alternatives, as OpenAI writes it."""
    top = sorted(probabilities.items(), key=lambda item: -item[1])
    return {"token": token, "logprob": log(probabilities.get(token, 1.0)), "bytes": list(token.encode()),
            "top_logprobs": [{"token": t, "logprob": log(p), "bytes": list(t.encode())} for t, p in top]}


def log(probability):
    """Natural logarithm, bounded as servers bound it."""
    return math.log(max(probability, 1e-9))


def build_logprobs(answer, content, split):
    """The logprobs of a choice; the tokens make up the content exactly."""
    before, pieces, after = pieces_of(content, answer.label, split)
    tokens = [entry(token, {token: 0.99}) for token in before]
    for index, piece in enumerate(pieces):
        tokens.append(entry(piece, alternatives(answer, pieces, index, split)))
    if after:
        tokens.append(entry(after, {after: 0.99}))
    return {"content": tokens}


# ------------------------------------------------------------------ response

def count_tokens(text):
    """About four characters to a token."""
    return len(text) // 4 + 1


def build_completion(request, answer, options, document):
    """The body of a chat completion, as an object."""
    content = spoil(answer, options, document)
    message = build_message(answer, options, content)
    choice = {"index": 0, "message": message, "finish_reason": finish_reason(options)}
    if request.get("logprobs") and "nologprobs" not in options and answer.probabilities:
        choice["logprobs"] = build_logprobs(answer, content, "splittoken" in options)
        if "badlogprobs" in options:
            choice["logprobs"] = {"content": [{"token": 5, "logprob": "high"}]}
    body = {"id": "chatcmpl-mock", "object": "chat.completion", "created": 1700000000,
            "model": request.get("model"), "choices": [choice]}
    if "choices" in options:
        body["choices"].append({"index": 1, "message": {"role": "assistant", "content": "another"},
                                "finish_reason": "stop"})
    if "nousage" not in options:
        prompt = sum(count_tokens(str(m.get("content"))) for m in request.get("messages", []))
        completion = count_tokens(content)
        body["usage"] = {"prompt_tokens": prompt, "completion_tokens": completion,
                         "total_tokens": prompt + completion}
    return body


def build_response(request, answer, name, attempt, document):
    """The response with the faults of the wire."""
    options = name.options
    body = json.dumps(build_completion(request, answer, options, document)).encode()
    if "nan" in options:
        body = body.replace(b'"created": 1700000000', b'"created": NaN')
    if "badutf8" in options:
        body = body.replace(b'"content": "', b'"content": "\xc3\x28')
    if "truncated-json" in options:
        body = body[:len(body) * 2 // 3]
    response = Response(200, body, chunked="chunked" in options or "badchunk" in options,
                        badchunk="badchunk" in options, close="close" in options or "nolength" in options,
                        length="nolength" not in options)
    if holds(name, "drop", attempt):
        response.cut = 0
    if holds(name, "drop-body", attempt):
        response.cut = -len(body) // 2
    return response


def to_bytes(response, keep_alive):
    """Head and body of a response."""
    reason = {200: "OK", 307: "Temporary Redirect", 404: "Not Found", 429: "Too Many Requests"}.get(response.status, "Status")
    head = [f"HTTP/1.1 {response.status} {reason}", f"Content-Type: {response.content_type}"]
    body = response.body
    if response.chunked:
        head.append("Transfer-Encoding: chunked")
        half = len(body) // 2
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:]) if part)
        body = body + b"zz\r\n" if response.badchunk else body + b"0\r\n\r\n"
    elif response.length:
        head.append(f"Content-Length: {len(body)}")
    head += [f"{name}: {value}" for name, value in response.headers]
    if not keep_alive:
        head.append("Connection: close")
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body
