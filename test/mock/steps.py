"""Steps of programs: calls whose answer has a schema of outputs in place of a label.

What a prompt says to look for is LOOK FOR lines, or everything; what was found goes
into each output as its type has room for it.  Any judge of models.py answers such
calls.  The reflector learns LOOK FOR lines for a prompt that says to list words.
"""

import json
import re

LOOK_FOR = re.compile(r'LOOK FOR: "([^"]+)"')
MARK = "List the words"         # a prompt of a step that looks for some


def is_step(schema):
    """Whether an answer of that schema is a step's."""
    properties = (schema or {}).get("properties")
    return bool(properties) and "label" not in properties


def found(system, document, lexicon):
    """The words that a step's prompt makes of its inputs."""
    present = sorted(set(lexicon.findall(document.lower())))
    if "everything" in system:
        return present
    wanted = set(LOOK_FOR.findall(system))
    return [word for word in present if word in wanted]


def value(schema, words):
    """What was found, as a value of that schema."""
    kind = schema.get("type")
    if kind == "array":
        return words
    if kind in ("integer", "number"):
        return len(words)
    if kind == "boolean":
        return bool(words)
    return "Found: " + ", ".join(words) if words else "Found nothing."


def answer(schema, system, document, lexicon):
    """The content of a step's answer."""
    words = found(system, document, lexicon)
    return json.dumps({name: value(own, words) for name, own in schema["properties"].items()})


def is_list_prompt(current):
    """Whether a prompt under reflection is that of a step that looks for words."""
    return MARK in current


def better_list(current, prompt, unfence, lexicon):
    """The prompt with LOOK FOR lines for words of records that went wrong."""
    stated = set(LOOK_FOR.findall(current))
    gains = {}
    for text in re.split(r"(?m)^# Example \d+\n", prompt)[1:]:
        inputs, _, rest = text.partition("## Generated Outputs")
        if "Right: the label" in rest:
            continue
        note = rest.partition("What the labeller says:")[2]
        for word in set(lexicon.findall(unfence(inputs)[0].lower())) - stated:
            gains[word] = gains.get(word, 0) + (3 if f'"{word}"' in note else 1)
    best = sorted(gains, key=lambda word: (-gains[word], word))[:2]
    return "\n".join([current] + [f'LOOK FOR: "{word}"' for word in best])
