#!/usr/bin/env python3
"""Measure a corpus that goes through a judge; run by bench/corpus.

Tables are Markdown on standard output, progress goes to standard error.
README.md beside this file says what is measured, against what.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time

from batch import ROOT, Session, cpu_seconds, keep_still, memory_mb, wal_bytes
from judge import BODIES, WORD, Bench, line, note, table, warm

TEXTS = 4096                # different ones; each row's begins with its own number
WAIT = 0.2                  # seconds between two looks at the processes


class Processes:
    """CPU seconds and memory of the server's processes by kind, while its block runs; not of the bench's own session."""

    def __init__(self, bench):
        self.postmaster, self.mock, self.own = bench.postmaster, bench.mock.process.pid, bench.session.pid
        self.kinds, self.first, self.last, self.peak = {}, {}, {}, {}
        self.ended = threading.Event()

    def look(self, beginning=False):
        """At all of them; what has ended keeps what was seen last."""
        for name in os.listdir("/proc"):
            if name.isdigit():
                self.look_at(int(name), beginning)

    def look_at(self, pid, beginning):
        """One process, if it is the server's."""
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
            if parent != self.postmaster and pid != self.mock or pid == self.own:
                return
            with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
                title = file.read()
            # one that has ended and is not collected yet has no title
            if title:
                self.kinds[pid] = "mock" if pid == self.mock else kind_of(title)
            elif pid not in self.kinds:
                return
            self.last[pid] = cpu_seconds(pid)
            self.first.setdefault(pid, self.last[pid] if beginning else 0)
            kind = self.kinds[pid]
            self.peak[kind] = max(self.peak.get(kind, 0), memory_mb(pid, "RssAnon"))
        except (OSError, StopIteration, IndexError):
            return

    def watch(self):
        """Again and again."""
        while not self.ended.wait(WAIT):
            self.look()

    def __enter__(self):
        self.look(beginning=True)
        self.start = time.perf_counter()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.elapsed = time.perf_counter() - self.start
        self.ended.set()
        self.thread.join()
        self.look()

    def cpu(self, *kinds):
        """Seconds; of all other kinds than the mock without arguments."""
        return sum(cpu - self.first[pid] for pid, cpu in self.last.items()
                   if (self.kinds[pid] in kinds if kinds else self.kinds[pid] != "mock"))


def kind_of(title):
    """What a process of the server calls itself."""
    title = title.partition("\0")[0].removeprefix("postgres:").strip()
    for kind in ("gepa verdict writer", "gepa job", "gepa", "walwriter", "checkpointer", "background writer"):
        if kind in title:
            return kind
    return "backend"


class Corpus(Bench):
    """The corpus, and what is done with it."""

    def __init__(self, options):
        super().__init__(options)
        self.mock = self.mocks[False]
        with open(os.path.join(os.path.dirname(os.environ["PGHOST"]), "data", "postmaster.pid"), encoding="ascii") as file:
            self.postmaster = int(file.readline())
        keep_still(self.session)

    def make_corpus(self):
        """id, body of 2 KB, and a column for verdicts."""
        rows = self.options.rows
        note(f"{rows} rows of 2 KB")
        self.session.run(f"""CREATE TEMP TABLE texts AS SELECT i AS n, {BODIES.format(words=320)} AS body
            FROM generate_series(0, {TEXTS - 1}) i;
            DROP TABLE IF EXISTS corpus;
            CREATE TABLE corpus (id int PRIMARY KEY, body text, keep bool);
            INSERT INTO corpus SELECT i, CASE WHEN i % 3 = 0 THEN '{WORD} ' ELSE '' END || i || ' ' || t.body
            FROM generate_series(1, {rows}) i JOIN texts t ON t.n = i % {TEXTS};
            DROP TABLE texts""")
        self.session.run("VACUUM ANALYZE corpus")

    def size(self, relation):
        """Bytes of a relation with its indexes and its overflow, 0 if it is not there."""
        return int(self.session.run(f"SELECT coalesce(pg_total_relation_size(to_regclass('{relation}')), 0)"))

    def verdicts(self):
        """How many are stored, and their bytes; all partitions."""
        return [int(x) for x in self.session.run(
            "SELECT (SELECT count(*) FROM gepa.verdict), (SELECT sum(pg_total_relation_size(relid))"
            " FROM pg_partition_tree('gepa.verdict'))").strip().split("|")]


# ---------------------------------------------------------------- contenders


def plain_filter(bench, judge):
    """A query that counts what passes."""
    session = Session()
    found = session.run(f"SELECT count(*) FROM corpus WHERE gepa_judge('{judge}', body)")
    session.close()
    return int(found)


def plain_table(bench, judge):
    """A query that writes a table."""
    session = Session()
    session.run("CREATE TABLE verdicts (id int PRIMARY KEY, keep bool)")
    session.run(f"INSERT INTO verdicts SELECT id, gepa_judge('{judge}', body) FROM corpus")
    session.close()
    return int(bench.session.run("SELECT count(*) FROM verdicts WHERE keep"))


def plain_column(bench, judge):
    """A query that changes the corpus."""
    session = Session()
    session.run(f"UPDATE corpus SET keep = gepa_judge('{judge}', body)")
    session.close()
    return int(bench.session.run("SELECT count(*) FROM corpus WHERE keep"))


def job(judge, target, workers=1):
    """A job in the background."""
    session = Session()
    number = session.run(f"""SELECT gepa.judge_table('{judge}', 'corpus', 'id', 'body', target => {target},
        options => '{{"workers": {workers}}}')""").strip()
    status = session.run(f"SELECT gepa.wait_job({number})").strip()
    if status != "finished":
        sys.exit(f"the job is {status}: " + session.run(f"SELECT reason FROM gepa.jobs WHERE job = {number}"))
    session.close()


def job_store(bench, judge):
    """... into the verdict store only."""
    job(judge, "NULL")
    return int(bench.session.run(f"SELECT count(*) FROM gepa.verdicts WHERE judge = '{judge}' AND positive"))


def job_table(bench, judge, workers=1):
    """... and into a table."""
    job(judge, "'verdicts'", workers)
    return int(bench.session.run("SELECT count(*) FROM verdicts WHERE positive"))


def job_table_two(bench, judge):
    """... by two processes."""
    return job_table(bench, judge, 2)


def job_column(bench, judge):
    """... and into the corpus."""
    job(judge, "'keep'")
    return int(bench.session.run("SELECT count(*) FROM corpus WHERE keep"))


def script(bench, http, write):
    """The script in Python."""
    if write == "table":
        bench.session.run("CREATE TABLE script_verdicts (id int PRIMARY KEY, keep bool)")
    out = subprocess.run([os.environ["CLIENT_PYTHON"], os.path.join(ROOT, "bench/corpus_client.py"), http, write,
                          "--port", str(bench.mock.port), "--concurrency", str(bench.options.concurrency),
                          "--template", bench.template], check=True, stdout=subprocess.PIPE, text=True).stdout
    result = json.loads(out.splitlines()[-1])
    bench.script_cpu = result["cpu"]
    return result["positive"]


CONTENDERS = {
    "query, filter": plain_filter,
    "query, INSERT": plain_table,
    "query, UPDATE": plain_column,
    "job, store": job_store,
    "job, table": job_table,
    "job, table, 2 workers": job_table_two,
    "job, column": job_column,
    "asyncio, table": lambda bench, judge: script(bench, "asyncio", "table"),
    "asyncio, column": lambda bench, judge: script(bench, "asyncio", "column"),
    "aiohttp, table": lambda bench, judge: script(bench, "aiohttp", "table"),
}
NAMES = {name.replace(",", "").replace(" ", "_"): name for name in CONTENDERS}


def measure(bench, name, latency):
    """One contender, with a judge that has no verdicts yet; a speed is none if the answers are wrong."""
    note(f"{latency} ms: {name}")
    rows, judge = bench.options.rows, bench.make_judge(bench.lm(bench.options.concurrency))
    bench.mock.begin(0)
    warm(bench.session, judge)
    bench.session.run("CHECKPOINT")
    bench.mock.begin(latency)
    bench.script_cpu = 0
    before, wal = {"corpus": bench.size("corpus"), "store": bench.verdicts()[1]}, wal_bytes(bench.session)
    with Processes(bench) as processes:
        start = time.perf_counter()
        found = CONTENDERS[name](bench, judge)
        seconds = time.perf_counter() - start
        # what the writer has still to do is of it
        while is_stored(name) and bench.verdicts()[0] < rows:
            time.sleep(0.1)
    requests = bench.mock.stats()["requests"]
    if found != rows // 3 or requests != rows:
        sys.exit(f"{name}: {found} found by {requests} requests")
    figures = {"rate": rows / seconds, "steady": bench.mock.stats()["steady_rate"], "wal": (wal_bytes(bench.session) - wal) / rows,
               "corpus": (bench.size("corpus") - before["corpus"]) / rows, "store": (bench.verdicts()[1] - before["store"]) / rows,
               "table": (bench.size("verdicts") + bench.size("script_verdicts")) / rows,
               "script": bench.script_cpu, "processes": processes}
    note(f"    {figures['rate']:.0f} rows/s, {(processes.cpu() + bench.script_cpu) / rows * 1e6:.0f} us of CPU and {figures['wal']:.0f} bytes of WAL each")
    bench.session.run("DROP TABLE IF EXISTS verdicts, script_verdicts")
    bench.drop_verdicts()
    if figures["corpus"] > 0:
        bench.make_corpus()
    return figures


def is_stored(name):
    """Whether verdicts go into gepa's store."""
    return name.startswith(("query", "job"))


def speed(bench):
    """Rows per second, CPU, WAL, space."""
    options = bench.options
    names = [name for key, name in NAMES.items() if not options.only or key in options.only]
    names = [name for name in names if is_stored(name) or os.environ.get("CLIENT_PYTHON")]
    for latency in options.latency:
        cells = {name: measure(bench, name, latency) for name in names}
        print(f"\n## {options.rows} rows of 2 KB, {latency} ms, {options.concurrency} at a time")
        show_speed(cells, options.rows, latency and options.concurrency / latency * 1000)
        show_space(cells)


def show_speed(cells, rows, ideal):
    """Rows per second, and microseconds of CPU per row by process."""
    table("", "rows/s", *(["of the ideal"] if ideal else []), "steady", "CPU us/row: all", "backends", "job workers", "verdict writer", "WAL writer,"
          " checkpointer", "script", "mock", "RssAnon MB, largest")
    for name, figures in cells.items():
        processes = figures["processes"]
        cpu = [processes.cpu() + figures["script"], processes.cpu("backend"), processes.cpu("gepa job"),
               processes.cpu("gepa verdict writer"), processes.cpu("walwriter", "checkpointer", "background writer"),
               figures["script"], processes.cpu("mock")]
        line(name, f"{figures['rate']:.0f}", *([f"{figures['rate'] / ideal:.0%}"] if ideal else []), f"{figures['steady']:.0f}",
             *(f"{seconds / rows * 1e6:.0f}" for seconds in cpu),
             f"{max(mb for kind, mb in processes.peak.items() if kind != 'mock'):.0f}")


def show_space(cells):
    """Bytes per row."""
    table("bytes per row", "WAL", "the corpus grew by", "verdict store", "target table")
    for name, figures in cells.items():
        line(name, *(f"{figures[key]:.0f}" for key in ("wal", "corpus", "store", "table")))


# ---------------------------------------------------------------- one limit for many


def share(bench, backends, latency, places):
    """Backends that judge parts of their own under one LM's limit; their rates, and the mock's."""
    seconds, rows = bench.options.seconds, bench.options.rows
    judge, sessions = bench.make_judge(bench.lm(places)), [Session(subprocess.DEVNULL) for _ in range(backends)]
    bench.mock.begin(0)
    for session in sessions:
        warm(session, judge)
    bench.mock.begin(latency)
    for i, session in enumerate(sessions):
        session.process.stdin.write("\\set ON_ERROR_STOP off\n" + f"SELECT count(*) FROM corpus WHERE id % {backends} = {i}"
                                    f" AND gepa_judge('{judge}', body);\n\\echo over\n")
        session.process.stdin.flush()
    time.sleep(1)           # all have begun
    first, requests, start = judged(bench), bench.mock.stats()["answered"], time.perf_counter()
    time.sleep(seconds)
    second, answered, elapsed = judged(bench), bench.mock.stats()["answered"], time.perf_counter() - start
    most = bench.mock.stats()["max_in_flight"]
    for session in sessions:
        bench.session.run(f"SELECT pg_cancel_backend({session.pid})")
        while session.process.stdout.readline() != "over\n":
            pass
        session.close()
    rates = [(second.get(session.pid, 0) - first.get(session.pid, 0)) / elapsed for session in sessions]
    if answered >= rows:
        sys.exit("there are too few rows for so many seconds")
    bench.drop_verdicts()
    return rates, (answered - requests) / elapsed, most


def judged(bench):
    """Of each live query, by pid."""
    rows = bench.session.run("SELECT pid, judged FROM gepa.progress WHERE kind = 'query'").split()
    return {int(pid): int(n) for pid, n in (row.split("|") for row in rows)}


def limit(bench):
    """Throughput and fairness of several backends under one limit."""
    latency, places = 50, 64
    ideal = places / latency * 1000
    print(f"\n## One limit for several backends\n\nEach judges rows of its own, {places} places, {latency} ms: at most {ideal:.0f} answers a second."
          f" Counted over {bench.options.seconds:g} s. Jain's index is 1 when all get the same, and 1/n when one gets all.")
    table("backends", "answers/s, at the mock", "of the limit", "peak in flight", "slowest", "fastest", "Jain's index")
    for backends in bench.options.backends:
        note(f"limit: {backends} backends")
        rates, total, most = share(bench, backends, latency, places)
        line(backends, f"{total:.0f}", f"{total / ideal:.1%}", most, f"{min(rates):.0f}", f"{max(rates):.0f}",
             f"{sum(rates) ** 2 / (backends * sum(rate ** 2 for rate in rates) or 1):.4f}")


# ---------------------------------------------------------------- main

PARTS = {"speed": speed, "limit": limit}


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench/corpus")
    parser.add_argument("--rows", type=int, default=1000000)
    parser.add_argument("--latency", type=int, nargs="+", default=[0, 50])
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--only", nargs="+", choices=tuple(NAMES))
    parser.add_argument("--backends", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--parts", nargs="+", choices=tuple(PARTS), default=list(PARTS))
    options = parser.parse_args()
    bench = Corpus(options)
    print(f"# A corpus through a judge\n\nWritten by `bench/corpus`; README.md beside this file says how to read it.\n\n"
          f"{bench.session.run('SHOW server_version').strip()} on {os.cpu_count()} cores, which client, server, writer and mock LM share.")
    bench.make_corpus()
    for part in PARTS:
        if part in options.parts:
            PARTS[part](bench)
    bench.session.close()


if __name__ == "__main__":
    main()
