"""Votes: a judge that does not say the same each time it is asked the same.

Which time it is, the server counts.  A document may say what comes of it: "VOTES: aabx"
stands for the first label twice, the second, and an answer without a label, and then all
over.  Of any other document one answer in four is another label than the usual one.
"""

import re

SCRIPT = re.compile(r"VOTES: ([a-x]+)")
STRAY = 25      # percent of the answers


def cast(label, labels, document, attempt, percent):
    """The label of the attempt at a document, None for an answer without one."""
    script = SCRIPT.search(document)
    if script:
        letter = script.group(1)[(attempt - 1) % len(script.group(1))]
        number = ord(letter) - ord("a")
        return labels[number] if number < len(labels) else None
    if percent("vote", document, str(attempt)) < STRAY:
        return labels[(labels.index(label) + 1) % len(labels)]
    return label
