"""Tests of proposals.py: python3 -m unittest, in this folder."""

import unittest

import models
import proposals

PROMPT = ("Present:\n```\nIs it good?\n```\nBelow\n```\n# Example 1\n## Inputs\n<<<0123456789abcdef\nA page with zorvex\n"
          "0123456789abcdef>>>\n\n## Generated Outputs\n### label\nfalse\n\n## Feedback\nWrong: the right label was \"true\".\n```\nWrite.")


def ask(model, prompt):
    """The text of an answer."""
    answer = models.find_model(model)({"messages": [{"role": "user", "content": prompt}]}, {})
    return answer.content.split("```")[1].strip("\n")


class Proposals(unittest.TestCase):
    """What the reflectors with habits do."""

    def test_copies(self):
        self.assertIn("A page with zorvex", ask("reflector-copies", PROMPT))
        self.assertNotIn("A page with", ask("reflector-copies", PROMPT + proposals.COMPLAINT + "copied"))

    def test_stubborn(self):
        first = ask("reflector-stubborn", PROMPT)
        self.assertTrue(first.endswith(proposals.IDLE[0]))
        self.assertEqual(first, ask("reflector-stubborn", PROMPT))
        tried = PROMPT + proposals.TRIED + "\n+ " + proposals.IDLE[0]
        self.assertTrue(ask("reflector-stubborn", tried).endswith(proposals.IDLE[1]))

    def test_wordy(self):
        self.assertEqual(len(ask("reflector-wordy", PROMPT)), 30000)
        self.assertEqual(len(ask("reflector-wordy", PROMPT + " may have at most 200 characters")), 200)

    def test_combine(self):
        prompt = "2 writers have each improved it\n# Version 1\n```\na\nb\n```\n\n# Version 2\n```\na\nc\n```\n"
        self.assertEqual(ask("reflector", prompt), "a\nb\nc")


if __name__ == "__main__":
    unittest.main()
