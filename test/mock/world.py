"""A small world of labelled documents with a hidden rule.

Some words of LEXICON are planted in documents of filler words.  Which label a
planted word goes with is the hidden rule; the judges in models.py know the
lexicon, not the rule.  Everything is a function of the seed.

    python3 world.py --rows 200 --seed 1             TSV: id body keep note site part
    python3 world.py --rows 200 --sql curation.labels  a script for psql
"""

import argparse
import random
import sys

# Words that can carry meaning; no two share a stem with each other or FILLER.
LEXICON = tuple("""
    zorvex quibly mandrel tofting brellow sunkade virlox pashmer
    gondrel wexham tirrade lumbric dapplin froster keeling obrane
    jastrum helvet cindral nobbin
""".split())

FILLER = tuple("""
    the a of and to in is it for on with as this that by from at which or are was be
    page text word line part house river table window garden morning evening people
    water paper letter number street market winter summer country village question
    answer reason moment letter story corner bridge window silver yellow quiet narrow
    simple common early late open near small large long short first second other
""".split())

LABELS = ("true", "false")
COLUMNS = ("id", "body", "keep", "note", "site", "part")


def hidden_rule(seed, features, labels=LABELS):
    """Word -> label, as many words for every label as for the others."""
    words = random.Random(f"rule {seed}").sample(LEXICON, features)
    return {word: labels[i % len(labels)] for i, word in enumerate(words)}


def make_body(rng, planted, words):
    """Filler with the planted words somewhere in it."""
    text = [rng.choice(FILLER) for _ in range(max(words, 1))]
    for word in planted:
        text.insert(rng.randrange(len(text) + 1), word)
    return " ".join(text).capitalize() + "."


def pick_label(rng, labels, prevalence):
    """The first label with the given probability, else one of the others."""
    if rng.random() < prevalence:
        return labels[0]
    return rng.choice(labels[1:])


def make_row(rng, rule, options, number):
    """One document: (body, label, note, site)."""
    label = pick_label(rng, options.labels, options.prevalence)
    words = [word for word, goes_with in rule.items() if goes_with == label]
    planted = rng.sample(words, min(len(words), 1 + (rng.random() < 0.3)))
    neutral = [word for word in LEXICON if word not in rule]
    if rng.random() < options.neutral:
        planted.append(rng.choice(neutral))
    length = rng.randrange(options.words // 2, options.words * 3 // 2 + 1)
    note = f'The word "{planted[0]}" gives it away.' if rng.random() < options.notes else ""
    if rng.random() < options.noise:
        label = rng.choice([other for other in options.labels if other != label])
    site = f"site{rng.randrange(options.sites)}" if options.sites else f"site{number}"
    return make_body(rng, planted, length), label, note, site


def near_copy(rng, body):
    """The same text with one word of filler more."""
    words = body.split(" ")
    words.insert(rng.randrange(1, len(words)), rng.choice(FILLER))
    return " ".join(words)


def make_world(options):
    """Rows of the table, in the order of COLUMNS."""
    rng = random.Random(f"rows {options.seed}")
    rule = hidden_rule(options.seed, options.features, options.labels)
    rows = []
    for number in range(1, options.rows + 1):
        body, label, note, site = make_row(rng, rule, options, number)
        if rows and rng.random() < options.copies:
            _, other, label, note, site, _ = rng.choice(rows)
            body = near_copy(rng, other)
        part = ("train", "train", "val", "test")[number % 4]
        rows.append((number, body, label, note, site, part))
    return rows


def quote(value):
    """A literal of SQL."""
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def write_sql(rows, table, out):
    """A script that makes and fills the table."""
    if "." in table:
        out.write(f"CREATE SCHEMA IF NOT EXISTS {table.split('.')[0]};\n")
    out.write(f"CREATE TABLE {table} (id int PRIMARY KEY, body text, keep text,"
              " note text, site text, part text);\n")
    for row in rows:
        out.write(f"INSERT INTO {table} VALUES ({', '.join(quote(v) for v in row)});\n")


def write_tsv(rows, out):
    """COPY's text format; the texts of this world need no escapes."""
    for row in rows:
        out.write("\t".join(str(value) for value in row) + "\n")


def parse_options(arguments=None):
    """Command line, or defaults for those who import this."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--features", type=int, default=8, help="words in the hidden rule")
    parser.add_argument("--labels", type=lambda text: tuple(text.split(",")), default=LABELS)
    parser.add_argument("--prevalence", type=float, default=0.5, help="share of the first label")
    parser.add_argument("--noise", type=float, default=0.0, help="share of wrong labels")
    parser.add_argument("--neutral", type=float, default=0.2,
                        help="share of documents with a word of the lexicon that means nothing")
    parser.add_argument("--notes", type=float, default=0.3,
                        help="share of rows whose labeller names the word")
    parser.add_argument("--copies", type=float, default=0.0, help="share of near duplicates")
    parser.add_argument("--sites", type=int, default=0, help="groups; 0: each row its own")
    parser.add_argument("--words", type=int, default=30, help="mean length of a document")
    parser.add_argument("--sql", metavar="TABLE", help="write SQL that makes this table")
    parser.add_argument("--rule", action="store_true", help="write the hidden rule instead")
    return parser.parse_args(arguments)


def main():
    """Write what the command line asks for."""
    options = parse_options()
    if options.rule:
        for word, label in hidden_rule(options.seed, options.features, options.labels).items():
            print(f'RULE: documents that mention "{word}" are {label}')
    elif options.sql:
        write_sql(make_world(options), options.sql, sys.stdout)
    else:
        write_tsv(make_world(options), sys.stdout)


if __name__ == "__main__":
    main()
