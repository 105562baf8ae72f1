#!/usr/bin/env python3
"""Measure what the targets of a corpus job cost; run by bench/targets.

WAL, and what tables grow by, of a job over new rows and of the same job once
more over rows that have not changed.  Answers are canned, so there is no
network.  README.md beside this file says what is measured.
"""

import argparse
import time

from batch import Session, keep_still, wal_bytes

TARGETS = {"store only": "NULL", "column": "'keep'", "verdict table": "'page_verdict'", "column and verdict table": "'keep, page_verdict'"}
SIZES = {
    "corpus": "pg_total_relation_size('corpus')",
    "verdict store": "(SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('gepa.verdict'))",
    "verdict table": "coalesce(pg_total_relation_size(to_regclass('page_verdict')), 0)",
    "job's own tables": "(SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'job%'"
                        " AND relnamespace = 'gepa'::regnamespace)",
}


def prepare(session):
    """An LM."""
    keep_still(session)
    session.run("CREATE EXTENSION gepa; CREATE SERVER canned FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned')")


def make_corpus(session, rows, size):
    """Texts of so many bytes that do not compress, and a column for verdicts."""
    session.run(f"""DROP TABLE IF EXISTS corpus, page_verdict;
CREATE TABLE corpus (id int PRIMARY KEY, body text, keep bool);
INSERT INTO corpus SELECT i, (SELECT string_agg(md5((i * 1000 + k)::text), '') FROM generate_series(1, {size // 32}) k)
    FROM generate_series(1, {rows}) i""")
    session.run("VACUUM ANALYZE corpus")


def look(session):
    """Bytes of WAL since ever, and of tables."""
    sizes = session.run(f"SELECT {', '.join(SIZES.values())}").strip().split("|")
    return [wal_bytes(session), *(int(size) for size in sizes)]


def run_job(session, judge, target, rows):
    """What one job takes, until all verdicts are stored: WAL, growth of tables."""
    session.run("CHECKPOINT")
    before = look(session)
    job = session.run(f"SELECT gepa.judge_table('{judge}', 'corpus', 'id', 'body', {target})").strip()
    status = session.run(f"SELECT gepa.wait_job({job})").strip()
    done = session.run(f"SELECT rows FROM gepa.jobs WHERE job = {job}").strip()
    if (status, done) != ("finished", str(rows)):
        raise SystemExit(f"the job is {status} after {done} rows")
    count = f"SELECT count(*) FROM gepa.verdict v JOIN gepa.judge j USING (judge) WHERE j.name = '{judge}'"
    while int(session.run(count)) < rows:
        time.sleep(0.1)
    return [b - a for a, b in zip(before, look(session))]


def measure(session, size, rows):
    """Print a table for documents of one size: bytes per row are MB per million rows."""
    print(f"\n{rows} documents of {size} bytes; MB per million rows\n")
    print(f"| target | run | WAL | without page images | {' | '.join(SIZES)} |")
    print("|---|---|---|---|" + "---|" * len(SIZES))
    for name, target in TARGETS.items():
        figures = {}
        for images in ("on", "off"):
            session.run(f"ALTER SYSTEM SET full_page_writes = {images}")
            session.run("SELECT pg_reload_conf()")
            make_corpus(session, rows, size)
            judge = f"{name}, {size}, {images}"
            session.run(f"SELECT gepa.create_judge('{judge}', 'canned', '{judge}?')")
            figures[images] = [run_job(session, judge, target, rows) for _ in ("first", "again")]
        for number, run in enumerate(("new rows", "unchanged")):
            wal, *growth = figures["on"][number]
            print(f"| {name} | {run} | {wal / rows:.1f} | {figures['off'][number][0] / rows:.1f} | "
                  + " | ".join(f"{value / rows:.1f}" for value in growth) + " |", flush=True)


def main():
    """Print a table for each size of document."""
    parser = argparse.ArgumentParser(prog="bench/targets")
    parser.add_argument("--rows", type=int, default=50000)
    parser.add_argument("--bytes", type=int, nargs="+", default=[1984, 8000])
    options = parser.parse_args()
    session = Session()
    prepare(session)
    for size in options.bytes:
        measure(session, size, options.rows)
    session.close()


if __name__ == "__main__":
    main()
