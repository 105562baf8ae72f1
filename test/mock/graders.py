"""Models that grade, and reflectors that have nothing but grades to learn from.

grader-rules-S     a rubric, or a chat with a number, that knows the hidden rule of world S
scorer-rules-S     the same behind /classify, /score and /pooling: a probability
reflector-hints    learns from what graders say of words, and from nothing else
reflector-scores   learns from scores below 0.5: the other label would have been right
judge-form         judges by the labels of its prompt only if a FORM line tells it the form
reflector-form     adds the FORM line when a grader quotes the expected format

The endpoints of reward models stand beside /v1, as vLLM has them.
"""

import json
import re

import models
import wire
import world

FEATURES = 8
NAME = re.compile(r"(grader|scorer)-rules-(\d+)$")
FIELD = re.compile(r"(?m)^(?:([^\n<>:]+):\n)?<<<([0-9a-f]{8,})\n(.*?)\n\2>>>", re.S)
CRITERION = re.compile(r'(?m)^- "(.+?)", from (\S+) to (\S+): ')
BOUNDS = re.compile(r'"score": a number from (\S+) to (\S+)\}')
GIVEN = re.compile(r"(?m)^label: (\S+)")
HINT = 'The word "{}" stands for "{}".'
HINTS = re.compile(r'The word "([^"]+)" stands for "([^"]+)"')
SCORE = re.compile(r"(?m)^\w+ \(([01]\.\d+)\)")
OUTPUT = "answer of the program"
SURE = 0.97


def truth(rule, text):
    """(word, label) that the hidden rule has for a text; (None, None) without one."""
    for word in models.LEXICON_WORD.findall(text.lower()):
        if word in rule:
            return word, rule[word]
    return None, None


def is_good(rule, document, output):
    """Is the output right, or without one the document positive? (yes, hint)"""
    word, label = truth(rule, document)
    given = GIVEN.search(output or "")
    good = label == (given.group(1) if given else None) if output is not None else label == "true"
    return good, HINT.format(word, label) if word else "Nothing stands out."


def number(text):
    """A number as JSON has it best."""
    value = float(text)
    return int(value) if value == int(value) else value


def grade(request, rule):
    """A rubric's answer, or a chat's with one number."""
    messages = [models.message_text(m) for m in request["messages"]]
    fields = {name or "document": text for name, _, text in FIELD.findall(messages[-1])}
    output = fields.pop(OUTPUT, None)
    good, hint = is_good(rule, "\n".join(fields.values()), output)
    answer = {"feedback": hint}
    criteria = CRITERION.findall(messages[0])
    if criteria:
        answer["scores"] = {name: number(high if (good if name != "reasoning" else "reasoning: " in (output or ""))
                                         else low) for name, low, high in criteria}
    else:
        low, high = map(float, BOUNDS.search(messages[0]).groups())
        answer["score"] = low + (high - low) * (SURE if good else 1 - SURE)
    return models.Answer(json.dumps(answer))


def score(request, rule):
    """What a reward model makes of a document, or of an answer to it."""
    turns = [m for m in request["messages"] if m["role"] != "system"]
    output = turns[1]["content"] if len(turns) > 1 else None
    return models.Answer(str(SURE if is_good(rule, turns[0]["content"], output)[0] else round(1 - SURE, 2)))


def records_of(prompt):
    """The examples of a reflection prompt: (document, what else is said)."""
    return [models.unfence(text) for text in re.split(r"(?m)^# Example \d+\n", prompt)[1:]]


def present(prompt):
    """The instruction that is to be made better."""
    parts = prompt.split("```")
    return (parts[1] if len(parts) > 2 else prompt).strip("\n")


def improved(current, lines):
    """An answer with the lines that the instruction does not have."""
    new = [line for line in dict.fromkeys(lines) if line not in current]
    return models.Answer("This should do better:\n```\n" + "\n".join([current] + new[:3]) + "\n```")


def rule_line(word, label):
    """A rule as judge-rules reads it."""
    return f'RULE: documents that mention "{word}" are {label}'


def reflect_on_hints(request):
    """reflector-hints."""
    prompt = models.message_text(request["messages"][-1])
    found = [hint for _, said in records_of(prompt) for hint in HINTS.findall(said)]
    return improved(present(prompt), [rule_line(*hint) for hint in found])


def reflect_on_scores(request):
    """reflector-scores."""
    prompt = models.message_text(request["messages"][-1])
    current = present(prompt)
    votes = {}
    for document, said in records_of(prompt):
        given, value = re.search(r"label\W+(true|false)\b", said), SCORE.search(said)
        if not given or not value:
            continue
        right = float(value.group(1)) >= 0.5
        label = given.group(1) if right else {"true": "false", "false": "true"}[given.group(1)]
        for word in set(models.LEXICON_WORD.findall(document.lower())) - set(dict(models.RULE.findall(current))):
            votes.setdefault(word, []).append(label)
    lines = [rule_line(word, labels[0]) for word, labels in sorted(votes.items(), key=lambda v: -len(v[1]))
             if len(set(labels)) == 1]
    return improved(current, lines)


def judge_form(request, options):
    """judge-form."""
    answer = models.judge(request, options)
    system = models.read_task(request).system
    return answer if "FORM:" in system else models.Answer("I would rather tell a story about it.")


def reflect_on_form(request):
    """reflector-form."""
    prompt = models.message_text(request["messages"][-1])
    expected = re.search(r"Expected: ([^\n]+)", prompt)
    return improved(present(prompt), [f"FORM: {expected.group(1)}"] if expected else [])


def find_model(base):
    """The function of a model's base name, or None."""
    named = {"reflector-hints": reflect_on_hints, "reflector-scores": reflect_on_scores,
             "reflector-form": reflect_on_form}
    if base in named:
        return lambda request, options: named[base](request)
    if base == "judge-form":
        return judge_form
    match = NAME.match(base)
    if not match:
        return None
    rule = world.hidden_rule(int(match.group(2)), FEATURES)
    return lambda request, options: (grade if match.group(1) == "grader" else score)(request, rule)


class Scoring:
    """/classify, /score and /pooling of a vLLM-style server."""

    PATH = re.compile(r"/(classify|score|pooling)$")
    FIELDS = {"classify": "model input", "score": "model text_1 text_2", "pooling": "model messages"}

    @classmethod
    def to_chat(cls, request, headers, model):
        """As a chat request; Refused with a 400 if it is none."""
        import dialects     # which knows this class

        dialects.known(request, cls.FIELDS[model], "request")
        if model == "pooling":
            messages = request["messages"]
        else:
            text = request["input"] if model == "classify" else request["text_1"] + "\n\n" + request["text_2"]
            document, _, output = text.rpartition("\n\n")
            messages = [{"role": "user", "content": document or output}]
            messages += [{"role": "assistant", "content": output}] if document else []
        return {"model": request["model"], "messages": messages, "endpoint": model}

    @classmethod
    def to_wire(cls, response, request):
        """The response with the score where the endpoint has it."""
        import dialects

        completion, _ = dialects.read_body(response)
        if not completion:
            return response
        content = completion["choices"][0]["message"]["content"]
        try:
            item = cls.item(request["endpoint"], float(content))
        except ValueError:      # spoilt
            item = {"index": 0, "data": content}
        usage = {"prompt_tokens": wire.count_tokens(json.dumps(request["messages"])), "completion_tokens": 0}
        response.body = json.dumps({"id": "mock", "object": "list", "model": request["model"],
                                    "data": [item], "usage": usage}).encode()
        return response

    @staticmethod
    def item(endpoint, value):
        """One result."""
        if endpoint == "classify":
            probs = [round(1 - value, 6), value]
            return {"index": 0, "label": "LABEL_%d" % (value >= 0.5), "probs": probs, "num_classes": 2}
        if endpoint == "score":
            return {"index": 0, "object": "score", "score": value}
        return {"index": 0, "object": "pooling", "data": [value]}
