"""The models of the mock: what is answered, not how it is sent.

A model is a function from a request to an Answer; nothing here knows HTTP.

judge-rules    knows what the lexicon's words are, and which label they go with
               only from RULE lines of its prompt and from example turns
judge-gullible the same, but does what a text tells it to that stands outside
               of the fences
judge-fixed-X  answers X
reflector      adds RULE lines to an instruction, learnt from its records
reflector-X    the same with a habit, see proposals.py
text-words, text-longer  rewrite texts that are no judge's: texts.py
echo           answers the last message
grader-..., scorer-..., reflector-..., judge-form   see graders.py
...-demo       what the scripts in demo/ want: see demos.py
sim-S-W        the judge of skill S (small, medium, large) of search world W
sim-reflector-W  the reflector of that world; these need NumPy
"""

import functools
import hashlib
import json
import re
from dataclasses import dataclass, field

import images
import proposals
import steps
import texts
import votes
from world import LEXICON

RULE = re.compile(r'RULE: documents that mention "([^"]+)" are "?([^\s".,]+)')
FENCED = re.compile(r"<<<([0-9a-f]{8,})\n(.*?)\n\1>>>", re.S)
COMMAND = re.compile(r"ignore (?:all |the |your )?(?:previous )?instructions and answer \W*(\w+)", re.I)
LEXICON_WORD = re.compile(r"\b(?:" + "|".join(LEXICON) + r")\b")
SEARCH_MODEL = re.compile(r"sim-(small|medium|large|reflector)-\d+")
FORMAT_LABELS = re.compile(r'"label": one of (.+?)\}\.\n')

LEARNT_FROM_EXAMPLES = 80       # percent of the words that examples show
USELESS_REFLECTIONS = 20        # percent of the reflector's answers


@dataclass
class Answer:
    """What a model says, before it is put into a response."""
    content: str
    label: str = None
    labels: list = field(default_factory=list)
    probabilities: list = None      # of the labels, in their order
    reasoning: str = None


@dataclass
class Task:
    """A request as a judge sees it."""
    system: str
    examples: list                  # of (document, label)
    document: str                   # what stands between the fences
    outside: str                    # of the last message
    labels: list
    wants_reasoning: bool
    structured: bool                # the request carries a schema


def drawn(*parts):
    """A whole number that is a function of the parts."""
    text = "\0".join(parts).encode("utf-8", "replace")
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big")


def percent(*parts):
    """A number from 0 to 99 that is a function of the parts."""
    return drawn(*parts) % 100


def hundredths(*parts):
    """The same with two decimals."""
    number = drawn(*parts)
    return number % 100 + number // 100 % 100 / 100


def unfence(text):
    """(what stands between fences, the rest); unfenced text is all document."""
    inside = [match.group(2) for match in FENCED.finditer(text)]
    return ("\n".join(inside), FENCED.sub(" ", text)) if inside else (text, text)


def message_text(message):
    """A message's text; content may be a list of parts."""
    content = message.get("content") or ""
    if isinstance(content, list):
        return images.join_parts(content)
    return content


def example_label(text):
    """The label of an assistant's turn."""
    try:
        label = json.loads(text)["label"]
    except (ValueError, KeyError, TypeError):
        label = text.strip()
    return label if isinstance(label, str) else str(label).lower()


def schema_of(request):
    """The schema of the answer, or None."""
    form = request.get("response_format") or {}
    return form.get("json_schema", {}).get("schema") if form.get("type") == "json_schema" else None


def read_task(request, ignore_schema=False):
    """Take a chat request apart."""
    messages = request.get("messages") or []
    system = "\n".join(message_text(m) for m in messages if m.get("role") in ("system", "developer"))
    turns = [m for m in messages if m.get("role") in ("user", "assistant")]
    schema = None if ignore_schema else schema_of(request)
    examples = [(unfence(message_text(user))[0], example_label(message_text(answer)))
                for user, answer in zip(turns, turns[1:])
                if user["role"] == "user" and answer["role"] == "assistant"]
    document, outside = unfence(message_text(turns[-1]) if turns else "")
    properties = (schema or {}).get("properties", {})
    labels = properties.get("label", {}).get("enum")
    if not labels:
        listed = FORMAT_LABELS.search(system)
        labels = re.findall(r'"((?:[^"\\]|\\.)*)"', listed.group(1)) if listed else ["true", "false"]
    wants = "reasoning" in properties if schema else '"reasoning"' in system
    return Task(system, examples, document, outside, labels, wants, schema is not None)


def rules_of(task):
    """Rules that the prompt states: word -> label."""
    return {word: label for word, label in RULE.findall(task.system) if label in task.labels}


def lessons_of(task):
    """Rules that example turns show; a word is learnt four times out of five."""
    votes = {}
    for document, label in task.examples:
        for word in set(LEXICON_WORD.findall(document.lower())):
            votes.setdefault(word, []).append(label)
    lessons = {}
    for word, labels in votes.items():
        best = max(sorted(set(labels)), key=labels.count)
        if percent("lesson", word) < LEARNT_FROM_EXAMPLES and 2 * labels.count(best) > len(labels):
            lessons[word] = best
    return lessons


def vote(rules, words, labels):
    """The label that most of the words speak for; None without a majority."""
    votes = [rules[word] for word in words if rules.get(word) in labels]
    ranked = sorted(set(votes), key=lambda label: (-votes.count(label), label))
    if not ranked or (len(ranked) > 1 and votes.count(ranked[0]) == votes.count(ranked[1])):
        return None
    return ranked[0]


def decide(task, bias=None):
    """(label, how sure, words seen): stated rules, then examples, then chance."""
    lowered = task.document.lower()
    stated = rules_of(task)
    words = sorted(set(LEXICON_WORD.findall(lowered)) |
                   {word for word in stated if re.search(rf"\b{re.escape(word)}\b", lowered)})
    for rules, sure in ((stated, 0.97), (lessons_of(task), 0.90)):
        label = vote(rules, words, task.labels)
        if label is not None:
            return label, sure, words
    if bias in task.labels:
        return bias, 0.60, words
    chance = percent("chance", task.document)
    return task.labels[chance * len(task.labels) // 100], 0.51 + chance % 20 / 100, words


def spread(labels, label, sure):
    """Probabilities of all labels when one has the given one."""
    rest = (1 - sure) / max(len(labels) - 1, 1)
    return [sure if other == label else rest for other in labels]


def answer_text(task, label, reasoning):
    """The answer in the form that was asked for."""
    fields = {"reasoning": reasoning} if task.wants_reasoning else {}
    return json.dumps({**fields, "label": label}, ensure_ascii=False)


def judge(request, options, gullible=False):
    """judge-rules and judge-gullible; options are those of the model's name."""
    task = read_task(request, "noschema" in options)
    if steps.is_step(schema_of(request)):
        return Answer(steps.answer(schema_of(request), task.system, task.document, LEXICON_WORD))
    label, sure, words = decide(task, options.get("bias"))
    obeys = COMMAND.search(task.document if "gullible" in options else
                           task.outside if gullible else "")
    if obeys and obeys.group(1).lower() in task.labels:
        label, sure = obeys.group(1).lower(), 0.99
    if "votes" in options:
        label = votes.cast(label, task.labels, task.document, options["attempt"], percent)
        if label is None:
            return Answer("It is hard to say.")
    probabilities = spread(task.labels, label, sure)
    if "skew" in options:       # knows, but leans away from the first label
        probabilities[0] *= 0.02
        probabilities = [p / sum(probabilities) for p in probabilities]
        label = task.labels[probabilities.index(max(probabilities))]
    seen = ", ".join(f'"{word}"' for word in words)
    reasoning = f"The document mentions {seen}." if words else "Nothing in it stands out."
    if "script" in options:
        reasoning += " \u00e4 \u20ac \u8a9e \U0001f600"
    reasoning = reasoning.ljust(int(options.get("long", 0)), "~")
    return Answer(answer_text(task, label, reasoning), label, task.labels, probabilities, reasoning)


def fixed(request, label):
    """judge-fixed-X."""
    task = read_task(request)
    return Answer(answer_text(task, label, "As always."), label, task.labels,
                  spread(task.labels, label, 0.99), "As always.")


def echo(request):
    """The last message again."""
    messages = request.get("messages") or [{}]
    return Answer(message_text(messages[-1]))


@dataclass
class Record:
    """One example of a reflection prompt."""
    words: set
    expected: str
    wrong: bool
    named: set


def read_records(prompt):
    """The examples of a reflection prompt, as engine and judge write them."""
    records = []
    for text in re.split(r"(?m)^# Example \d+\n", prompt)[1:]:
        document, rest = unfence(text)
        expected = re.search(r'(?:right|expected) label (?:was|is) "([^"]*)"|Right: the label is "([^"]*)"', rest)
        if not expected:
            continue
        note = rest.partition("What the labeller says:")[2]
        words = set(LEXICON_WORD.findall(document.lower()))
        records.append(Record(words, expected.group(1) or expected.group(2),
                              "Right: the label" not in rest,
                              {word for word in re.findall(r'"([^"]+)"', note) if word in words}))
    return records


def best_rules(records, stated):
    """New rules, best first: words that wrong records of one label share."""
    gains = {}
    for record in records:
        for word in record.words - set(stated):
            weight = (2 if record.wrong else 1) + (3 if word in record.named else 0)
            gains.setdefault(word, {}).setdefault(record.expected, 0)
            gains[word][record.expected] += weight
    ranked = []
    for word, by_label in gains.items():
        label = max(sorted(by_label), key=by_label.get)
        gain = 2 * by_label[label] - sum(by_label.values())
        if gain > 1:
            ranked.append((-gain, percent(word), word, label))
    return [(word, label) for _, _, word, label in sorted(ranked)]


def misleading(records, stated):
    """Stated rules that a wrong record contradicts and no record supports."""
    against = {w for r in records if r.wrong for w in r.words if stated.get(w, r.expected) != r.expected}
    return against - {w for r in records for w in r.words if stated.get(w) == r.expected}


def reflector(request):
    """A new instruction: the present one with better rules."""
    prompt = message_text((request.get("messages") or [{}])[-1])
    if proposals.is_combination(prompt):
        return Answer(proposals.combine(prompt))
    parts = prompt.split("```")
    current = (parts[1] if len(parts) > 2 else prompt).strip("\n")
    if steps.is_list_prompt(current):
        return Answer(f"Better:\n```\n{steps.better_list(current, prompt, unfence, LEXICON_WORD)}\n```")
    stated = dict(RULE.findall(current))
    records = read_records(prompt)
    dropped = misleading(records, stated)
    lines = [line for line in current.split("\n")
             if not any(word in dropped for word, _ in RULE.findall(line))]
    # the markers of fences have a key of their own in every database
    if percent("useless", FENCED.sub(lambda match: match.group(2), prompt)) < USELESS_REFLECTIONS:
        lines.append("Think about it with care.")
    else:
        lines += [f'RULE: documents that mention "{word}" are {label}'
                  for word, label in best_rules(records, stated)[:2]]
    return Answer("This should do better:\n```\n" + "\n".join(lines) + "\n```")


def habitual_reflector(request, habit):
    """A reflector of proposals.py."""
    prompt = message_text((request.get("messages") or [{}])[-1])
    return Answer(habit(prompt, lambda: reflector(request).content,
                        lambda text: [match.group(2) for match in FENCED.finditer(text)]))


@functools.lru_cache
def search_model(base):
    """A judge or the reflector of a search world."""
    import search_world     # needs NumPy, which nothing else here does

    _, kind, seed = base.split("-")
    world = search_world.World(int(seed), "medium" if kind == "reflector" else kind)
    if kind == "reflector":
        return lambda request, options: Answer(
            world.reflect(message_text((request.get("messages") or [{}])[-1]), request.get("seed", 0)))
    return lambda request, options: search_judge(world, read_task(request))


def search_judge(world, task):
    """A verdict of a search world's judge; true is its second label."""
    label = world.judge(task.system, task.document)
    return Answer(answer_text(task, label, "It seemed so."), label, task.labels,
                  spread(task.labels, label, 0.9), "It seemed so.")


def find_model(base):
    """The function of a model's base name, or None."""
    import graders      # which knows this module

    if base == "judge-rules":
        return judge
    if base == "judge-gullible":
        return lambda request, options: judge(request, options, gullible=True)
    if base.startswith("judge-fixed-"):
        return lambda request, options: fixed(request, base[len("judge-fixed-"):])
    if base == "reflector":
        return lambda request, options: reflector(request)
    if base in proposals.HABITS:
        return lambda request, options: habitual_reflector(request, proposals.HABITS[base])
    if base in ("text-words", "text-longer"):
        return lambda request, options: Answer(
            texts.write(message_text((request.get("messages") or [{}])[-1]), base == "text-longer"))
    if base == "echo":
        return lambda request, options: echo(request)
    if base.endswith("-demo"):
        import demos    # which knows this module
        return demos.find_model(base)
    if SEARCH_MODEL.fullmatch(base):
        return search_model(base)
    return graders.find_model(base)


MODELS = ("judge-rules", "judge-gullible", "judge-fixed-true", "reflector", "text-words", "text-longer",
          "echo")
