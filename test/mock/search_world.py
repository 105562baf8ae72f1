"""A world to compare searches in: documents with a hidden standard, judges, a reflector.

What it models.  A labeller's standard of 8 to 14 rules: a feature of a document speaks for
a label, some rules outweigh others, some have exceptions, and what no rule settles gets a
default.  Features show as words (two for each); most features mean nothing.  A few labels are
wrong, and so are some of the labellers' notes.  A judge has opinions of its own, follows the
rules that it finds in its prompt more or less (by its skill, by how clearly a sentence is put, less
in a longer prompt), and differs by wording: the same rules in other words give other verdicts on
some documents.  A reflector reads the records of a reflection prompt, infers one or two rules, an
exception or an emphasis from notes and words, is sometimes wrong, and sometimes rewords, drops or
rewrites what is there.  It sets points of their own or joins them to a line; so a line may hold
several rules.

What it does not model.  Rules beyond single words and their exceptions, documents that argue with the
judge, answers that do not parse, a reflector that learns, more than one component.  Sentences act
one by one, which is kind to any search that takes prompts apart.

Everything is a function of the seeds, the prompt and the document.  A prompt is read once and
judged on all documents at a time with NumPy; nothing here knows HTTP or a search.
"""

import hashlib
import math
import random
import re
from dataclasses import dataclass, field

import numpy as np

SEED_PROMPT = "Decide whether the text meets our standard. Answer true or false."
LABELS = ("false", "true")
FEATURES = 22
STRONG = "Above all: "
VAGUE = ("Read the whole text with care before you decide.",
         "Weigh every hint in the text against the others.",
         "Keep in mind what our readers expect of a good text.",
         "Be consistent and do not let the style of the text mislead you.")
WORDINGS = ("Answer {label} when the text mentions {word}{exception}.",
            "Texts that contain {word} are {label}{exception}.",
            "A text that speaks of {word} should be judged {label}{exception}.",
            "The label {label} is right wherever {word} comes up{exception}.",
            "If you read about {word} somewhere, then the label is {label}{exception}.",
            "Look for {word} in the text: it points to {label}{exception}.",
            "We regard {word} as a clear sign for {label}{exception}.")
DEFAULT_WORDINGS = ("When nothing else settles it, answer {label}.",
                    "Otherwise the label is {label}.",
                    "In doubt the answer is {label}.")
IS_DEFAULT = re.compile(r"nothing else|otherwise|in doubt", re.I)
EXCEPTION = re.compile(r"\b(?:unless|except)\b", re.I)
LABEL = re.compile(r"\b(true|false)\b", re.I)
FILLER = """the a of and to in is it for on with as this that by from at which or are was be page line part
    house river table window garden morning evening people water paper letter number street market winter
    summer country village question reason moment corner bridge silver yellow quiet narrow simple common early
    late open near small large long short first second other""".split()


@dataclass(frozen=True)
class Skill:
    """How well a judge does what its prompt says."""
    follows: float          # chance to follow a clear sentence of a short prompt
    wording: float          # scale of the random effect of the prompt on a document
    dilution: float         # of following, per hundred words beyond eighty
    lapse: float            # verdicts that have nothing to do with anything


SKILLS = {"small": Skill(0.90, 0.16, 0.12, 0.04),
          "medium": Skill(0.97, 0.08, 0.04, 0.01),
          "large": Skill(1.00, 0.05, 0.01, 0.005)}


def key_of(*parts):
    """64 bits that are a function of the parts."""
    text = "\0".join(str(part) for part in parts).encode("utf-8", "replace")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def uniform(keys):
    """Numbers in (0, 1) from arrays of 64 bits (splitmix64)."""
    with np.errstate(over="ignore"):
        keys = keys + np.uint64(0x9E3779B97F4A7C15)
        keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        keys = keys ^ (keys >> np.uint64(31))
    return ((keys >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0 ** -53


def logistic(keys):
    """Draws of standard deviation 1.8 around 0."""
    shares = uniform(keys)
    return np.log(shares / (1 - shares))


@dataclass(frozen=True)
class Rule:
    """A feature (None: the default) speaks for a label (-1, 1) with a weight of 1 or 2."""
    feature: int
    sign: int
    weight: int
    exception: int = None   # a feature that voids it


@dataclass
class Sentence:
    """A sentence of a prompt and the rules that a judge finds in it."""
    text: str
    rules: list


@dataclass
class Documents:
    """Documents as a judge sees them."""
    keys: np.ndarray
    features: np.ndarray    # documents x FEATURES
    draws: dict = field(default_factory=dict)   # sentence -> what decides if it is followed, by document

    def draw(self, sentence):
        """For each document a number in (0, 1) that is the sentence's."""
        if sentence not in self.draws:
            self.draws[sentence] = uniform(self.keys ^ np.uint64(key_of("sentence", sentence))).astype(np.float32)
        return self.draws[sentence]


@dataclass
class Record:
    """An example of a reflection prompt."""
    features: set
    expected: int
    wrong: bool
    named: list             # features in quotes in the labeller's note
    voided: bool            # the note says that the first is void because of the second
    usual: bool             # ... that nothing settles it
    outweighs: bool         # ... that the first settles it whatever else there is


class World:
    """The standard of a seed: words, rules, judges and the reflector that belong to it."""

    def __init__(self, seed, skill="medium", temperature=0.0):
        rng = random.Random(f"search world {seed}")
        self.seed = seed
        self.skill = SKILLS[skill]
        self.temperature = temperature
        self.words = make_words(rng)
        self.feature_of = {word: f for f, pair in enumerate(self.words) for word in pair}
        self.any_word = re.compile(r"\b(" + "|".join(self.feature_of) + r")\b")
        rows = []
        while not 0.35 < np.mean([row[3] > 0 for row in rows] or [0]) < 0.65:
            self.make_rules(rng)
            rows = self.make_rows("draft", 1000, 0)
        labels = np.array([row[3] for row in rows])
        documents = self.read_documents([row[0] for row in rows])
        right = 0
        while not 0.56 < right < 0.62:
            self.make_opinions(rng)
            right = np.mean(self.verdicts(SEED_PROMPT, documents) == labels)

    def make_rules(self, rng):
        """The standard, and how often each feature occurs."""
        self.rules, self.default = make_rules(rng)
        used = {rule.feature for rule in self.rules} | {rule.exception for rule in self.rules}
        self.incidence = [0.05 + 0.50 * rng.random() ** 2 if f in used else rng.uniform(0.04, 0.14)
                          for f in range(FEATURES)]

    def make_opinions(self, rng):
        """What the judge makes of documents and features when nobody tells it."""
        self.bias = rng.choice((-0.4, 0.4))
        self.opinions = np.array([rng.gauss(0, 0.6) for _ in range(FEATURES)])
        for rule in self.rules:
            self.opinions[rule.feature] += 0.2 * rule.sign * rule.weight

    # documents

    def truth(self, features):
        """The label (-1, 1) by the standard, and the rules that settled it."""
        holds = [r for r in self.rules if r.feature in features and r.exception not in features]
        total = sum(r.sign * r.weight for r in holds)
        sign = self.default if total == 0 else 1 if total > 0 else -1
        deciding = sorted((r for r in holds if r.sign == sign), key=lambda r: -r.weight)
        return sign, deciding

    def make_note(self, rng, features, shown, sign, deciding):
        """What the labeller says about a row."""
        if rng.random() < 0.2 or not features:
            return ""
        void = [r for r in self.rules if r.sign != sign and r.feature in features and r.exception in features]
        if void and rng.random() < 0.6:
            return f'"{shown[void[0].feature]}" does not count here because of "{shown[void[0].exception]}".'
        if not deciding and rng.random() < 0.7:
            return "Nothing in it settles the matter, so it gets the usual label."
        by = deciding[0].feature if deciding and rng.random() < 0.9 else rng.choice(sorted(features))
        decides = "outweighs all else" if deciding and deciding[0].weight > 1 else "decides"
        return f'The mention of "{shown[by]}" {decides}.'

    def make_row(self, rng, noise):
        """(body, label, note, true label); the labels are -1 or 1."""
        features = {f for f in range(FEATURES) if rng.random() < self.incidence[f]}
        shown = {f: rng.choice(self.words[f]) for f in features}
        text = rng.choices(FILLER, k=rng.randrange(15, 46))
        for f in sorted(features):
            text.insert(rng.randrange(len(text) + 1), shown[f])
        sign, deciding = self.truth(features)
        label = -sign if rng.random() < noise else sign
        if label != sign:
            deciding = []
        note = self.make_note(rng, features, shown, label, deciding)
        return " ".join(text), label, note, sign

    def make_rows(self, draw, n, noise=0.035):
        """Rows that are a function of the world, the draw and n."""
        rng = random.Random(f"rows {self.seed} {draw}")
        return [self.make_row(rng, noise) for _ in range(n)]

    def read_documents(self, bodies):
        """What a judge sees of texts."""
        features = np.zeros((len(bodies), FEATURES), dtype=bool)
        for i, body in enumerate(bodies):
            features[i, [self.feature_of[word] for word in self.any_word.findall(body)]] = True
        return Documents(np.array([key_of("document", body) for body in bodies], dtype=np.uint64), features)

    # the judge

    def read_sentence(self, text):
        """The rules that a judge finds in a sentence."""
        label = LABEL.search(text)
        if label is None:
            return Sentence(text, [])
        sign = 1 if label.group(1).lower() == "true" else -1
        before, *after = EXCEPTION.split(text.lower(), maxsplit=1)
        features = [self.feature_of[word] for word in self.any_word.findall(before)]
        voids = [self.feature_of[word] for word in self.any_word.findall(after[0])] if after else []
        weight = 2 if text.startswith(STRONG) else 1
        if not features and IS_DEFAULT.search(text):
            return Sentence(text, [Rule(None, sign, 1)])
        return Sentence(text, [Rule(f, sign, weight, voids[0] if voids else None) for f in features])

    def read_prompt(self, prompt):
        """Lines of sentences."""
        lines = [re.split(r"(?<=\.)\s+", line.strip()) for line in prompt.split("\n")]
        return [[self.read_sentence(text) for text in line if text] for line in lines if line != [""]]

    def verdicts(self, prompt, documents, rng=None):
        """The labels (-1, 1) that documents get under a prompt; rng makes the noise of a temperature."""
        skill = self.skill
        keys, seen = documents.keys, documents.features
        sentences = [sentence for line in self.read_prompt(prompt) for sentence in line if sentence.rules]
        dilution = math.exp(-skill.dilution * max(0, len(prompt.split()) - 80) / 100)
        opinion = math.exp(-sum(len(sentence.rules) for sentence in sentences) / 8)
        weights = np.where(seen, self.opinions * opinion, 0.0)
        total = (self.bias + 0.6 * logistic(keys)) * opinion
        for sentence in sentences:
            clear = 0.9 + 0.1 * (key_of("clear", sentence.text) % 1000) / 1000
            follows = documents.draw(sentence.text) < skill.follows * clear * dilution
            for rule in sentence.rules:
                if rule.feature is None:
                    total += np.where(follows, 0.8 * rule.sign, 0.0)
                    continue
                holds = seen[:, rule.feature] & follows
                weights[holds, rule.feature] = 1.6 * rule.sign * rule.weight
                if rule.exception is not None:
                    weights[holds & seen[:, rule.exception], rule.feature] = 0.0
        key = np.uint64(key_of("prompt", prompt))
        total += weights.sum(axis=1) + skill.wording * logistic(keys ^ key)
        if self.temperature > 0 and rng is not None:
            total += self.temperature * rng.logistic(size=len(keys))
        lapses = uniform(keys ^ np.uint64(key_of("lapse", prompt))) < skill.lapse
        return np.where((total > 0) ^ lapses, 1, -1)

    def judge(self, prompt, body):
        """The label of one text, as a word."""
        return LABELS[int(self.verdicts(prompt, self.read_documents([body]))[0] > 0)]

    # the reflector

    def say(self, rng, rule):
        """A sentence that states a rule."""
        label = LABELS[rule.sign > 0]
        if rule.feature is None:
            return rng.choice(DEFAULT_WORDINGS).format(label=label)
        exception = ""
        if rule.exception is not None:
            exception = f", unless {rng.choice(self.words[rule.exception])} is there as well"
        text = rng.choice(WORDINGS).format(label=label, word=rng.choice(self.words[rule.feature]),
                                           exception=exception)
        return STRONG + text if rule.weight > 1 else text

    def ideal_prompt(self, seed=0):
        """A prompt that states the whole standard."""
        rng = random.Random(f"ideal {seed}")
        rules = self.rules + [Rule(None, self.default, 1)]
        return "\n".join([SEED_PROMPT] + [self.say(rng, rule) for rule in rules])

    def read_record(self, text):
        """An example of a reflection prompt, None if its feedback says no label."""
        inputs, _, rest = text.partition("## Generated Outputs")
        expected = re.search(r'right label (?:was|is) "(\w+)"|Right: the label is "(\w+)"', rest)
        if not expected:
            return None
        note = rest.partition("What the labeller says:")[2].split("\n")[0]
        named = [self.feature_of[word] for word in re.findall(r'"([^"]+)"', note) if word in self.feature_of]
        sign = 1 if (expected.group(1) or expected.group(2)) == "true" else -1
        return Record({self.feature_of[word] for word in self.any_word.findall(inputs)}, sign,
                      expected.group(1) is not None, named, "does not count" in note and len(named) == 2, "usual label" in note, "outweighs" in note)

    def read_reflection(self, prompt):
        """(the present instruction as lines of sentences, records)."""
        current = prompt.split("```")[1] if prompt.count("```") > 1 else prompt
        texts = re.split(r"(?m)^# Example \d+\n", prompt)[1:]
        records = [self.read_record(text) for text in texts]
        return self.read_prompt(current), [record for record in records if record]

    def reflect(self, prompt, seed=0):
        """The answer to a reflection prompt."""
        lines, records = self.read_reflection(prompt)
        draft = Draft(self, random.Random(key_of("reflect", seed, prompt)), lines, records)
        return "Here is a better instruction.\n```\n" + draft.write() + "\n```"


@dataclass
class Draft:
    """An instruction while the reflector works on it."""
    world: World
    rng: random.Random
    lines: list
    records: list
    new: list = field(default_factory=list)

    def stated(self):
        """Feature -> (sentence, rule) of what is there; the last one counts, as for a judge."""
        return {rule.feature: (sentence, rule) for line in self.lines for sentence in line
                for rule in sentence.rules}

    def replace(self, sentence, text):
        """Put a sentence differently; no text drops it."""
        for line in self.lines:
            for i, other in enumerate(line):
                if other is sentence:
                    line[i:i + 1] = [self.world.read_sentence(text)] if text else []
        self.lines = [line for line in self.lines if line]

    def reword(self, sentence):
        """Say the same in other words."""
        self.replace(sentence, " ".join(self.world.say(self.rng, rule) for rule in sentence.rules[:1]))

    def add(self, text):
        """A new sentence: on a line of its own, or joined to the last."""
        sentence = self.world.read_sentence(text)
        if len(self.lines) > 1 and self.rng.random() < 0.25:
            self.lines[-1].append(sentence)
        else:
            self.lines.append([sentence])

    def mend(self, record):
        """Change what is stated and was wrong on a record; False if there is nothing to mend."""
        stated = self.stated()
        if record.voided and record.named[0] in stated:
            sentence, rule = stated[record.named[0]]
            if rule.sign != record.expected and rule.exception is None:
                self.replace(sentence, self.world.say(
                    self.rng, Rule(rule.feature, rule.sign, rule.weight, record.named[1])))
                return True
        if not record.named or record.voided or record.named[0] not in stated:
            return False
        sentence, rule = stated[record.named[0]]
        if rule.sign != record.expected:
            self.replace(sentence, self.world.say(
                self.rng, Rule(rule.feature, record.expected, 1)) if self.rng.random() < 0.6 else "")
        elif rule.weight == 1:
            self.replace(sentence, self.world.say(self.rng, Rule(rule.feature, rule.sign, 2, rule.exception)))
        else:
            self.reword(sentence)
        return True

    def guesses(self):
        """Rules that the records suggest: {(feature, sign): support}."""
        stated = self.stated()
        support = {}
        for record in self.records:
            for f in record.features - stated.keys():
                named = f in record.named and record.wrong and not record.voided
                by = support.setdefault(f, {-1: 0, 1: 0})
                by[record.expected] += 12 if named else 2 if record.wrong else 1
        best = {(f, max(by, key=by.get)): max(by.values()) - 1.5 * min(by.values()) for f, by in support.items()}
        return {guess: weight for guess, weight in best.items() if weight >= 2}

    def learn(self):
        """Add a rule that was not stated."""
        guesses = self.guesses()
        wrong = [r for r in self.records if r.wrong and r.features]
        usual = [r for r in self.records if r.wrong and r.usual]
        if wrong and self.rng.random() < 0.08:      # jumps to a conclusion
            record = self.rng.choice(wrong)
            f, sign = self.rng.choice(sorted(record.features)), record.expected
            if f not in self.stated():
                self.add(self.world.say(self.rng, Rule(f, sign, self.rng.choice((1, 1, 2)))))
        elif usual and None not in self.stated() and self.rng.random() < 0.4:
            self.add(self.world.say(self.rng, Rule(None, usual[0].expected, 1)))
        elif guesses:
            pairs = sorted(guesses, key=str)
            f, sign = self.rng.choices(pairs, [guesses[pair] ** 2 for pair in pairs])[0]
            strong = any(record.outweighs and f in record.named for record in self.records)
            self.add(self.world.say(self.rng, Rule(f, sign, 2 if strong or self.rng.random() < 0.1 else 1)))
        else:
            self.add(self.rng.choice(VAGUE))

    def rewrite(self):
        """Everything in other words and another order, some of it joined or lost."""
        sentences = [s for line in self.lines[1:] for s in line if self.rng.random() > 0.1]
        self.rng.shuffle(sentences)
        self.lines = self.lines[:1]
        for sentence in sentences:
            self.add(self.world.say(self.rng, sentence.rules[0]) if sentence.rules else sentence.text)

    def write(self):
        """The new instruction."""
        wrong = [r for r in self.records if r.wrong]
        self.rng.shuffle(wrong)
        for _ in range(2):
            if not (wrong and self.rng.random() < 0.35 and any(self.mend(record) for record in wrong[:4])):
                self.learn()
        mood = self.rng.random()
        rest = [s for line in self.lines[1:] for s in line]
        if mood < 0.10:
            self.rewrite()
        elif mood < 0.18 and rest:
            self.replace(self.rng.choice(rest), "")
        elif mood < 0.33 and any(s.rules for s in rest):
            self.reword(self.rng.choice([s for s in rest if s.rules]))
        return "\n".join(" ".join(s.text for s in line) for line in self.lines)


def make_words(rng):
    """Two invented words for each feature."""
    words = set()
    while len(words) < 2 * FEATURES:
        words.add("".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(3))
                  + rng.choice("klmnrst"))
    words = sorted(words)
    rng.shuffle(words)
    return [tuple(words[2 * f:2 * f + 2]) for f in range(FEATURES)]


def make_rules(rng):
    """(rules, default label) of a standard."""
    features = rng.sample(range(FEATURES), FEATURES)
    n = rng.randrange(8, 15)
    rules = []
    for i, f in enumerate(features[:n]):
        exception = rng.choice(features[:i] + features[n:n + 4]) if rng.random() < 0.25 else None
        rules.append(Rule(f, 1 if i % 2 else -1, rng.choice((1, 1, 2)), exception))
    return rules, rng.choice((-1, 1))
