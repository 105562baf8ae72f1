"""Tests of texts.py."""

import unittest

import models
import texts

TEMPLATE = """A program works with a text that is called "query". This is the text at present:
```
{query}
```

```
{records}
```
"""
RECORD = """# Example {n}
## Inputs
<<<0123456789abcdef
{document}
0123456789abcdef>>>

## Expected
{label}

"""


def prompt(query, *records):
    """A reflection prompt of documents with their labels."""
    return TEMPLATE.format(query=query, records="".join(
        RECORD.format(n=n, document=document, label=label)
        for n, (document, label) in enumerate(records, 1)))


class Texts(unittest.TestCase):
    """What is made of a prompt."""

    def test_learns(self):
        """Words come in that only wanted documents have, and misleading ones go."""
        answer = texts.write(prompt("open | invoice", ("open your invoice", "false"),
                                    ("the refund please", "true"), ("your refund today", "true")), False)
        self.assertEqual(answer.split("```")[1].strip(), "refund | please")

    def test_seed(self):
        """Without a text the cases say what to look for."""
        asked = ('... a text that is called "q", which is to be written.\n# Case 1\n<<<0123456789\nrefund it\n'
                 "0123456789>>>\nExpected: true\n")
        self.assertEqual(texts.write(asked, False).split("```")[1].strip(), "refund")

    def test_longer(self):
        """A letter more, and the first one."""
        self.assertIn("```\nabx\n```", texts.write(prompt("ab"), True))
        self.assertIn("```\nx\n```", texts.write("which is to be written", True))

    def test_model(self):
        """The models are found by their names."""
        request = {"messages": [{"role": "user", "content": prompt("ab")}]}
        self.assertIn("abx", models.find_model("text-longer")(request, {}).content)


if __name__ == "__main__":
    unittest.main()
