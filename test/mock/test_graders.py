"""Tests of the mock's graders."""

import json
import unittest

import dialects
import graders
import models
import wire
import world

RULE = world.hidden_rule(3, graders.FEATURES)
WORD = next(word for word, label in RULE.items() if label == "true")
OTHER = next(word for word, label in RULE.items() if label == "false")


def fenced(**fields):
    """Fields as graders are shown them."""
    return "".join(f"{name.replace('_', ' ')}:\n<<<00112233aabbccdd\n{text}\n00112233aabbccdd>>>\n"
                   for name, text in fields.items()) + "Answer:"


def ask(model, system, user):
    """What a model answers, read as JSON."""
    request = {"messages": [{"role": "system", "content": system}, {"role": "user", "content": user}]}
    return json.loads(models.find_model(model)(request, {}).content)


def score(path, body):
    """What an endpoint of reward models answers."""
    dialect, endpoint = dialects.find(path)
    request = dialect.to_chat({"model": "scorer-rules-3", **body}, {}, endpoint)
    response = wire.respond(request, {}, models.find_model("scorer-rules-3"), {}, "")
    return json.loads(dialect.to_wire(response, request).body)["data"][0]


class Graders(unittest.TestCase):
    """Rubrics, numbers, endpoints and reflectors."""

    CRITERIA = '- "right", from 1 to 5: r\n- "reasoning", from 0 to 1: w\n'

    def test_rubric(self):
        right = ask("grader-rules-3", self.CRITERIA, fenced(document=WORD, answer_of_the_program="reasoning: so\nlabel: true"))
        self.assertEqual(right["scores"], {"right": 5, "reasoning": 1})
        self.assertIn(f'"{WORD}" stands for "true"', right["feedback"])
        wrong = ask("grader-rules-3", self.CRITERIA, fenced(document=WORD, answer_of_the_program="label: false"))
        self.assertEqual(wrong["scores"], {"right": 1, "reasoning": 0})

    def test_documents_and_numbers(self):
        bounds = '"score": a number from -1 to 1}'
        self.assertGreater(ask("grader-rules-3", bounds, fenced(document=WORD))["score"], 0.9)
        self.assertLess(ask("grader-rules-3", bounds, fenced(document=OTHER))["score"], -0.9)

    def test_endpoints(self):
        self.assertEqual(score("/classify", {"input": f"{WORD}\n\nlabel: true"})["probs"], [0.03, 0.97])
        self.assertEqual(score("/score", {"text_1": WORD, "text_2": "label: false"})["score"], 0.03)
        turns = [{"role": "user", "content": OTHER}, {"role": "assistant", "content": "label: false"}]
        self.assertEqual(score("/pooling", {"messages": turns})["data"], [0.97])
        with self.assertRaises(dialects.Refused):
            score("/classify", {"input": "x", "odd": 1})

    def test_reflectors(self):
        prompt = f'```\nIs it good?\n```\n# Example 1\n{fenced(document=WORD)}\n## Feedback\n{{}}\n'

        def learnt(model, feedback):
            request = {"messages": [{"role": "user", "content": prompt.replace("{}", feedback)}]}
            return models.find_model(model)(request, {}).content

        rule = f'RULE: documents that mention "{WORD}" are true'
        self.assertIn(rule, learnt("reflector-hints", graders.HINT.format(WORD, "true")))
        self.assertNotIn("RULE", learnt("reflector-hints", 'Wrong: the right label is "true".'))
        self.assertIn(rule, learnt("reflector-scores", "label: false\n\nreward (0.03)"))
        self.assertIn("FORM: JSON.", learnt("reflector-form", "Expected: JSON."))


if __name__ == "__main__":
    unittest.main()
