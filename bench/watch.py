#!/usr/bin/env python3
"""Measure what a watch costs who writes to the table; run by bench/watch.

The same statements, in turn, on a table without and with a watch whose job is
paused, so that nothing is judged meanwhile and the queue keeps what comes.
README.md beside this file says what is measured.
"""

import argparse
import os
import statistics
import time

from batch import Session, keep_still, wal_bytes

# In this order, after a table was emptied and filled as each begins.
STATEMENTS = {
    "COPY, in order of the key": "COPY {table} (id, body) FROM '{folder}/in_order'",
    "COPY, in no order": "TRUNCATE {table}; COPY {table} (id, body) FROM '{folder}/in_no_order'",
    "UPDATE of another column": "UPDATE {table} SET note = 1",
    "UPDATE of the document": "UPDATE {table} SET body = body || 'x'",
    "DELETE": "DELETE FROM {table}",
}


def prepare(session, rows, folder):
    """Two tables, of which one is watched, and files for COPY."""
    keep_still(session)
    session.run(f"""
CREATE EXTENSION gepa;
CREATE SERVER canned FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
SELECT gepa.create_judge('measured', 'canned', 'Is it good?');
CREATE TEMP TABLE texts AS SELECT i AS id, (SELECT string_agg(md5((i * 100 + k)::text), '') FROM generate_series(1, 62) k) AS body
    FROM generate_series(1, {rows}) i;
COPY (TABLE texts ORDER BY id) TO '{folder}/in_order';
COPY (TABLE texts ORDER BY hashint4(id)) TO '{folder}/in_no_order';
DROP TABLE texts;
CREATE TABLE plain (id int PRIMARY KEY, body text, note int);
CREATE TABLE watched (id int PRIMARY KEY, body text, note int)""")
    job = session.run("SELECT gepa.watch_table('measured', 'watched', 'id', 'body')").strip()
    session.run(f"SELECT gepa.pause_job({job})")
    session.run(f"SELECT gepa.wait_job({job})")


def measure(session, table, sql):
    """(seconds, bytes of WAL, entries in the queue) of some SQL."""
    session.run("DELETE FROM gepa.job_queue; VACUUM gepa.job_queue")
    session.run("CHECKPOINT")
    wal = wal_bytes(session)
    start = time.perf_counter()
    session.run(sql)
    seconds = time.perf_counter() - start
    wal = wal_bytes(session) - wal
    entries = int(session.run("SELECT count(*) FROM gepa.job_queue"))
    if table == "plain" and entries > 0:
        raise SystemExit("a table without a watch queued something")
    return seconds, wal, entries


def main():
    """Print a line for each statement: medians over the rounds."""
    parser = argparse.ArgumentParser(prog="bench/watch")
    parser.add_argument("--rows", type=int, default=200000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    session = Session()
    prepare(session, options.rows, os.environ["HOME"])
    runs = {name: {"plain": [], "watched": []} for name in STATEMENTS}
    for number in range(options.rounds):
        for table in ("plain", "watched") if number % 2 == 0 else ("watched", "plain"):
            session.run(f"TRUNCATE {table}")
            for name, sql in STATEMENTS.items():
                runs[name][table].append(measure(session, table, sql.format(table=table, folder=os.environ["HOME"])))
    session.close()
    print(f"{options.rows} rows of 2 KB, medians of {options.rounds} rounds\n")
    print("| statement | time, watched / plain | WAL, watched / plain | WAL bytes/row, plain | more, watched | queue entries |")
    print("|---|---|---|---|---|---|")
    for name, by_table in runs.items():
        seconds, wal, entries = ({table: statistics.median(run[i] for run in by_table[table]) for table in by_table} for i in range(3))
        print(f"| {name} | {seconds['watched'] / seconds['plain']:.2f} | {wal['watched'] / wal['plain']:.2f} | {wal['plain'] / options.rows:.0f}"
              f" | {round((wal['watched'] - wal['plain']) / options.rows):+d} | {entries['watched']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
