#!/usr/bin/env python3
"""Measure what it costs to hand a verdict over; run by bench/spool.

The baseline is the ring alone, which is what is left when the folder of the
spool cannot be written.  README.md beside this file says more.
"""

import argparse
import os
import statistics
import threading
import time

from batch import Session, cpu_seconds


class Spool:
    """The folder, with and without the right to use it."""

    def __init__(self, session):
        self.folder = os.path.join(session.run("SHOW data_directory").strip(), "pg_gepa")

    def use(self, on):
        """Let the servers write into it, or not."""
        os.chmod(self.folder, 0o700 if on else 0)


def judge(sessions, name, verdicts):
    """(seconds, CPU seconds of the backends) of new documents, in all sessions side by side."""
    def work(number):
        sessions[number].run(f"BEGIN; SELECT count(gepa_judge('j', '{name} {number} ' || i))"
                             f" FROM generate_series(1, {verdicts // len(sessions)}) i; ROLLBACK")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(sessions))]
    cpu = sum(cpu_seconds(session.pid) for session in sessions)
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - start
    return seconds, sum(cpu_seconds(session.pid) for session in sessions) - cpu


def drain(session):
    """Wait until the writer has nothing left to do."""
    while session.run("SELECT count(*) FROM pg_stat_activity"
                      " WHERE backend_type = 'gepa verdict writer'").strip() != "0":
        time.sleep(0.1)


def measure(session, sessions, options):
    """A line of the table: medians over rounds, with and without in turn."""
    spool = Spool(session)
    times = {True: [], False: []}
    for number in range(options.rounds):
        for on in (True, False):
            spool.use(on)
            times[on].append(judge(sessions, f"{len(sessions)} {number} {on}", options.verdicts))
            spool.use(True)
            drain(session)
    share = 1e6 / options.verdicts
    median = {on: [statistics.median(column) for column in zip(*lines)] for on, lines in times.items()}
    ratio = statistics.median(a[0] / b[0] for a, b in zip(times[True], times[False]))
    print(f"{len(sessions):8d} {options.verdicts / median[True][0]:10.0f} {options.verdicts / median[False][0]:10.0f}"
          f" {ratio:7.2f} {(median[True][0] - median[False][0]) * share:+10.1f} {(median[True][1] - median[False][1]) * share:+8.1f}",
          flush=True)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--verdicts", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    session = Session()
    session.run("""
CREATE EXTENSION gepa;
CREATE SERVER s FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'm');
SELECT gepa.create_judge('j', 's', 'Is it good?')""")
    print("sessions    verdicts per second   time       us per verdict\n"
          "              spool  ring only   ratio       time      CPU")
    for n in (1, 4):
        sessions = [Session() for _ in range(n)]
        for other in sessions:
            # of the spool that cannot be written
            other.run("SET client_min_messages = error")
        judge(sessions, "warm up", 1000)
        drain(session)
        measure(session, sessions, options)
        for other in sessions:
            other.close()
    session.close()


main()
