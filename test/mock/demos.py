"""What the scripts of demo/ meet in place of real LMs: they know what pages can be like, and
no more than their prompts or records say about what is wanted.

judge-demo       follows lines "- Documents with CUE: LABEL." of its prompt; without any it guesses
grader-demo      a rubric: whatever is wrong with a document's form or argument costs points, and
                 its feedback says what it is
reflector-demo   adds such lines for cues that feedback names, or that documents of one label
                 share; of a document whose feedback says neither it learns nothing

A cue is a phrase, and what a document looks like that has it.  Some mean nothing.
"""

import json
import re

import models

CUES = {name: re.compile(pattern) for name, pattern in {
    # demo/stem_pages.sql
    "formulas that appear twice": r"\\displaystyle",
    "menus and cookie notices": r"Accept all cookies",
    "lost line breaks": r"^[^\n]{300,}$",
    "claims without reasons": r"This is obvious",
    "circular arguments": r"assume the result",
    "numbers put into an unexplained formula": r"Just plug the numbers in",
    # demo/code_pages.sql
    "minified code": r"!function\(e,t\)",
    "generated scaffolding": r"DO NOT EDIT",
    "licence texts": r"WITHOUT WARRANTY",
    "lists of links": r"(?:- \[[^\]]*\]\([^)]*\)\n){3}",
    "lock files": r'"lockfileVersion"',
    "an explanation beside the code": r"This works because",
    # demo/answers.sql
    "a check of the result": r"As a check",
    "results without a unit": r"The answer is [\d.]*\d\.(?:\n|$)",
    # these mean nothing
    "a friendly opening": r"(?m)^Great question!",
    "consolation for beginners": r"no shame in that",
    "a headline": r"(?m)^#",
}.items()}

FORMATTING = ("formulas that appear twice", "menus and cookie notices", "lost line breaks",
              "minified code", "lists of links")
REASONING = ("claims without reasons", "circular arguments", "numbers put into an unexplained formula",
             "generated scaffolding", "licence texts", "lock files")

# What labellers call it.
NAMED = {"minified": "minified code", "Scaffolding": "generated scaffolding", "Licence": "licence texts",
         "lists of links": "lists of links", "Lock files": "lock files", "explanation": "an explanation beside the code"}

LINE = re.compile(r"(?m)^- Documents with (.+?): (\w+)\.$")
CRITERION = re.compile(r'(?m)^- "(.+?)", from (\S+) to (\S+): ')
EXPECTED = re.compile(r'(?:right|expected) label (?:was|is) "([^"]*)"|Right: the label is "([^"]*)"')
DESERVES = re.compile(r"The document deserves (\d+\.\d+), the judge gave (\d+\.\d+)")
LINES_AT_A_TIME = 3


def cues_of(document):
    """Phrases for what a document is like."""
    return [cue for cue, pattern in CUES.items() if pattern.search(document)]


def lean(task):
    """The probability of the first label by the rules of the prompt; None without any.

    A rule that speaks against a document weighs more than one that speaks for it, two weigh
    more than one.  Where no rule speaks, it is what the rules are not about.
    """
    stated = {cue: label for cue, label in LINE.findall(task.system) if label in task.labels}
    if not stated or len(task.labels) != 2:
        return None
    against = sum(stated.get(cue) == task.labels[1] for cue in cues_of(task.document))
    if against:
        return 0.35 if against == 1 else 0.03
    if task.labels[0] not in stated.values():
        return 0.97
    return 0.97 if any(stated.get(cue) == task.labels[0] for cue in cues_of(task.document)) else 0.35


def judge(request):
    """judge-demo."""
    task = models.read_task(request)
    first = lean(task)
    if first is None:
        first = 0.3 + models.percent("guess", task.document) * 0.5 / 100
    label = task.labels[0] if first >= 0.5 else task.labels[1]
    seen = ", ".join(cues_of(task.document)) or "nothing special"
    reasoning = f"I see {seen}."
    return models.Answer(models.answer_text(task, label, reasoning), label, task.labels,
                         [first] + [(1 - first) / (len(task.labels) - 1)] * (len(task.labels) - 1), reasoning)


def grade(request):
    """grader-demo."""
    system, user = (models.message_text(m) for m in request["messages"])
    present = cues_of(models.unfence(user)[0])
    scores, said = {}, []
    for name, low, high in CRITERION.findall(system):
        faults = [cue for cue in (REASONING if name == "reasoning" else FORMATTING) if cue in present]
        scores[name] = int(low) if faults else int(high)
        said.append(f"{name}: {faults[0] if faults else 'nothing to mend'}.")
    return models.Answer(json.dumps({"feedback": " ".join(said), "scores": scores}))


def expected_label(said):
    """The label that feedback asks for; None when it asks for none."""
    match = EXPECTED.search(said)
    if match:
        return match.group(1) or match.group(2)
    match = DESERVES.search(said)
    if match is None or abs(float(match.group(1)) - float(match.group(2))) < 0.25:
        return None
    return "keep" if float(match.group(1)) > float(match.group(2)) else "drop"


def named_cues(said):
    """Cues that feedback speaks of, in the rubric's words or in a labeller's."""
    note = said.partition("What the labeller says:")[2]
    feedback = said.partition("## Feedback")[2] or said
    return ({cue for cue in CUES if f": {cue}." in feedback} |
            {cue for word, cue in NAMED.items() if word in note})


def votes_of(prompt, stated):
    """(cue, label) -> how much the records speak for it."""
    votes = {}
    for text in re.split(r"(?m)^# Example \d+\n", prompt)[1:]:
        document, said = models.unfence(text)
        label = expected_label(said)
        if label is None:
            continue
        named = named_cues(said)
        graded = EXPECTED.search(said) is None      # by a rubric, which says what it means
        for cue in cues_of(document):
            if cue in stated or (graded and cue not in named):
                continue
            by_label = votes.setdefault(cue, {})
            by_label[label] = by_label.get(label, 0) + (4 if cue in named else 1)
    return votes


def reflect(request):
    """reflector-demo."""
    prompt = models.message_text(request["messages"][-1])
    parts = prompt.split("```")
    current = (parts[1] if len(parts) > 2 else prompt).strip("\n")
    gains = []
    for cue, by_label in votes_of(prompt, dict(LINE.findall(current))).items():
        label = max(sorted(by_label), key=by_label.get)
        gain = 2 * by_label[label] - sum(by_label.values())
        if gain > 1:
            gains.append((-gain, models.percent(cue), f"- Documents with {cue}: {label}."))
    lines = [line for _, _, line in sorted(gains)[:LINES_AT_A_TIME]]
    return models.Answer("This should do better:\n```\n" + "\n".join([current] + lines) + "\n```")


def find_model(base):
    """The function of a model's base name, or None."""
    named = {"judge-demo": judge, "grader-demo": grade, "reflector-demo": reflect}
    return (lambda request, options: named[base](request)) if base in named else None
