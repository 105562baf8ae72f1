#!/usr/bin/env python3
"""Measure rollouts and verdicts of programs of three steps against the endpoint's limit; run by bench/steps.

A table is Markdown on standard output, progress goes to standard error.
README.md beside this file says what is measured, against what.
"""

import argparse
import os
import statistics
import subprocess

from batch import ROOT, Session
from judge import BODIES, WORD, FastMock, line, note, table

TEXT = '{"type": "string"}'
PROGRAMS = {
    # name: (options of the judge, calls of each LM for a document)
    "simple": ("{}", (1, 0)),
    "three steps": (f'{{"steps": [{{"name": "a", "prompt": "Find.", "outputs": {{"found": {TEXT}}}}}, '
                    f'{{"name": "b", "prompt": "Weigh.", "outputs": {{"weight": {TEXT}}}}}]}}', (3, 0)),
    "three steps, two LMs": (f'{{"steps": [{{"name": "a", "prompt": "Find.", "outputs": {{"found": {TEXT}}}}}, '
                             f'{{"name": "b", "prompt": "Weigh.", "lm": "OTHER", "outputs": {{"weight": {TEXT}}}}}]}}', (2, 1)),
}


class Bench:
    """Cluster, an endpoint for each LM, documents."""

    def __init__(self, options):
        self.options, self.judges = options, 0
        self.session = Session()
        self.session.run("CREATE EXTENSION gepa")
        program = os.path.join(os.environ["HOME"], "mock_lm")
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-std=gnu99", "-o", program,
                        os.path.join(ROOT, "bench/mock_lm.c"), "-lssl", "-lcrypto"], check=True)
        self.mocks = (FastMock(program), FastMock(program))
        self.session.run("CREATE SERVER writer FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned')")
        self.session.run(f"""CREATE TABLE docs (id int PRIMARY KEY, body text, keep text);
            INSERT INTO docs SELECT i, CASE WHEN i % 3 = 0 THEN '{WORD} ' ELSE '' END || i || ' ' || {BODIES.format(words=100)},
            CASE WHEN i % 3 = 0 THEN 'true' ELSE 'false' END FROM generate_series(1, {options.rows}) i;
            ANALYZE docs;
            SELECT gepa.create_dataset('docs', 'docs', 'id', '{{body}}', 'keep')""")

    def make_lms(self, concurrency):
        """One on each endpoint."""
        names = []
        for i, mock in enumerate(self.mocks):
            names.append(f"lm_{concurrency}_{i}")
            self.session.run(f"""CREATE SERVER IF NOT EXISTS {names[i]} FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url '{mock.url}/v1',
                model 'm', allow_private_address 'true', max_concurrency '{concurrency}')""")
        return names

    def make_judge(self, lms, program):
        """One that has no verdicts yet."""
        self.judges += 1
        self.session.run(f"SELECT gepa.create_judge('j{self.judges}', '{lms[0]}', 'Is it worth a place? ({self.judges})', "
                         f"options => '{program.replace('OTHER', lms[1])}')")
        return f"j{self.judges}"

    def query(self, judge):
        """All documents in a WHERE clause; returns how many there were."""
        self.session.run(f"SELECT count(*) FROM docs WHERE gepa_judge('{judge}', body)")
        return self.options.rows

    def tune(self, judge):
        """The seed on the validation samples, of which it is right in all, so that the run ends; returns the rollouts."""
        run = self.session.run(f"""SELECT gepa.start('{judge}', 'docs', 'writer', {2 * self.options.rows + 100}, options =>
            '{{"mode": "reference", "split": {{"train": 0.1, "val": 0.9, "test": 0}}, "stop_at_score": 1}}')""").strip()
        self.session.run(f"SELECT gepa.wait({run})")
        return int(self.session.run(f"SELECT rollouts FROM gepa.runs WHERE run = {run}"))

    def measure(self, work, concurrency, program):
        """Documents per second in the steady middle, and the share of what the endpoints allow."""
        options, calls = PROGRAMS[program]
        judge = self.make_judge(self.make_lms(concurrency), options)
        self.session.run(f"SELECT gepa_judge('{judge}', 'warm up')")
        for mock in self.mocks:
            mock.begin(self.options.latency)
        done = work(judge)
        counts = [mock.stats() for mock in self.mocks]
        for count, n in zip(counts, calls):
            if count["answered"] != done * n:
                raise SystemExit(f"{program}: {count['answered']} answers for {done} documents of {n} calls")
        limit = min(concurrency * 1000 / self.options.latency / n for n in calls if n)
        return counts[0]["steady_rate"] / calls[0], limit

    def report(self, what, work):
        """The lines of one kind of work; programs take turns, as the machine may have other work at times."""
        for concurrency in self.options.concurrency:
            rates = {program: [] for program in PROGRAMS}
            for _ in range(self.options.repeat):
                for program in PROGRAMS:
                    note(f"{what}, {program}, {concurrency} calls at a time")
                    rates[program].append(self.measure(work, concurrency, program))
            simple = [rate / limit for rate, limit in rates["simple"]]
            for program in PROGRAMS:
                shares = [rate / limit for rate, limit in rates[program]]
                line(what, concurrency, program, f"{rates[program][0][1]:.0f}", f"{statistics.median(r for r, _ in rates[program]):.0f}",
                     f"{statistics.median(shares):.2f}", f"{min(shares):.2f} to {max(shares):.2f}",
                     f"{statistics.median(own / base for own, base in zip(shares, simple)):.2f}")


def main():
    """What the command line asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=6000)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--latency", type=int, default=50)
    parser.add_argument("--repeat", type=int, default=3)
    bench = Bench(parser.parse_args())
    table("work", "calls at a time", "program", "the endpoints' limit, documents/s", "documents/s", "of the limit", "least to most", "to the simple judge")
    bench.report("query", bench.query)
    bench.report("run", bench.tune)


if __name__ == "__main__":
    main()
