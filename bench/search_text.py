#!/usr/bin/env python3
"""Tune the demo's judge in both modes and measure on held-out mails; run by bench/search_text.

What a run would have deployed after 100, 200 and 400 rollouts is deployed and
judges the same held-out mails.  The LM remembers its answers and a run follows
from seed and answers, so a run that was cut short is done again in seconds.
README.md beside this file says what is measured.
"""

import argparse
import atexit
import glob
import itertools
import json
import math
import os
import random
import statistics
import subprocess

from batch import ROOT, Session

OPTIONS = {"examples": True, "max_examples": 6, "minibatch_size": 8}      # as in the demo
REFERENCE = {"mode": "reference", "hard_budget": True, "skip_known_texts": True, "ascending_order": True,
             "zero_mean_merge": True, "expand_placeholders": False, "reuse_rollouts": True}
SETTINGS = {                    # "ranking", the demo's metric, compares within a step, which the default mode does not take
    "reference, ranking": {**REFERENCE, "metric": "ranking"},
    "reference, score": {**REFERENCE, "metric": "score"},
    "default, score": {"mode": "default", "metric": "score"},
}
SHARES = (0.25, 0.5, 0.25)     # train, test, val: as in the demo
DRAWS = 4000                    # of the bootstrap


class Model:
    """The server of the LM; ends with this process."""

    def __init__(self, folder, threads):
        model = glob.glob(f"{folder}/venv/lib/**/*.gguf", recursive=True)[0]
        self.process = subprocess.Popen(
            [f"{folder}/search_text/venv/bin/python", f"{ROOT}/bench/search_text_lm.py", model,
             f"{folder}/search_text/answers.jsonl", str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        atexit.register(self.process.terminate)
        self.port = int(self.process.stdout.readline())


class Results:
    """What was measured, one line per (setting, seed), kept between benches."""

    def __init__(self, folder):
        self.path = f"{folder}/search_text/results.jsonl"
        self.runs = {}
        if os.path.exists(self.path):
            with open(self.path, encoding="utf-8") as lines:
                for line in lines:
                    if line.endswith("\n"):     # the last one of a killed bench may be half
                        self.take(json.loads(line))

    def take(self, run):
        """Remember a run."""
        self.runs[run["setting"], run["seed"]] = run

    def add(self, run):
        """Remember it for later benches too."""
        self.take(run)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(run) + "\n")

    def has(self, seed, setting, options):
        """Whether a run was measured as asked."""
        run = self.runs.get((setting, seed))
        return run is not None and (run["budget"], run["test_rows"]) == (options.budget, options.test_rows)


def rows_of(session, sql):
    """The rows of a query, as JSON values."""
    return json.loads(session.run(f"SELECT coalesce(json_agg(q), '[]') FROM ({sql}) q"))


def prepare(session, model, folder, threads):
    """The demo's labelled mails and LM; a key of the fences that makes prompts the same in each bench."""
    session.run(f"""
CREATE EXTENSION gepa;
INSERT INTO gepa.fence (key) VALUES (sha256('bench/search_text'));
CREATE TABLE mails (id int PRIMARY KEY, grp text, label text, subject text, body text, dropped int,
    document text GENERATED ALWAYS AS (subject || E'\\n' || body) STORED);
COPY mails (id, grp, label, subject, body, dropped) FROM '{folder}/downloads/mails.csv' WITH (FORMAT csv);
CREATE VIEW labelled_mails AS SELECT id, document, label,
    lower(regexp_replace(subject, '^(\\s*(re|fw|fwd)\\s*:\\s*|\\s*\\[[^]]*\\]\\s*)*', '', 'i')) AS thread
    FROM (SELECT *, row_number() OVER (PARTITION BY label ORDER BY md5('demo' || id)) AS place
        FROM mails WHERE length(body) >= 40) m
    WHERE place <= 100;
CREATE SERVER lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url 'http://127.0.0.1:{model.port}/v1', model 'smollm2',
    allow_private_address 'true', logprobs 'true', temperature '0', max_tokens '40', max_concurrency '{threads + 1}');
SELECT gepa.create_dataset('labelled', 'labelled_mails', 'id', '{{document}}', 'label', group_by => 'thread')""")


def leaders(session, run, setting, marks):
    """The candidate that a run would have deployed after so many rollouts."""
    if SETTINGS[setting]["mode"] == "reference":
        # a candidate is discovered before its validation, and known after it
        ways = rows_of(session, f"""SELECT rollouts_at_discovery + (SELECT count(*) FROM gepa.sample s
            WHERE s.run = c.run AND s.split = 'val') AS rollouts, candidate AS leads, score
            FROM gepa.candidates c WHERE run = {run} ORDER BY candidate""")
        return {mark: max((w for w in ways if w["rollouts"] <= mark), key=lambda w: w["score"])["leads"] for mark in marks}
    ways = rows_of(session, f"""SELECT d.leads, (SELECT count(*) FROM gepa.rollout r
        WHERE r.run = d.run AND r.created_at <= d.created_at) AS rollouts
        FROM gepa.decision d WHERE d.run = {run} ORDER BY d.decision""")
    return {mark: [w["leads"] for w in ways if w["rollouts"] <= mark][-1] for mark in marks}


def judge_rows(session, judge, run, rows):
    """Verdicts of the current version on held-out mails, half of each label, by their keys."""
    return rows_of(session, f"""SELECT s.key, s.label AS truth, (v).positive, (v).score
        FROM (SELECT key, label, gepa_verdict('{judge}', inputs ->> 'document') AS v
            FROM (SELECT *, row_number() OVER (PARTITION BY label ORDER BY digest) AS place
                FROM gepa.sample WHERE run = {run} AND split = 'test') t
            WHERE place <= {rows // 2} OFFSET 0) s
        ORDER BY s.key::int""")


def tune(session, setting, seed, options):
    """One run, and what its leaders are worth."""
    judge = f"{setting}, {seed}"
    wanted = {**OPTIONS, **SETTINGS[setting], "split": dict(zip(("train", "test", "val"), SHARES))}
    session.run(f"SELECT gepa.create_judge('{judge}', 'lm', 'Is this mail spam or ham?', labels => '{{spam,ham}}',"
                " positive => '{spam}', options => '{\"window\": \"head\", \"max_chars\": 220}')")
    run = session.run(f"SELECT gepa.start('{judge}', 'labelled', NULL, {options.budget}, {seed}, '{json.dumps(wanted)}')").strip()
    session.run(f"SELECT gepa.wait({run})")
    row = rows_of(session, f"SELECT status, reason, rollouts, best_candidate FROM gepa.runs WHERE run = {run}")[0]
    if row["status"] != "finished":
        raise SystemExit(f"run {run} ({judge}) has {row['status']}: {row['reason']}")
    marks = [mark for mark in (100, 200, 400) if mark < options.budget] + [options.budget]
    found = {**leaders(session, run, setting, marks), options.budget: row["best_candidate"]}
    measured = {}
    for candidate in {0, *found.values()}:
        force = ", force => true" if SETTINGS[setting]["mode"] == "default" else ""
        session.run(f"SELECT gepa.deploy({run}, {candidate}{force})")
        measured[candidate] = judge_rows(session, judge, run, options.test_rows)
    candidates = int(session.run(f"SELECT count(*) FROM gepa.candidates WHERE run = {run}"))
    return {"setting": setting, "seed": seed, "budget": options.budget, "test_rows": options.test_rows, **row,
            "candidates": candidates, "leaders": found, "measured": measured}


def accuracy(rows):
    """Share of the mails that came to stand on their own side of the threshold."""
    return sum(row["positive"] == (row["truth"] == "spam") for row in rows) / len(rows)


def area(rows):
    """Area under the ROC curve: a spam mail's score beside a ham mail's."""
    scores = [[row["score"] if row["score"] is not None else float(row["positive"]) for row in rows
               if row["truth"] == truth] for truth in ("spam", "ham")]
    pairs = [(a > b) + (a == b) / 2 for a in scores[0] for b in scores[1]]
    return sum(pairs) / len(pairs) if pairs else 0.5


def wilson(share, n):
    """95 % interval of a share."""
    z = 1.96
    middle, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def bootstrap(lists, measure):
    """95 % interval of the mean over seeds: seeds are drawn, and mails within each label, the same ones for all seeds."""
    draw = random.Random(0)
    places = [[i for i, row in enumerate(lists[0][0]) if row["truth"] == truth] for truth in ("spam", "ham")]
    values = []
    for _ in range(DRAWS):
        seeds = draw.choices(lists, k=len(lists))
        rows = [i for label in places for i in draw.choices(label, k=len(label))]
        values.append(statistics.mean(measure([[column[i] for i in rows] for column in seed]) for seed in seeds))
    values.sort()
    return values[DRAWS // 40], values[-DRAWS // 40]


def shown(value, limits, sign=""):
    """An estimate and its interval."""
    return f"{value:{sign}.3f} ({limits[0]:{sign}.3f} to {limits[1]:{sign}.3f})"


def rows_at(run, mark):
    """Verdicts of the leader after so many rollouts; 0: of the seed."""
    leader = 0 if mark == 0 else run["leaders"][str(mark)]
    return run["measured"][str(leader)]


def cells(lists, value, sign=""):
    """Mean over seeds of a value of one or two columns, with its interval, for both measures."""
    results = []
    for measure in (accuracy, area):
        def of_seed(columns, measure=measure):
            return value([measure(rows) for rows in columns])
        results.append(shown(statistics.mean(map(of_seed, lists)), bootstrap(lists, of_seed), sign))
    return " | ".join(results)


def print_means(runs, marks):
    """A table of means over seeds, and of paired differences to the default mode."""
    print("\n| rollouts | setting | seeds | accuracy | area under the ROC curve |\n|---|---|---|---|---|")
    for mark in marks:
        found = {name: {run["seed"]: rows_at(run, mark) for run in runs if run["setting"] == name} for name in SETTINGS}
        for name, seeds in found.items():
            if seeds:
                print(f"| {mark} | {name} | {len(seeds)} | {cells([[rows] for rows in seeds.values()], lambda values: values[0])} |")
        *others, ours = found
        for name in others if mark else []:
            lists = [[rows, found[ours][seed]] for seed, rows in found[name].items() if seed in found[ours]]
            if lists:
                print(f"| {mark} | {ours}, less {name} | {len(lists)} | {cells(lists, lambda values: values[1] - values[0], '+')} |")


def print_runs(runs, marks):
    """A table with a line for each run."""
    print(f"\n| setting | seed | candidates | {' | '.join(f'accuracy at {mark}' for mark in marks)} | {' | '.join(f'area at {mark}' for mark in marks)} |")
    print("|---|---|---|" + "---|" * (2 * len(marks)))
    for run in runs:
        shares = [(accuracy(rows), len(rows)) for rows in (rows_at(run, mark) for mark in marks)]
        line = [shown(share, wilson(share, n)) for share, n in shares] + [f"{area(rows_at(run, mark)):.3f}" for mark in marks]
        print(f"| {run['setting']} | {run['seed']} | {run['candidates']} | {' | '.join(line)} |")


def report(results):
    """Both tables."""
    order = list(SETTINGS)
    runs = sorted(json.loads(json.dumps(list(results.runs.values()))), key=lambda run: (order.index(run["setting"]), run["seed"]))
    if not runs:
        raise SystemExit("nothing was measured yet")
    marks = sorted(int(mark) for mark in runs[0]["leaders"])
    print_means(runs, [0, *marks])
    print_runs(runs, marks)


def main():
    """Measure what is not measured yet, and print tables."""
    parser = argparse.ArgumentParser(prog="bench/search_text")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=int, default=400)
    parser.add_argument("--test-rows", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    folder = os.environ["GEPA_DEMO_DIR"]
    results = Results(folder)
    missing = [wanted for wanted in itertools.product(range(1, options.seeds + 1), options.settings)
               if not results.has(*wanted, options)]
    if missing and not options.report:
        model = Model(folder, options.threads)
        session = Session()
        prepare(session, model, folder, options.threads)
        for seed, setting in missing:
            results.add(tune(session, setting, seed, options))
            print(f"{setting}, seed {seed}: done", flush=True)
    report(results)


if __name__ == "__main__":
    main()
