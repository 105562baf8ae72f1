"""From an Answer to a response, with the faults a name asks for.

A model's name is BASE+MODIFIER+MODIFIER..., a modifier is NAME or NAME-VALUE
or a status such as 429-date, with a share of the requests and a number of
attempts behind it where wanted (500-rate-20-once); README.md lists them.
send.py makes bytes of a response.
"""

import json
import math
import re
import time
from dataclasses import dataclass
from email.utils import formatdate

import images
from models import hundredths, percent
from send import Response

STATUS = re.compile(r"(\d{3})(?:-(date|bare|s\d+|ms\d+|reset|past|far|minus|vast|soon|twice))?$")
LIMITS = re.compile(r"(.+?)(?:-(rate|each)-(\d+(?:\.\d+)?))?(?:-(once|n\d+))?$", re.S)
FLAGS = frozenset("""
    badlabel prose extra fenced empty wrongtype labelnull labellist labelnan twojson dupkeys nul noschema
    length refusal filter think unclosed reasoning tool choices nofinish gate hang gullible skew script votes
    nousage badusage nologprobs badlogprobs poslogprobs otherlogprobs splittoken toolong quota leak
    truncated-json badutf8 nan nulbody surrogate dupbody bom nochoices nomessage notext array deep many
    html plain stream blank type
    huge gzip bomb tegzip tebomb headers longheader longstatus nulheader hints continues
    http10 http09 chunked badchunk cutchunk close closing nolength shortlength longlength badlength
    twolengths drop drop-body reset reset-body stale
""".split())
VALUED = re.compile(r"(lacks|slow|garbage|reject|key|bias|drip|long|redirect|gateway|seed)-(.+)$", re.S)

MESSAGES = {
    400: ("invalid_request_error", "The request is not valid."),
    401: ("invalid_api_key", "Incorrect API key provided."),
    403: ("permission_denied", "This key may not use this model."),
    404: ("model_not_found", "The model does not exist."),
    429: ("rate_limit_exceeded", "Rate limit reached."),
}
BODILESS = (204, 304)
METADATA = "http://169.254.169.254/latest/meta-data/"
PAGE = b"<html><head><title>%d It works!</title></head><body><h1>It works!</h1></body></html>"


class UnknownModel(Exception):
    """A name that means nothing here."""


@dataclass
class Modifier:
    """One modifier, and for which requests it holds."""
    name: str           # "status" for a status
    value: object       # True, the text behind the name, or (status, retry_after)
    share: float        # percent; 100 = all
    by: str             # "rate": of the documents, "each": of the attempts
    times: float        # attempts at the same messages

    def holds(self, seed, document, attempt):
        """Whether it holds for this attempt at a document."""
        drawn = [seed, self.name, str(self.value), document] + ([str(attempt)] if self.by == "each" else [])
        return attempt <= self.times and (self.share == 100 or hundredths(*drawn) < self.share)


@dataclass
class Name:
    """A model's name taken apart."""
    base: str
    modifiers: list

    def at(self, document, attempt):
        """The options that hold for an attempt: name -> value."""
        seed = next((m.value for m in self.modifiers if m.name == "seed"), "0")
        options = {}
        for modifier in self.modifiers:
            if modifier.holds(seed, document, attempt):
                options.setdefault(modifier.name, modifier.value)
        return options


def read_modifier(text):
    """(name, value) of a modifier without its limits, or None."""
    status, valued = STATUS.match(text), VALUED.match(text)
    if status:
        return "status", (int(status.group(1)), status.group(2) or "")
    if text in FLAGS:
        return text, True
    return valued.groups() if valued else None


def parse_name(name):
    """Take a model's name apart."""
    base, *modifiers = name.split("+")
    parsed = Name(base, [])
    for text in modifiers:
        core, by, share, times = LIMITS.match(text).groups()
        found = read_modifier(core)
        if found is None:
            raise UnknownModel(name)
        count = 1 if times == "once" else int(times[1:]) if times else math.inf
        parsed.modifiers.append(Modifier(*found, float(share or 100), by, count))
    return parsed


def error(status, code=None, message=None, headers=()):
    """An error in OpenAI's form."""
    kind, text = MESSAGES.get(status, ("server_error", "The server had an error."))
    body = {"error": {"message": message or text, "type": kind, "code": code or kind}}
    return Response(status, b"" if status in BODILESS else json.dumps(body).encode(), headers)


def not_found(path):
    """What a web framework says of a path that it has nothing at."""
    return Response(404, json.dumps({"detail": f"Nothing is at {path}."}).encode())


def retry_after(status, form):
    """The Retry-After header of a status: 1 s unless the name says otherwise."""
    if form == "bare" or status not in (429, 503):
        return ()
    if form == "reset":
        return (("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "1s"),
                ("x-ratelimit-remaining-tokens", "9999"), ("x-ratelimit-reset-tokens", "6m0s"))
    if form.startswith("ms"):   # to the millisecond, and coarsely
        return (("retry-after-ms", form[2:]), ("Retry-After", "60"))
    values = {
        # a date has whole seconds: two from now are at least one
        "date": [formatdate(time.time() + 2, usegmt=True)], "past": ["Thu, 01 Jan 1970 00:00:00 GMT"],
        "far": ["Fri, 31 Dec 9999 23:59:59 GMT"], "minus": ["-5"], "vast": ["1e30"], "soon": ["soon"],
        "twice": ["soon", "1"]}.get(form, [form[1:] or "1"])
    return tuple(("Retry-After", value) for value in values)


def refusal_of(request, headers, options, document):
    """A response that comes before any model is asked, or None."""
    if "key" in options and headers.get("authorization") != f"Bearer {options['key']}":
        return error(401)
    if "reject" in options and percent("reject", document) < int(options["reject"]):
        return error(400, message="This text cannot be taken.")
    if "status" in options:
        status, form = options["status"]
        return error(status, headers=retry_after(status, form))
    if options.get("lacks") in request:
        return error(400, message=f"Unsupported parameter: {options['lacks']}.")
    if "leak" in options:
        return error(400, message=f"I was sent {headers.get('authorization')} and do not like it.")
    if "quota" in options:
        return error(429, "insufficient_quota", "You exceeded your current quota.")
    if "toolong" in options:
        return error(400, "context_length_exceeded", "This model's maximum context length is 4096 tokens.")
    if "redirect" in options:
        # 307: who follows sends the same POST again
        target = METADATA if options["redirect"] == "metadata" else \
            f"http://127.0.0.1:{options['redirect']}/v1/chat/completions"
        return Response(307, b"", (("Location", target),))
    if "gateway" in options:    # an error that travels as a success
        inside = {"message": "The provider failed.", "code": int(options["gateway"])}
        return Response(200, json.dumps({"error": inside}).encode())
    return None


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
                       ("wrongtype", '{"label": 17}'), ("labelnull", '{"label": null}'),
                       ("labellist", f'{{"label": ["{label}"]}}'), ("labelnan", '{"label": NaN}'),
                       ("twojson", content + "\n" + content), ("dupkeys", '{"label": "false", "label": "true"}'),
                       ("nul", '{"label": "tr\\u0000ue"}'), ("think", f"<think>Is it {label}?</think>\n{content}"),
                       ("unclosed", "<think>Is it true? Or false?")):
        if flag in options:
            content = text
    return content


def finish_reason(options):
    """Why the answer ended."""
    return "length" if "length" in options else "content_filter" if "filter" in options else \
        "tool_calls" if "tool" in options else None if "nofinish" in options else "stop"


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
    if "notext" in options:
        message["content"] = 17
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


def build_usage(request, content, options):
    """The usage of a completion, or None."""
    if "nousage" in options:
        return None
    if "badusage" in options:
        return {"prompt_tokens": -7, "completion_tokens": "many", "total_tokens": 1e300}
    prompt = sum(images.count_tokens(m.get("content"), count_tokens) for m in request.get("messages", []))
    completion = count_tokens(content)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def spoil_logprobs(logprobs, options):
    """The logprobs with the faults of the name."""
    if "badlogprobs" in options:
        return {"content": [{"token": 5, "logprob": "high"}]}
    for token in logprobs["content"]:
        if "poslogprobs" in options:
            token["logprob"] = 5.0
            for other in token["top_logprobs"]:
                other["logprob"] = 1e300
        if "otherlogprobs" in options:
            token["token"] = token["token"][::-1]
            del token["bytes"]
    return logprobs


def build_completion(request, answer, options, document):
    """The body of a chat completion, as an object."""
    content = spoil(answer, options, document)
    message = build_message(answer, options, content)
    choice = {"index": 0, "message": message, "finish_reason": finish_reason(options)}
    if "nomessage" in options:
        del choice["message"]
    if request.get("logprobs") and "nologprobs" not in options and answer.probabilities:
        choice["logprobs"] = spoil_logprobs(build_logprobs(answer, content, "splittoken" in options), options)
    body = {"id": "chatcmpl-mock", "object": "chat.completion", "created": 1700000000,
            "model": request.get("model"), "choices": [] if "nochoices" in options else [choice]}
    if "choices" in options:
        body["choices"].append({"index": 1, "message": {"role": "assistant", "content": "another"},
                                "finish_reason": "stop"})
    usage = build_usage(request, content, options)
    return body if usage is None else {**body, "usage": usage}


# Faults of the body's bytes, in this order: option -> function.
BODIES = {
    "nan": lambda body: body.replace(b'"created": 1700000000', b'"created": NaN'),
    "badutf8": lambda body: body.replace(b'"content": "', b'"content": "\xc3\x28'),
    "nulbody": lambda body: body.replace(b'"content": "', b'"content": "\\u0000'),
    "surrogate": lambda body: body.replace(b'"content": "', b'"content": "\\ud800'),
    "dupbody": lambda body: b'{"choices": [], ' + body[1:],
    "truncated-json": lambda body: body[:len(body) * 2 // 3],
    "bom": lambda body: b"\xef\xbb\xbf" + body,
    "stream": lambda body: b"data: " + body + b"\n\ndata: [DONE]\n\n",
    "array": lambda body: b"[]",
    "deep": lambda body: b"[" * 100000,
    "many": lambda body: b'{"choices": [' + b"0," * 3000000 + b"0]}",
    "blank": lambda body: b"",
}


STILL_READ = {"bom", "dupbody"}


def spoil_body(response, options):
    """A response with the faults of the body."""
    if "html" in options:
        response.body, response.tokens = PAGE % response.status, (0, 0)
        response.content_type = "text/html"
    if "plain" in options:
        response.body, response.tokens, response.content_type = b"pong", (0, 0), "text/plain"
    for option, change in BODIES.items():
        if option in options:
            changed = change(response.body)
            if changed != response.body and option not in STILL_READ:
                response.tokens = (0, 0)
            response.body = changed
    if "type" in options:
        response.content_type = "image/png"
    return response


def respond(request, headers, model, options, document):
    """The response of a model (a function) to a request."""
    response = refusal_of(request, headers, options, document)
    if response is None:
        answer = model(request, options)
        body = build_completion(request, answer, options, document)
        usage = body.get("usage", {}) if "badusage" not in options else {}
        response = Response(200, json.dumps(body).encode(),
                            tokens=(usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)))
    return spoil_body(response, options)
