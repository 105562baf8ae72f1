"""Tests of the search world: python3 -m unittest, in this folder; needs NumPy."""

import unittest

import numpy as np

import models
import search_world

WORLD = search_world.World(7)
ROWS = WORLD.make_rows("some", 400, 0.0)
DOCUMENTS = WORLD.read_documents([row[0] for row in ROWS])
TRUTH = np.array([row[3] for row in ROWS])


def accuracy(prompt, world=WORLD):
    return float(np.mean(world.verdicts(prompt, DOCUMENTS) == TRUTH))


def records(rows):
    return "\n\n".join(f'# Example {n}\n## Inputs\n{body}\n\n## Generated Outputs\ntrue\n\n## Feedback\n'
                       f'Wrong: the judge said "true", the right label is "false".\n'
                       f'What the labeller says: {note}\n' for n, (body, note) in enumerate(rows, 1))


class JudgeTest(unittest.TestCase):
    def test_seed_knows_little_and_the_standard_most(self):
        self.assertLess(accuracy(search_world.SEED_PROMPT), 0.7)
        self.assertGreater(accuracy(WORLD.ideal_prompt()), 0.85)

    def test_skills(self):
        accuracies = [accuracy(WORLD.ideal_prompt(), search_world.World(7, skill)) for skill in search_world.SKILLS]
        self.assertEqual(accuracies, sorted(accuracies))

    def test_one_at_a_time_is_the_same(self):
        prompt = WORLD.ideal_prompt(1)
        together = WORLD.verdicts(prompt, DOCUMENTS)
        for i in range(20):
            self.assertEqual(WORLD.judge(prompt, ROWS[i][0]), search_world.LABELS[int(together[i] > 0)])

    def test_wording_matters_on_some_documents(self):
        one, other = (WORLD.verdicts(WORLD.ideal_prompt(i), DOCUMENTS) for i in (1, 2))
        self.assertTrue(0.01 < np.mean(one != other) < 0.3)

    def test_a_rule_counts_where_its_feature_is(self):
        rule = WORLD.rules[0]
        text = search_world.WORDINGS[0].format(label="false", word=WORLD.words[rule.feature][0], exception="")
        before = WORLD.verdicts(search_world.SEED_PROMPT, DOCUMENTS)
        after = WORLD.verdicts(search_world.SEED_PROMPT + "\n" + search_world.STRONG + text, DOCUMENTS)
        has = DOCUMENTS.features[:, rule.feature]
        self.assertLess(np.mean(after[has] > 0), 0.2)
        self.assertLess(np.mean((after != before)[~has]), 0.2)

    def test_worlds_repeat_and_differ(self):
        self.assertEqual(search_world.World(7).make_rows("some", 5), WORLD.make_rows("some", 5))
        self.assertNotEqual(search_world.World(8).make_rows("some", 5), WORLD.make_rows("some", 5))


class ReflectorTest(unittest.TestCase):
    def test_learns_a_noted_word(self):
        word = WORLD.words[3][0]
        shown = records([(f"the page of {word} and more", f'The mention of "{word}" decides.')] * 8)
        prompt = f"```\n{search_world.SEED_PROMPT}\n```\n```\n{shown}\n```\n"
        learnt = sum(f"{{{word}}}" in set_of_words(WORLD, WORLD.reflect(prompt, seed)) for seed in range(20))
        self.assertGreater(learnt, 12)

    def test_is_a_function_of_prompt_and_seed(self):
        prompt = f"```\n{search_world.SEED_PROMPT}\n```\n```\n{records([(ROWS[0][0], '')])}\n```\n"
        self.assertEqual(WORLD.reflect(prompt, 1), WORLD.reflect(prompt, 1))


def set_of_words(world, text):
    """{first word of the feature} of each word of the lexicon in a text."""
    return {f"{{{world.words[world.feature_of[word]][0]}}}" for word in world.any_word.findall(text)}


class ModelTest(unittest.TestCase):
    def test_judge_and_reflector_by_name(self):
        request = {"messages": [{"role": "system", "content": WORLD.ideal_prompt()},
                                {"role": "user", "content": ROWS[0][0]}]}
        answer = models.find_model("sim-medium-7")(request, {})
        self.assertEqual(answer.label, WORLD.judge(WORLD.ideal_prompt(), ROWS[0][0]))
        prompt = f"```\n{search_world.SEED_PROMPT}\n```\n"
        answer = models.find_model("sim-reflector-7")({"messages": [{"role": "user", "content": prompt}]}, {})
        self.assertIn(search_world.SEED_PROMPT, answer.content)
        self.assertIsNone(models.find_model("sim-huge-7"))


if __name__ == "__main__":
    unittest.main()
