"""What rewrites texts that are no judge's: a query of words.

text-words   writes a query "word | word" that finds the documents whose expected label is
             true: from the records of a reflection prompt, or, where there is no text yet, from
             the cases it is shown.  A word of a document that should have been found, and is in
             none that should not, comes in; two a time.  One that found a document
             that should not have been goes.
text-longer  the present text with a letter x more; to one who writes a seed: x
"""

import re

SEED = re.compile(r"which is to be written")
FENCED = re.compile(r"<<<([0-9a-f]{8,})\n(.*?)\n\1>>>", re.S)
RECORD = re.compile(r"(?m)^# (?:Example|Case) \d+\n")
EXPECTED = re.compile(r"(?:## Expected\n|Expected: )(\S+)")
WORD = re.compile(r"[a-z]{4,}")
QUERY = re.compile(r"```\n(.*?)\n```", re.S)
NEW_WORDS = 2


def read_records(prompt):
    """(words, should it be found) of each document that is shown."""
    records = []
    for part in RECORD.split(prompt)[1:]:
        label = EXPECTED.search(part)
        document = " ".join(match.group(2) for match in FENCED.finditer(part))
        if label:
            records.append((set(WORD.findall(document.lower())), label.group(1) == "true"))
    return records


def rewrite(words, records):
    """The words of a better query."""
    wanted = [seen for seen, found in records if found]
    unwanted = set().union(*(seen for seen, found in records if not found))
    kept = [word for word in words if word not in unwanted]
    missed = [seen for seen in wanted if not seen & set(kept)]
    gains = {word: sum(word in seen for seen in missed)
             for seen in missed for word in seen - unwanted}
    return kept + sorted(gains, key=lambda word: (-gains[word], word))[:NEW_WORDS]


def write(prompt, longer):
    """An answer with the new text between fences."""
    is_seed = SEED.search(prompt) is not None
    current = "" if is_seed else QUERY.search(prompt).group(1)
    if longer:
        text = current + "x"
    else:
        text = " | ".join(rewrite(WORD.findall(current.lower()), read_records(prompt))) or "nothing"
    return "Here it is:\n```\n" + text + "\n```"
