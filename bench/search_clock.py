#!/usr/bin/env python3
"""Wall clock of runs in both modes with the mock's search world; run by bench/search_clock."""

import argparse
import os
import sys
import time

from batch import ROOT, Mock, Session

sys.path.insert(0, os.path.join(ROOT, "test/mock"))
import search_world     # pylint: disable=wrong-import-position
from world import quote     # pylint: disable=wrong-import-position

TRAIN, VAL = 300, 80
SETTINGS = {
    "reference": '"mode": "reference"',
    "default": '"mode": "default"',
    "default, whole rounds of 4": '"mode": "default", "whole_rounds": true, "reflections_per_round": 4',
}


def prepare(session, mock, options):
    """LMs, labelled documents, a judge and a dataset."""
    session.run(f"""
CREATE EXTENSION gepa;
CREATE SERVER judge FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url 'http://127.0.0.1:{mock.port}/v1',
    model 'sim-medium-{options.world}+slow-{options.rollout_ms}', allow_private_address 'true',
    max_concurrency '{options.concurrency}');
CREATE SERVER writer FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url 'http://127.0.0.1:{mock.port}/v1',
    model 'sim-reflector-{options.world}+slow-{options.reflection_ms}', allow_private_address 'true',
    max_concurrency '16');
CREATE TABLE labels (id int PRIMARY KEY, body text, keep text, note text, part text)""")
    world = search_world.World(options.world)
    rows = [(body, label, note, part) for part, n in (("train", TRAIN), ("val", VAL))
            for body, label, note, _ in world.make_rows(f"{part} 0", n)]
    session.run("\n".join(
        f"INSERT INTO labels VALUES ({number}, {quote(body)}, '{search_world.LABELS[label > 0]}', "
        f"{quote(note)}, '{part}');" for number, (body, label, note, part) in enumerate(rows, 1)))
    session.run(f"""
SELECT gepa.create_dataset('labels', 'labels', 'id', '{{body}}', 'keep', feedback => 'note', split => 'part');
SELECT gepa.create_judge('j', 'judge', {quote(search_world.SEED_PROMPT)})""")
    return world


def accuracy(world, prompt):
    """On documents that no run saw."""
    rows = world.make_rows("test", 2000, 0.0)
    verdicts = world.verdicts(prompt, world.read_documents([row[0] for row in rows]))
    return sum(int(verdict) == row[3] for verdict, row in zip(verdicts, rows)) / len(rows)


def measure(session, world, name, options):
    """A line of the table."""
    start = time.monotonic()
    run = session.run(f"SELECT gepa.start('j', 'labels', 'writer', {options.budget}, 1, '{{{SETTINGS[name]}}}')").strip()
    session.run(f"SELECT gepa.wait({run})")
    wall = time.monotonic() - start
    status, rollouts, reflections, rounds = session.run(
        f"SELECT status, rollouts, reflections, rounds FROM gepa.runs WHERE run = {run}").strip().split("|")
    prompt = session.run(f"""SELECT value FROM gepa.runs r JOIN gepa.candidates c USING (run),
        jsonb_each_text(c.components) WHERE run = {run} AND c.candidate = r.best_candidate""").strip()
    if status != "finished":
        sys.exit(f"{name}: {status}")
    print(f"| {name} | {wall:.0f} | {rollouts} | {reflections} | {rounds} | {1000 * wall / int(rollouts):.0f} | "
          f"{accuracy(world, prompt):.3f} |", flush=True)


def main():
    """Print a line for each setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=int, default=1600)
    parser.add_argument("--rollout-ms", type=int, default=1000)
    parser.add_argument("--reflection-ms", type=int, default=10000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--world", type=int, default=311)
    options = parser.parse_args()
    mock = Mock()
    session = Session()
    world = prepare(session, mock, options)
    print("| setting | seconds | rollouts | reflections | rounds | ms per rollout | accuracy |")
    print("|---|---|---|---|---|---|---|")
    for name in SETTINGS:
        measure(session, world, name, options)


if __name__ == "__main__":
    main()
