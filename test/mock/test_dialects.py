"""Tests of the mock's other wire formats: what goes in, what comes out."""

import json
import unittest

from test_mock import Server, judge_request

SCHEMA = {"type": "object", "properties": {"label": {"type": "string", "enum": ["true", "false"]}}}


def messages_request(model, **members):
    """The judge's request as the Messages API has it."""
    chat = judge_request(model, "a zorvex here", [("zorvex", "true")])
    system, *turns = chat["messages"]

    def block(text):
        return [{"type": "text", "text": text}]
    return {"model": model, "max_tokens": 100, "system": block(system["content"]),
            "messages": [{"role": turn["role"], "content": block(turn["content"])} for turn in turns], **members}


def contents_request(model, **config):
    """The same as generateContent has it; the model goes into the path."""
    chat = judge_request(model, "a zorvex here", [("zorvex", "true")])
    system, *turns = chat["messages"]
    return {"systemInstruction": {"parts": [{"text": system["content"]}]},
            "contents": [{"role": "user", "parts": [{"text": turn["content"]}]} for turn in turns],
            "generationConfig": config}


class Dialects(Server):

    def send(self, path, body, **headers):
        status, text, response = self.post(path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        return status, json.loads(text), response

    def messages(self, model, **members):
        return self.send("/v1/messages", messages_request(model, **members), anthropic_version="2023-06-01")

    def generate(self, model, **config):
        return self.send(f"/v1beta/models/{model}:generateContent", contents_request(model, **config))

    def test_messages(self):
        status, answer, _ = self.messages("judge-rules+reasoning", output_config={
            "format": {"type": "json_schema", "schema": SCHEMA}})
        self.assertEqual(status, 200)
        self.assertEqual([block["type"] for block in answer["content"]], ["thinking", "text"])
        self.assertEqual(json.loads(answer["content"][1]["text"])["label"], "true")
        self.assertEqual(answer["stop_reason"], "end_turn")
        self.assertGreater(answer["usage"]["input_tokens"], 0)

    def test_messages_by_a_tool(self):
        tool = {"name": "verdict", "description": "x", "input_schema": SCHEMA}
        _, answer, _ = self.messages("judge-rules", tools=[tool], tool_choice={"type": "tool", "name": "verdict"})
        self.assertEqual(answer["content"][0]["input"]["label"], "true")
        self.assertEqual(answer["stop_reason"], "tool_use")

    def test_messages_are_strict(self):
        request = messages_request("judge-rules")
        self.assertIn("anthropic-version", self.send("/v1/messages", request)[1]["error"]["message"])
        self.assertEqual(self.messages("judge-rules", seed=3)[0], 400)
        del request["max_tokens"]
        status, answer, _ = self.send("/v1/messages", request, anthropic_version="2023-06-01")
        self.assertEqual((status, answer["error"]["message"]), (400, "max_tokens: Field required"))

    def test_messages_errors(self):
        for model, status, kind in (("judge-rules+key-K", 401, "authentication_error"), ("none", 404, "not_found_error"),
                                    ("judge-rules+529", 529, "overloaded_error"),
                                    ("judge-rules+toolong", 400, "invalid_request_error")):
            found, answer, _ = self.messages(model)
            self.assertEqual((found, answer["type"], answer["error"]["type"]), (status, "error", kind), model)
        status, _, _ = self.send("/v1/messages", messages_request("judge-rules+key-K"),
                                 anthropic_version="2023-06-01", x_api_key="K")
        self.assertEqual(status, 200)
        response = self.messages("judge-rules+429-reset")[2]
        self.assertEqual(response.getheader("anthropic-ratelimit-requests-remaining"), "0")

    def test_generate(self):
        status, answer, _ = self.generate("judge-rules+reasoning", responseMimeType="application/json",
                                          responseJsonSchema=SCHEMA, responseLogprobs=True, logprobs=5)
        self.assertEqual(status, 200)
        candidate = answer["candidates"][0]
        thought, text = candidate["content"]["parts"]
        self.assertTrue(thought["thought"])
        self.assertEqual(json.loads(text["text"])["label"], "true")
        tokens = candidate["logprobsResult"]
        self.assertEqual("".join(token["token"] for token in tokens["chosenCandidates"]), text["text"])
        self.assertEqual(len(tokens["chosenCandidates"]), len(tokens["topCandidates"]))

    def test_generate_errors(self):
        for model, status, word in (("judge-rules+key-K", 400, "INVALID_ARGUMENT"), ("none", 404, "NOT_FOUND"),
                                    ("judge-rules+quota", 429, "RESOURCE_EXHAUSTED"),
                                    ("judge-rules+toolong", 400, "INVALID_ARGUMENT")):
            found, answer, _ = self.generate(model)
            self.assertEqual((found, answer["error"]["status"]), (status, word), model)
        _, answer, response = self.generate("judge-rules+429-s7")
        self.assertEqual(answer["error"]["details"][0]["retryDelay"], "7s")
        self.assertIsNone(response.getheader("Retry-After"))
        self.assertIn("promptFeedback", self.generate("judge-rules+refusal")[1])
        self.assertEqual(self.generate("judge-rules", responseJsonSchema=SCHEMA)[0], 400)

    def test_the_journal_knows_models_and_documents(self):
        self.messages("judge-rules")
        self.generate("judge-rules")
        record = self.journal(full=True)["list"][-1]
        self.assertEqual(self.journal()["by_model"]["judge-rules"]["requests"], 2)
        self.assertIn("contents", record["wire"])



if __name__ == "__main__":
    unittest.main()
