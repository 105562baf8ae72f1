"""Tests of what stands for LMs in the demos: python3 -m unittest, in this folder."""

import json
import unittest

import demos
import models

GOOD = "# Read a file\n\nwith open(path) as lines: ...\n\nThis works because it keeps one buffer."
MINIFIED = "!function(e,t){}(this)"
TWICE = "# A proof\n\nx {\\displaystyle x}\n\nThis is obvious."
LABELS = {"type": "json_schema", "json_schema": {"schema": {"properties": {"label": {"enum": ["keep", "drop"]}}}}}


def fence(text):
    return f"<<<0123456789abcdef\n{text}\n0123456789abcdef>>>\n"


def ask(model, system, user, **more):
    messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    return models.find_model(model)({"messages": messages, **more}, {})


def judged(lines, document):
    answer = ask("judge-demo", "Is it good?\n" + lines, fence(document), response_format=LABELS)
    return answer.label, round(answer.probabilities[0], 2)


def reflected(*records):
    """The lines that come to a prompt from (document, feedback) records."""
    shown = "".join(f"# Example {i}\n## Inputs\n{fence(document)}\n## Feedback\n{said}\n\n"
                    for i, (document, said) in enumerate(records, 1))
    answer = ask("reflector-demo", "", f"Present:\n```\nIs it good?\n```\nRecords:\n```\n{shown}```\n")
    return demos.LINE.findall(answer.content.split("```")[1])


class Demos(unittest.TestCase):
    def test_judge_follows_its_prompt(self):
        self.assertEqual(judged("- Documents with minified code: drop.", MINIFIED), ("drop", 0.35))
        self.assertEqual(judged("- Documents with minified code: drop.", GOOD), ("keep", 0.97))
        self.assertEqual(judged("- Documents with minified code: keep.", MINIFIED), ("keep", 0.97))
        self.assertEqual(judged("- Documents with an explanation beside the code: keep.", MINIFIED), ("drop", 0.35))

    def test_judge_adds_up_what_is_wrong(self):
        lines = "- Documents with formulas that appear twice: drop.\n- Documents with claims without reasons: drop."
        self.assertEqual(judged(lines, TWICE), ("drop", 0.03))

    def test_judge_guesses_without_rules(self):
        given = {judged("", f"{i} {GOOD}")[0] for i in range(30)}
        self.assertEqual(given, {"keep", "drop"})

    def test_rubric(self):
        system = 'Criteria:\n- "formatting", from 1 to 5: Form.\n- "reasoning", from 1 to 5: Reasons.\n'
        grades = json.loads(ask("grader-demo", system, "document:\n" + fence(TWICE)).content)
        self.assertEqual(grades["scores"], {"formatting": 1, "reasoning": 1})
        self.assertIn("formulas that appear twice", grades["feedback"])
        grades = json.loads(ask("grader-demo", system, "document:\n" + fence(GOOD)).content)
        self.assertEqual(grades["scores"], {"formatting": 5, "reasoning": 5})

    def test_reflector_learns_from_the_labeller(self):
        wrong = 'Wrong: the judge said "keep", the right label is "drop".\nWhat the labeller says: Nobody learns from minified code.'
        self.assertEqual(reflected((MINIFIED, wrong)), [("minified code", "drop")])

    def test_reflector_learns_from_labels_that_agree(self):
        wrong = 'Wrong: the judge said "keep", the right label is "drop".'
        self.assertEqual(reflected((MINIFIED, wrong)), [])
        self.assertEqual(reflected((MINIFIED, wrong), (MINIFIED + " ", wrong)), [("minified code", "drop")])

    def test_reflector_learns_from_a_rubric_what_it_names(self):
        said = "rubric: The document deserves 0.00, the judge gave 0.97. formatting: formulas that appear twice. reasoning: nothing to mend."
        self.assertEqual(reflected((TWICE, said)), [("formulas that appear twice", "drop")])

    def test_reflector_learns_nothing_without_feedback(self):
        self.assertEqual(reflected((TWICE, ""), (MINIFIED, "")), [])


if __name__ == "__main__":
    unittest.main()
