#!/usr/bin/env python3
"""Measure what a rollout costs a run besides the LM; run by bench/run.

The CPU of a run worker is what the postmaster's children have used more after
it was reaped; the session that watches stays open, so it is not among them.
"""

import argparse
import os
import time

from batch import REFERENCE, TICK, Mock, Session


def children_cpu(postmaster):
    """Seconds of CPU of the children that the postmaster has reaped."""
    with open(f"/proc/{postmaster}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / TICK


def prepare(session, mock, options):
    """Documents, LMs, judges and datasets."""
    rows = options.validation + options.train
    session.run(f"""
CREATE EXTENSION gepa;
CREATE SERVER canned FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned');
CREATE SERVER mock FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url 'http://127.0.0.1:{mock.port}/v1',
    model 'judge-rules', allow_private_address 'true', max_concurrency '16');
CREATE SERVER reflector FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url 'http://127.0.0.1:{mock.port}/v1',
    model 'reflector', allow_private_address 'true');
CREATE TABLE labels AS SELECT i AS id, repeat('some words of a page ', 40) || md5(i::text) AS body,
    (i % 2 = 0)::text AS keep, CASE WHEN i <= {options.train} THEN 'train' ELSE 'val' END AS part
    FROM generate_series(1, {rows}) i;
SELECT gepa.create_dataset('labels', 'labels', 'id', '{{body}}', 'keep', split => 'part');
SELECT gepa.create_judge('canned', 'canned', 'Is it good?');
SELECT gepa.create_judge('mock', 'mock', 'Is it good?')""")


def measure(session, postmaster, judge, reflection_lm, options):
    """(rollouts, wall seconds, CPU seconds of the worker, bytes of rows)."""
    before = children_cpu(postmaster)
    size = int(session.run("SELECT pg_total_relation_size('gepa.rollout')"))
    start = time.monotonic()
    run = session.run(f"SELECT gepa.start('{judge}', 'labels', '{reflection_lm}', {options.budget},"
                      f" options => '{{{REFERENCE}, \"acceptance\": \"improvement_or_equal\", \"skip_perfect\": false}}')").strip()
    session.run(f"SELECT gepa.wait({run})")
    wall = time.monotonic() - start
    while int(session.run("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'gepa run worker'")):
        time.sleep(0.05)
    time.sleep(0.2)     # until it is reaped
    rollouts = int(session.run(f"SELECT rollouts FROM gepa.runs WHERE run = {run}"))
    size = int(session.run("SELECT pg_total_relation_size('gepa.rollout')")) - size
    return rollouts, wall, children_cpu(postmaster) - before, size


def main():
    """Print a line for each LM."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--budget", type=int, default=10000)
    parser.add_argument("--validation", type=int, default=1000)
    parser.add_argument("--train", type=int, default=300)
    options = parser.parse_args()
    mock = Mock()
    session = Session()
    postmaster = os.popen(f"ps -o ppid= -p {session.pid}").read().strip()
    prepare(session, mock, options)
    print("| LM | rollouts | seconds | worker CPU us/rollout | bytes of rows/rollout |")
    print("|---|---|---|---|---|")
    for name, judge, reflection_lm in (("canned, in process", "canned", "canned"),
                                       ("mock, over HTTP", "mock", "reflector")):
        rollouts, wall, cpu, size = measure(session, postmaster, judge, reflection_lm, options)
        print(f"| {name} | {rollouts} | {wall:.1f} | {cpu / rollouts * 1e6:.0f} | {size / rollouts:.0f} |",
              flush=True)


if __name__ == "__main__":
    main()
