"""Tests of steps.py: python3 -m unittest."""

import json
import unittest

import models
import steps

SCHEMA = {"type": "object", "properties": {
    "words": {"type": "array", "items": {"type": "string"}}, "n": {"type": "integer"},
    "any": {"type": "boolean"}, "text": {"type": "string"}}}


def ask(prompt, document, schema=None):
    """What judge-rules says as a step."""
    request = {"messages": [{"role": "system", "content": prompt},
                            {"role": "user", "content": f"body:\n<<<0123456789abcdef\n{document}\n0123456789abcdef>>>\nAnswer:"}],
               "response_format": {"type": "json_schema", "json_schema": {"schema": schema or SCHEMA}}}
    return models.judge(request, {}).content


class Steps(unittest.TestCase):
    """Outputs, and prompts that find more."""

    def test_look_for(self):
        """Only what the prompt names is found, as each type has room for it."""
        self.assertEqual(json.loads(ask('LOOK FOR: "zorvex"', "a zorvex and a quibly")),
                         {"words": ["zorvex"], "n": 1, "any": True, "text": "Found: zorvex"})
        self.assertEqual(json.loads(ask("List the words.", "a zorvex")),
                         {"words": [], "n": 0, "any": False, "text": "Found nothing."})

    def test_everything(self):
        """A prompt may want all."""
        self.assertEqual(json.loads(ask("Sum up everything.", "quibly, zorvex"))["words"], ["quibly", "zorvex"])

    def test_verdict(self):
        """A schema with a label is a judge's."""
        schema = {"type": "object", "properties": {"label": {"enum": ["true", "false"]}}}
        self.assertFalse(steps.is_step(schema))
        self.assertIn("label", json.loads(ask('RULE: documents that mention "zorvex" are true', "zorvex", schema)))

    def test_reflection(self):
        """The words of records that went wrong are looked for, those of the labeller first."""
        prompt = ("```\nList the words.\n```\n# Example 1\n## Inputs\nbody:\n<<<0123456789\nzorvex quibly mandrel\n0123456789>>>\n"
                  "## Generated Outputs\nnothing\n## Feedback\nWrong.\nWhat the labeller says: The word \"quibly\" gives it away.\n"
                  "# Example 2\n## Inputs\nbody:\n<<<0123456789\ntofting\n0123456789>>>\n## Generated Outputs\n-\n## Feedback\nRight: the label is \"true\".\n")
        answer = models.reflector({"messages": [{"role": "user", "content": prompt}]}).content
        self.assertIn('List the words.\nLOOK FOR: "quibly"\nLOOK FOR: "mandrel"\n', answer)


if __name__ == "__main__":
    unittest.main()
