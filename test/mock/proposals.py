"""Reflectors with habits, for the ways in which a run has new texts written.

reflector-copies     quotes a document, unless told that it must not
reflector-stubborn   makes the same useless changes in the same order, unless shown that
                     they were tried; only then does it learn
reflector-wordy      writes a good text and fills it up: as long as it may be, or 30,000 characters

What several writers made is put together by all reflectors (combine).
"""

import re

VERSION = re.compile(r"(?m)^# Version \d+\n```\n(.*?)\n```$", re.S)
LIMIT = re.compile(r"may have at most (\d+) characters")
TRIED = "These changes were tried before"
COMPLAINT = "your answer could not be used: "
IDLE = ("Think about it with care.", "Read it twice.", "Take your time.")


def is_combination(prompt):
    """Is it asked to make one text of several?"""
    return bool(VERSION.search(prompt)) and "writers have each improved it" in prompt


def combine(prompt):
    """All lines of all versions, each once."""
    lines = []
    for version in VERSION.findall(prompt):
        lines += [line for line in version.split("\n") if line not in lines]
    return "```\n" + "\n".join(lines) + "\n```"


def changed(text, line):
    """The instruction within an answer with one line more."""
    return re.sub(r"```\n(.*)\n```", lambda match: f"```\n{match.group(1)}\n{line}\n```", text, flags=re.S)


def current(prompt):
    """The text that is to be changed, as an answer."""
    return "```\n" + prompt.split("```")[1].strip("\n") + "\n```"


def copies(prompt, learn, documents):
    """Quotes the first document until it is told not to."""
    return learn() if COMPLAINT in prompt else changed(learn(), "Like this: " + documents(prompt)[0])


def stubborn(prompt, learn, documents):
    """The first idle change that it was not shown; then it learns."""
    tried = prompt.partition(TRIED)[2]
    for line in IDLE:
        if "+ " + line not in tried and line not in current(prompt):
            return changed(current(prompt), line)
    return learn()


def wordy(prompt, learn, documents):
    """As long as it may be."""
    text = learn()
    limit = LIMIT.search(prompt)
    length = int(limit.group(1)) if limit else 30000
    room = length - len(re.search(r"```\n(.*)\n```", text, re.S).group(1)) - 1
    return changed(text, "x" * room) if room > 0 else current(prompt)


HABITS = {"reflector-copies": copies, "reflector-stubborn": stubborn, "reflector-wordy": wordy}
