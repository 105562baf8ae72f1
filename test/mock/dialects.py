"""The mock's models behind other wire formats: Messages API, generateContent.

A request is turned into a chat request, which is answered like any other; a
response that is a chat completion, or an error in OpenAI's form, is turned
into the dialect's.  So models, faults and the journal are the same for all.
Requests are looked at as strictly as the real endpoints do: what they do not
know, or miss, is a 400.
"""

import json
import re
import time
from urllib.parse import unquote

import graders
import images
import wire


class Refused(Exception):
    """A request that the dialect does not take; its argument is the response."""


def known(given, allowed, what):
    """Refuse members that the real endpoint does not know either."""
    for name in given:
        if name not in allowed.split():
            raise Refused(wire.error(400, message=f"{what}.{name}: Extra inputs are not permitted"))


def bearer(headers, key):
    """The headers with the key where the chat dialect has it."""
    headers.pop("authorization", None)
    if key in headers:
        headers["authorization"] = f"Bearer {headers[key]}"


def parts_text(parts, allowed, image=None):
    """The text of a list of blocks or parts; with images the chat dialect's parts."""
    for part in parts:
        known(part, allowed, "part")
    if all("text" in part for part in parts):
        return "".join(part["text"] for part in parts)
    return [{"type": "text", "text": part["text"]} if "text" in part else image(part) for part in parts]


def form(schema):
    """A schema as the chat dialect asks for it."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def read_body(response):
    """(completion, error) of a response in OpenAI's form; (None, None) if it is neither."""
    try:
        body = json.loads(response.body)
        if not body.get("choices"):
            return None, body.get("error")
        return (body, None) if isinstance(body["choices"][0].get("message"), dict) else (None, None)
    except (ValueError, AttributeError, KeyError):
        return None, None


def said(choice):
    """(content, thinking) of a choice."""
    message = choice["message"]
    return message.get("content") or "", message.get("reasoning_content")


class OpenAI:
    """Chat completions: what the mock speaks by itself."""

    PATH = re.compile(r"/v1/chat/completions()$")

    @staticmethod
    def to_chat(request, headers, model):
        """The request as it is."""
        return request

    @staticmethod
    def to_wire(response, request):
        """The response as it is."""
        return response


class Anthropic:
    """The Messages API."""

    PATH = re.compile(r"/v1/messages()$")
    ERRORS = {400: "invalid_request_error", 401: "authentication_error", 402: "billing_error",
              403: "permission_error", 404: "not_found_error", 413: "request_too_large",
              429: "rate_limit_error", 529: "overloaded_error"}
    ENDS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal", "tool_calls": "tool_use"}

    @staticmethod
    def to_chat(request, headers, model):
        """As a chat request; Refused with a 400 if it is none."""
        bearer(headers, "x-api-key")
        if "anthropic-version" not in headers:
            raise Refused(wire.error(400, message="anthropic-version: header is required"))
        known(request, "model max_tokens system messages temperature top_p top_k output_config tools tool_choice "
              "thinking stream metadata stop_sequences service_tier", "request")
        if "max_tokens" not in request:
            raise Refused(wire.error(400, message="max_tokens: Field required"))
        messages, cached = [], 0
        turns = [{"role": "system", "content": request["system"]}] if "system" in request else []
        for turn in turns + request["messages"]:
            known(turn, "role content", "messages")
            messages.append({"role": turn["role"], "content": parts_text(turn["content"], "type text source cache_control", images.from_block)})
            if any("cache_control" in block for block in turn["content"]):
                cached = sum(images.count_tokens(message["content"], wire.count_tokens) for message in messages)
        chat = {"model": request["model"], "messages": messages, "max_tokens": request["max_tokens"],
                "cached": cached}
        config = request.get("output_config", {})
        known(config, "effort format", "output_config")
        if "format" in config:
            chat["response_format"] = form(config["format"]["schema"])
        if "tools" in request:
            chat["response_format"] = form(request["tools"][0]["input_schema"])
            chat["tool"] = request["tool_choice"]["name"]
        return chat

    @classmethod
    def to_wire(cls, response, request):
        """A message or an error in the dialect's form."""
        completion, error = read_body(response)
        if completion:
            response.body = json.dumps(cls.message(completion, request)).encode()
        elif error:
            response.status, kind, message = cls.error(response.status, error)
            response.body = json.dumps({"type": "error", "error": {"type": kind, "message": message},
                                        "request_id": "req_mock"}).encode()
            response.headers = tuple(map(cls.header, response.headers))
        return response

    @classmethod
    def error(cls, status, error):
        """(status, type, message) for an error in OpenAI's form."""
        if error["code"] == "insufficient_quota":
            return 400, cls.ERRORS[400], "Your credit balance is too low to access the Anthropic API."
        if error["code"] == "context_length_exceeded":
            return 400, cls.ERRORS[400], "prompt is too long: 5000 tokens > 4096 maximum"
        return status, cls.ERRORS.get(status, "api_error" if status >= 500 else "invalid_request_error"), error["message"]

    @staticmethod
    def header(header):
        """A limit's header by its name and in its form here."""
        name, value = header
        if name == "x-ratelimit-remaining-requests":
            return "anthropic-ratelimit-requests-remaining", value
        if name == "x-ratelimit-reset-requests":
            # whole seconds: two from now are at least one
            return ("anthropic-ratelimit-requests-reset",
                    time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2)))
        return header

    @classmethod
    def message(cls, completion, request):
        """The message that a completion is here."""
        choice = completion["choices"][0]
        content, thinking = said(choice)
        blocks = [{"type": "thinking", "thinking": thinking, "signature": "c2ln"}] if thinking else []
        stop = cls.ENDS.get(choice["finish_reason"])
        details = None
        if choice["message"].get("refusal"):
            stop, details = "refusal", {"type": "refusal", "category": None,
                                        "explanation": choice["message"]["refusal"]}
        elif choice["message"].get("tool_calls"):
            blocks.append({"type": "tool_use", "id": "toolu_1", "name": "other", "input": {}})
        elif "tool" in request:
            blocks.append(cls.tool_block(content, request["tool"]))
            stop = "tool_use" if stop == "end_turn" else stop
        elif content:
            blocks.append({"type": "text", "text": content})
        message = {"id": "msg_mock", "type": "message", "role": "assistant", "model": completion["model"],
                   "content": blocks, "stop_reason": stop, "stop_sequence": None, "stop_details": details}
        if "usage" in completion:
            cached = min(request["cached"], completion["usage"]["prompt_tokens"])
            message["usage"] = {"input_tokens": completion["usage"]["prompt_tokens"] - cached,
                                "cache_read_input_tokens": cached, "cache_creation_input_tokens": 0,
                                "output_tokens": completion["usage"]["completion_tokens"]}
        return message

    @staticmethod
    def tool_block(content, name):
        """The content as the input of the tool, if it is an object."""
        try:
            return {"type": "tool_use", "id": "toolu_1", "name": name, "input": dict(json.loads(content))}
        except (ValueError, TypeError):
            return {"type": "text", "text": content}


class Gemini:
    """generateContent."""

    PATH = re.compile(r"/v1beta/models/([^:]+):generateContent$")
    ERRORS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
              429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}
    ENDS = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY", "tool_calls": "MALFORMED_FUNCTION_CALL"}
    RPC = "type.googleapis.com/google.rpc."

    @staticmethod
    def to_chat(request, headers, model):
        """As a chat request; Refused with a 400 if it is none."""
        bearer(headers, "x-goog-api-key")
        known(request, "contents systemInstruction generationConfig safetySettings cachedContent tools toolConfig", "request")
        messages = []
        if "systemInstruction" in request:
            messages.append({"role": "system", "content": parts_text(request["systemInstruction"]["parts"], "text")})
        for content in request["contents"]:
            known(content, "role parts", "contents")
            messages.append({"role": {"user": "user", "model": "assistant"}[content["role"]],
                             "content": parts_text(content["parts"], "text inlineData fileData", images.from_part)})
        config = request.get("generationConfig", {})
        known(config, "temperature topP topK seed maxOutputTokens candidateCount responseMimeType responseSchema "
              "responseJsonSchema responseLogprobs logprobs thinkingConfig stopSequences", "generationConfig")
        chat = {"model": unquote(model), "messages": messages, "logprobs": config.get("responseLogprobs", False)}
        if "responseJsonSchema" in config:
            if config.get("responseMimeType") != "application/json":
                raise Refused(wire.error(400, message="responseMimeType must be application/json with a schema"))
            chat["response_format"] = form(config["responseJsonSchema"])
        return chat

    @classmethod
    def to_wire(cls, response, request):
        """Generated content or an error in the dialect's form."""
        completion, error = read_body(response)
        if completion:
            response.body = json.dumps(cls.generated(completion)).encode()
        elif error:
            wait = dict(response.headers).get("Retry-After", "")
            response.headers = tuple(h for h in response.headers if h[0] != "Retry-After")
            response.status, message, details = cls.error(response.status, error, wait)
            response.body = json.dumps({"error": {
                "code": response.status, "message": message, "details": details,
                "status": cls.ERRORS.get(response.status, "INTERNAL")}}).encode()
        return response

    @classmethod
    def error(cls, status, error, wait):
        """(status, message, details) for an error in OpenAI's form; RetryInfo stands for Retry-After."""
        if error["code"] == "insufficient_quota":
            return 429, "You exceeded your current quota, please check your plan and billing details.", [
                {"@type": cls.RPC + "QuotaFailure",
                 "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},
                {"@type": cls.RPC + "RetryInfo", "retryDelay": "43s"}]
        if error["code"] == "context_length_exceeded":
            return 400, "The input token count (5000) exceeds the maximum number of tokens allowed (4096).", []
        if status == 401:
            return 400, "API key not valid. Please pass a valid API key.", [
                {"@type": cls.RPC + "ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}]
        return status, error["message"], [
            {"@type": cls.RPC + "RetryInfo", "retryDelay": f"{wait}s"}] if wait.isdigit() else []

    @classmethod
    def generated(cls, completion):
        """The generated content that a completion is here."""
        choice = completion["choices"][0]
        content, thinking = said(choice)
        usage = completion.get("usage")
        body = {"modelVersion": completion["model"], "responseId": "mock"}
        if choice["message"].get("refusal"):
            body["promptFeedback"] = {"blockReason": "PROHIBITED_CONTENT"}
        else:
            parts = [{"text": thinking, "thought": True}] if thinking else []
            candidate = {"content": {"role": "model", "parts": parts + ([{"text": content}] if content else [])},
                         "finishReason": cls.ENDS.get(choice["finish_reason"]), "index": 0}
            if "logprobs" in choice:
                candidate["logprobsResult"] = cls.logprobs(choice["logprobs"]["content"])
            body["candidates"] = [candidate]
        if usage:
            body["usageMetadata"] = {"promptTokenCount": usage["prompt_tokens"], "thoughtsTokenCount": 0,
                                     "candidatesTokenCount": usage["completion_tokens"],
                                     "totalTokenCount": usage["total_tokens"]}
        return body

    @staticmethod
    def logprobs(tokens):
        """The layout of log-probabilities here."""
        def one(token):
            return {"token": token["token"], "tokenId": 1, "logProbability": token["logprob"]}
        return {"chosenCandidates": [one(token) for token in tokens],
                "topCandidates": [{"candidates": [one(top) for top in token.get("top_logprobs", [])]}
                                  for token in tokens]}


def find(path):
    """(dialect, the model that the path names) of a request, or (None, None)."""
    for dialect in (OpenAI, Anthropic, Gemini, graders.Scoring):
        match = dialect.PATH.match(path)
        if match:
            return dialect, match.group(1)
    return None, None
