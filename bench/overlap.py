#!/usr/bin/env python3
"""Measure how well a run fills its LM, by the mock's journal; run by bench/overlap.

A moment counts as one with work when a rollout is under way; it is full when
as many are as the LM takes.  README.md beside this file says more.
"""

import argparse
import os
import subprocess
import sys
import time

from batch import REFERENCE, ROOT, Mock, Session

ROLLOUT_MS = 100
REFLECTION_MS = 2000


def prepare(session, mock, options):
    """LMs, labelled documents, a judge and a dataset."""
    session.run(f"""
CREATE EXTENSION gepa;
CREATE SERVER judge FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url 'http://127.0.0.1:{mock.port}/v1',
    model 'judge-rules+slow-{ROLLOUT_MS}', allow_private_address 'true', max_concurrency '{options.concurrency}');
CREATE SERVER writer FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url 'http://127.0.0.1:{mock.port}/v1',
    model 'reflector+slow-{REFLECTION_MS}', allow_private_address 'true', max_concurrency '2')""")
    session.run(subprocess.run([sys.executable, os.path.join(ROOT, "test/mock/world.py"), "--rows", str(options.rows),
                                "--sql", "labels"], check=True, capture_output=True, text=True).stdout)
    session.run("""
SELECT gepa.create_dataset('labels', 'labels', 'id', '{body}', 'keep', feedback => 'note');
SELECT gepa.create_judge('j', 'judge', 'Is it good?', options => '{"reasoning": true}')""")


def spans_of(mock, model):
    """(begin, end) of each request to a model, by the journal."""
    calls = mock.ask("/_journal?full=1")["list"]
    return [(call["time_in"], call["time_out"]) for call in calls if call["model"].startswith(model)]


def time_at(spans, least):
    """Seconds in which at least so many of the spans are open."""
    events = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    seconds, level, last = 0, 0, 0
    for when, change in events:
        if level >= least:
            seconds += when - last
        level, last = level + change, when
    return seconds


def measure(session, mock, parallel, options):
    """A line of the table."""
    mock.ask("/_reset", b"{}")
    start = time.monotonic()
    run = session.run(f"""SELECT gepa.start('j', 'labels', 'writer', {options.budget}, options => '{{
        {REFERENCE}, "parallel_proposals": {parallel}, "minibatch_size": 16, "skip_perfect": false}}')""").strip()
    session.run(f"SELECT gepa.wait({run})")
    wall = time.monotonic() - start
    rollouts, reflections = session.run(f"SELECT rollouts, reflections FROM gepa.runs WHERE run = {run}").split("|")
    rolling = spans_of(mock, "judge-")
    reflecting = spans_of(mock, "reflector")
    busy = time_at(rolling, 1)
    both = time_at(rolling, 1) + time_at(reflecting, 1) - time_at(rolling + reflecting, 1)
    print(f"| {parallel} | {rollouts} | {int(reflections)} | {wall:.1f} | {len(rolling) / wall:.1f} | {busy:.1f} | "
          f"{100 * time_at(rolling, options.concurrency) / busy:.0f} % | {both:.1f} |", flush=True)


def main():
    """Print a line for each number of proposals at a time."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--budget", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--rows", type=int, default=400)
    options = parser.parse_args()
    mock = Mock()
    session = Session()
    prepare(session, mock, options)
    print("| proposals at a time | rollouts | reflections | seconds | rollouts/s | with a rollout under way | "
          "... at the LM's limit | ... beside a reflection |")
    print("|---|---|---|---|---|---|---|---|")
    for parallel in (1, 4, 8):
        measure(session, mock, parallel, options)


if __name__ == "__main__":
    main()
