#!/usr/bin/env python3
"""Measure queries with judges; run by bench/judge.

Tables are Markdown on standard output, progress goes to standard error.
README.md beside this file says what is measured, against what.
"""

import argparse
import json
import os
import ssl
import statistics
import subprocess
import sys
import time
import urllib.request

from batch import ROOT, Mock, Session, cpu_seconds, memory_mb

WORD = "zorvex"             # documents with it are positive: every third one
RIVALS = ("asyncio", "aiohttp", "threads", "lotus")
# Documents a second that a client may reach; it gets as many as keep it busy for --seconds.
REACH = {"gepa": 30000, "asyncio": 9000, "aiohttp": 2500, "threads": 2500, "lotus": 100}
BODIES = """(SELECT string_agg((ARRAY['the','a','of','and','page','text','word','line','house','river','table','window',
    'garden','morning','evening','people','water','paper','letter','number','street','market','winter','summer','country',
    'village','question','answer','reason','moment','story','corner'])[1 + (hashint4(i * 4099 + n) & 31)], ' ')
    FROM generate_series(1, {words}) n)"""


def note(text):
    """Progress."""
    print(text, file=sys.stderr, flush=True)


def table(*columns):
    """The head of a Markdown table."""
    print("\n| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))


def line(*cells):
    """A row of it."""
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


class FastMock:
    """The mock LM that takes no time of its own; ends with this process."""

    def __init__(self, program, *arguments, ca=None):
        self.process = subprocess.Popen([program, "--word", WORD, *arguments], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.ca = ca
        self.url = f"http{'s' if ca else ''}://localhost:{self.port}"
        self.tls = ssl.create_default_context(cafile=ca) if ca else None

    def ask(self, path, data=None):
        """GET, or POST with data."""
        with urllib.request.urlopen(self.url + path, data, context=self.tls) as answer:
            return answer.read()

    def begin(self, latency):
        """From now on it answers after so many milliseconds, and counts from nothing."""
        self.ask(f"/latency/{latency}", b"")
        self.ask("/reset", b"")

    def stats(self):
        """What it counted."""
        return json.loads(self.ask("/stats"))


class Bench:
    """Cluster, mocks, judges."""

    def __init__(self, options):
        self.options = options
        self.folder = os.environ["HOME"]
        self.session = Session()
        self.session.run("CREATE EXTENSION gepa")
        self.judges = 0
        program = os.path.join(self.folder, "mock_lm")
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-std=gnu99", "-o", program,
                        os.path.join(ROOT, "bench/mock_lm.c"), "-lssl", "-lcrypto"], check=True)
        key, self.ca = (os.path.join(self.folder, name) for name in ("mock.key", "mock.crt"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", self.ca],
                       check=True, capture_output=True)
        self.mocks = {False: FastMock(program), True: FastMock(program, "--cert", self.ca, "--key", key, ca=self.ca)}
        self.template = self.make_template()

    def make_template(self):
        """A request as gepa sends it, with a mark in place of the document."""
        mock = Mock()
        self.make_lm("template", f"http://127.0.0.1:{mock.port}/v1", 1)
        judge = self.make_judge("template")
        self.session.run(f"SELECT gepa_judge('{judge}', '@DOCUMENT@')")
        sent = mock.ask("/_journal?full=1")["list"][0]
        path = os.path.join(self.folder, "template.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"model": sent["model"], "messages": sent["messages"], **sent["request"]}, file)
        mock.process.stdin.close()
        return path

    def make_lm(self, name, url, concurrency, ca=None):
        """A foreign server."""
        self.session.run(f"""CREATE SERVER IF NOT EXISTS {name} FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url '{url}',
            model 'judge-rules', allow_private_address 'true', max_concurrency '{concurrency}'
            {f", ca_file '{ca}'" if ca else ""})""")

    def lm(self, concurrency, tls=False):
        """The LM on a fast mock for so many calls at a time."""
        mock, name = self.mocks[tls], f"lm_{concurrency}{'_tls' if tls else ''}"
        self.make_lm(name, mock.url + "/v1", concurrency, mock.ca)
        return name

    def make_judge(self, lm):
        """A judge that has no verdicts yet."""
        self.judges += 1
        self.session.run(f"SELECT gepa.create_judge('j{self.judges}', '{lm}', 'Is it worth a place? ({self.judges})')")
        return f"j{self.judges}"

    def make_documents(self, name, count, words):
        """id, body."""
        self.session.run(f"""CREATE TABLE {name} (id int PRIMARY KEY, body text);
            INSERT INTO {name} SELECT i, CASE WHEN i % 3 = 0 THEN '{WORD} ' ELSE '' END || i || ' ' ||
            {BODIES.format(words=words)} FROM generate_series(1, {count}) i""")
        self.session.run(f"VACUUM ANALYZE {name}")

    def writer(self):
        """The pid of the verdict writer."""
        return int(self.session.run("SELECT pid FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer'"))

    def drop_verdicts(self):
        """One measurement's are not to be in the way of the next."""
        self.session.run("TRUNCATE gepa.verdict")


def warm(session, judge):
    """Catalogs read, library and LM known: a first call, of another judge's own document."""
    session.run(f"SELECT gepa_judge('{judge}', 'warm up')")


def timed(session, sql):
    """Output, seconds and CPU seconds of a session's statement."""
    cpu, start = cpu_seconds(session.pid), time.perf_counter()
    out = session.run(sql).strip()
    return out, time.perf_counter() - start, cpu_seconds(session.pid) - cpu


# ---------------------------------------------------------------- speed


def run_gepa(bench, cell, node=True):
    """The statement, in a session of its own."""
    mock, judge = bench.mocks[cell["tls"]], bench.make_judge(bench.lm(cell["concurrency"], cell["tls"]))
    session = Session()
    session.run(f"SET gepa.enable_judge_node = {'on' if node else 'off'}")
    mock.begin(0)
    warm(session, judge)
    mock.begin(cell["latency"])
    writer = bench.writer()
    writer_cpu = cpu_seconds(writer)
    found, seconds, cpu = timed(session, f"SELECT count(*) FROM docs WHERE id <= {cell['n']} AND gepa_judge('{judge}', body)")
    stats = mock.stats()
    session.close()
    return check(cell, {"rate": cell["n"] / seconds, "steady": stats["steady_rate"], "cpu": cpu / cell["n"] * 1e6,
                        "writer": (cpu_seconds(writer) - writer_cpu) / cell["n"] * 1e6, "found": int(found), **stats})


def run_rival(bench, cell, kind):
    """A client."""
    mock = bench.mocks[cell["tls"]]
    path = os.path.join(bench.folder, "documents")
    with open(path, "w", encoding="utf-8") as file:
        file.write(bench.session.run(f"SELECT body FROM docs WHERE id <= {cell['n']} ORDER BY id"))
    mock.begin(0)
    client = subprocess.Popen(
        [os.environ["CLIENT_PYTHON"] if kind in ("aiohttp", "lotus") else sys.executable,
         os.path.join(ROOT, "bench/judge_clients.py"), kind, "--port", str(mock.port), "--concurrency",
         str(cell["concurrency"]), "--documents", path, "--template", bench.template,
         *(["--ca", bench.ca] if cell["tls"] else [])],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    while client.stdout.readline() not in ("ready\n", ""):
        pass
    mock.begin(cell["latency"])
    client.stdin.write("\n")
    client.stdin.flush()
    out = client.stdout.read().strip().splitlines()
    if client.wait() != 0 or not out:
        sys.exit(f"the client {kind} failed")
    result = json.loads(out[-1])
    stats = mock.stats()
    return check(cell, {"rate": cell["n"] / result["seconds"], "steady": stats["steady_rate"],
                        "cpu": result["cpu"] / cell["n"] * 1e6, "found": result["positive"], **stats})


def check(cell, figures):
    """A speed is none if the answers are wrong."""
    if figures["found"] != cell["n"] // 3 or figures["requests"] != cell["n"]:
        sys.exit(f"{cell}: {figures['found']} found by {figures['requests']} requests")
    return figures


def documents_for(bench, who, latency, concurrency):
    """As many as keep it busy for --seconds, and four for each place."""
    rate = min(concurrency / (latency / 1000), REACH[who])
    return max(int(rate * bench.options.seconds), 4 * concurrency if who != "lotus" else 1)


def median(runs, key):
    """Of several runs."""
    return statistics.median(run[key] for run in runs)


def measure_cell(bench, latency, concurrency, tls):
    """Every contender in turn, again and again; lists of figures."""
    runs = {}
    for turn in range(bench.options.repeat):
        for who in ("gepa", "off", *RIVALS):
            # one at a time is what the node off does at any concurrency; LOTUS is slow, and imports for seconds
            if (who == "off" and concurrency > 1) or (who in ("aiohttp", "lotus") and not os.environ.get("CLIENT_PYTHON")) \
                    or (who == "lotus" and (tls or turn)):
                continue
            cell = {"latency": latency, "concurrency": concurrency, "tls": tls,
                    "n": documents_for(bench, "gepa" if who == "off" else who, latency, concurrency)}
            runs.setdefault(who, []).append(run_gepa(bench, cell, who == "gepa") if who in ("gepa", "off")
                                            else run_rival(bench, cell, who))
    bench.drop_verdicts()
    return runs


def speed(bench):
    """Documents per second and CPU, beside other clients."""
    options = bench.options
    most = max(documents_for(bench, who, latency, concurrency)
               for who in REACH for latency in options.latency for concurrency in options.concurrency)
    note(f"speed: {most} documents of 2 KB")
    bench.make_documents("docs", most, 350)
    size = bench.session.run("SELECT round(avg(length(body))) FROM docs").strip()
    print("\n## Documents per second\n\nOne statement, `SELECT count(*) FROM docs WHERE id <= N AND gepa_judge(judge, body)`, in a"
          f" session whose connections are not open yet.\nDocuments of {size} characters; medians of {options.repeat} runs"
          f" of about {options.seconds:g} s.")
    for tls in ([False, True] if options.tls == "both" else [options.tls == "on"]):
        cells = []
        for latency in options.latency:
            for concurrency in options.concurrency:
                note(f"speed: {latency} ms, {concurrency} at a time, TLS {'on' if tls else 'off'}")
                cells.append((latency, concurrency, measure_cell(bench, latency, concurrency, tls)))
        print(f"\n### TLS {'on' if tls else 'off'}")
        show_speed(cells)
        show_cpu(cells)


def show_speed(cells):
    """Documents per second."""
    table("latency ms", "at a time", "ideal", "gepa", "share", "steady", "steady share", "node off", *RIVALS, "gepa / asyncio")
    for latency, concurrency, runs in cells:
        ideal = concurrency / (latency / 1000)
        rate = {who: median(figures, "rate") for who, figures in runs.items()}
        steady = median(runs["gepa"], "steady")
        line(latency, concurrency, f"{ideal:.0f}", f"{rate['gepa']:.0f}", f"{rate['gepa'] / ideal:.1%}",
             f"{steady:.0f}", f"{steady / ideal:.1%}",
             *(f"{rate[who]:.0f}" if who in rate else "" for who in ("off", *RIVALS)),
             f"{statistics.median(a['rate'] / b['rate'] for a, b in zip(runs['gepa'], runs['asyncio'])):.2f}")


def show_cpu(cells):
    """Microseconds of CPU."""
    table("CPU us per document: latency ms", "at a time", "gepa", "writer", "node off", *RIVALS, "peak in flight")
    for latency, concurrency, runs in cells:
        cpu = {who: median(figures, "cpu") for who, figures in runs.items()}
        line(latency, concurrency, f"{cpu['gepa']:.0f}", f"{median(runs['gepa'], 'writer'):.0f}",
             *(f"{cpu[who]:.0f}" if who in cpu else "" for who in ("off", *RIVALS)),
             f"{median(runs['gepa'], 'max_in_flight'):.0f}")


# ---------------------------------------------------------------- LIMIT


def limit(bench):
    """What reading ahead wastes below a LIMIT."""
    mock, lm = bench.mocks[False], bench.lm(64)
    print("\n## LIMIT\n\n`SELECT id FROM few WHERE gepa_judge(judge, body) LIMIT k`, one document in three passes, 64 at a time, 20 ms.")
    table("k", "needed", "sent", "wasted", "ms, node off", "ms", "ratio")
    for k in (1, 5, 20, 100):
        note(f"limit {k}")
        figures = {}
        for node in ("off", "on"):
            judge, session = bench.make_judge(lm), Session()
            session.run(f"SET gepa.enable_judge_node = {node}")
            mock.begin(20)
            warm(session, judge)
            mock.begin(20)
            _, seconds, _ = timed(session, f"SELECT count(*) FROM (SELECT id FROM few WHERE gepa_judge('{judge}', body) LIMIT {k}) q")
            figures[node] = (mock.stats()["requests"], seconds)
            session.close()
        (needed, serial), (sent, seconds) = figures["off"], figures["on"]
        line(k, needed, sent, sent - needed, f"{serial * 1e3:.0f}", f"{seconds * 1e3:.0f}", f"{serial / seconds:.1f}")


# ---------------------------------------------------------------- lifting


JOINS = """
CREATE TABLE parts (id int, body text) PARTITION BY RANGE (id);
SELECT format('CREATE TABLE part%s PARTITION OF parts FOR VALUES FROM (%s) TO (%s)', p, p * 30, p * 30 + 30)
FROM generate_series(0, 29) p \\gexec
INSERT INTO parts SELECT id - 1, body FROM few WHERE id <= 900;
CREATE TABLE authors AS SELECT i AS author FROM generate_series(1, 500) i;
CREATE TABLE pages AS SELECT id, 1 + hashint4(id) & 8191 AS author, body FROM few WHERE id <= 2000;
CREATE INDEX ON pages (author);
ANALYZE parts; ANALYZE authors; ANALYZE pages;
CREATE ROLE reader;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
GRANT EXECUTE ON FUNCTION gepa_judge(text, text) TO reader;
CREATE POLICY everything ON pages USING (true);
CREATE POLICY everything ON parts USING (true);
"""
SHAPES = [
    ("30 partitions of 30 rows", "", "SELECT count(*) FROM parts WHERE gepa_judge('{j}', body)"),
    ("hash join", "SET enable_nestloop = off; SET enable_mergejoin = off",
     "SELECT count(*) FROM authors JOIN pages USING (author) WHERE gepa_judge('{j}', body)"),
    ("merge join", "SET enable_nestloop = off; SET enable_hashjoin = off",
     "SELECT count(*) FROM authors JOIN pages USING (author) WHERE gepa_judge('{j}', body)"),
    ("nested loop, index inside", "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off",
     "SELECT count(*) FROM authors JOIN pages USING (author) WHERE gepa_judge('{j}', body)"),
]


def plans(bench):
    """Partitions and joins with the judge's qual where the planner puts it, and lifted."""
    mock, lm = bench.mocks[False], bench.lm(64)
    bench.session.run(JOINS + f"GRANT USAGE ON FOREIGN SERVER {lm} TO reader")
    print("\n## Partitions and joins\n\nThe same statement with a policy that lets all rows pass (row security bars lifting) and without, 64 at a"
          " time, 20 ms.")
    table("plan", "sent, not lifted", "in flight", "ms", "sent, lifted", "in flight", "ms", "ratio")
    for name, settings, sql in SHAPES:
        note(f"plans: {name}")
        cells, times = [], []
        for security in ("ENABLE", "DISABLE"):
            bench.session.run(f"ALTER TABLE pages {security} ROW LEVEL SECURITY; ALTER TABLE parts {security} ROW LEVEL SECURITY")
            judge, session = bench.make_judge(lm), Session()
            session.run(f"SET ROLE reader; {settings}")
            mock.begin(20)
            warm(session, judge)
            mock.begin(20)
            _, seconds, _ = timed(session, sql.format(j=judge))
            stats = mock.stats()
            session.close()
            times.append(seconds)
            cells += [stats["requests"], stats["max_in_flight"], f"{seconds * 1e3:.0f}"]
        line(name, *cells, f"{times[0] / times[1]:.1f}")


# ---------------------------------------------------------------- stored


def stored(bench):
    """Rows whose verdicts are stored."""
    mock, lm, n = bench.mocks[False], bench.lm(256), bench.options.stored
    note(f"stored: {n} documents of 200 characters")
    bench.make_documents("many", n, 35)
    judge = bench.make_judge(lm)
    mock.begin(0)
    session = Session()
    start_mb = memory_mb(session.pid, "VmRSS")
    note("stored: judge them")
    _, seconds, cpu = timed(session, f"SELECT count(*) FROM many WHERE gepa_judge('{judge}', body)")
    peak_mb = memory_mb(session.pid, "VmHWM")
    session.close()
    note("stored: wait for the writer")
    while int(bench.session.run(f"SELECT count(*) FROM gepa.verdicts WHERE judge = '{judge}'")) < n:
        time.sleep(1)
    bench.session.run("VACUUM ANALYZE gepa.verdict")
    print(f"\n## {n} rows\n\nDocuments of about 200 characters, answered at once: {n / seconds:.0f} documents per second, {cpu / n * 1e6:.0f} us of"
          f" the backend's CPU each; its memory grew from {start_mb:.0f} to {peak_mb:.0f} MB (shared memory that it touched included)."
          " Then, with all verdicts stored, less what `length(body)` takes:")
    table("new session", "us per row", "CPU us per row", "memory MB")
    mock.begin(0)
    for name, node in (("node off", "off"), ("node on", "on")):
        runs = []
        for _ in range(bench.options.repeat):
            session = Session()
            session.run(f"SET gepa.enable_judge_node = {node}; SET max_parallel_workers_per_gather = 0")
            session.run(f"SELECT gepa_judge('{judge}', body) FROM many LIMIT 1")
            scan = timed(session, "SELECT count(*) FROM many WHERE length(body) > 0")
            scan = timed(session, "SELECT count(*) FROM many WHERE length(body) > 0")
            whole = timed(session, f"SELECT count(*) FROM many WHERE gepa_judge('{judge}', body)")
            runs.append({"us": (whole[1] - scan[1]) / n * 1e6, "cpu": (whole[2] - scan[2]) / n * 1e6,
                         "mb": memory_mb(session.pid, "VmHWM")})
            session.close()
        line(name, f"{median(runs, 'us'):.2f}", f"{median(runs, 'cpu'):.2f}", f"{median(runs, 'mb'):.0f}")
    if mock.stats()["requests"]:
        sys.exit("a stored verdict was asked for")


# ---------------------------------------------------------------- cancel


def cancel(bench):
    """How long a query with many calls on the wire goes on."""
    mock, lm = bench.mocks[False], bench.lm(256)
    times = []
    for _ in range(max(bench.options.repeat, 5)):
        judge, session = bench.make_judge(lm), Session(subprocess.DEVNULL)
        mock.begin(0)
        warm(session, judge)
        mock.begin(5000)  # the mock keeps what is given up for so long
        session.process.stdin.write("\\set ON_ERROR_STOP off\n")
        session.process.stdin.write(f"SELECT count(*) FROM few WHERE gepa_judge('{judge}', body);\n\\echo over\n")
        session.process.stdin.flush()
        while mock.stats()["in_flight"] < 256:
            time.sleep(0.01)
        start = time.perf_counter()
        bench.session.run(f"SELECT pg_cancel_backend({session.pid})")
        while session.process.stdout.readline() != "over\n":
            pass
        times.append((time.perf_counter() - start) * 1e3)
        session.close()
    print(f"\n## Cancel\n\nA query with 256 calls on the wire, from pg_cancel_backend() to the client's receipt of the error: median"
          f" {statistics.median(times):.0f} ms, at most {max(times):.0f} ms.")


# ---------------------------------------------------------------- no judge


class Plain:
    """A cluster without the library."""

    def __init__(self, folder):
        self.data, self.port = os.path.join(folder, "plain"), str(int(os.environ["PGPORT"]) + 1)
        subprocess.run(["initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"],
                       check=True, capture_output=True)
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="ascii") as file:
            file.write(f"listen_addresses = ''\nport = {self.port}\nunix_socket_directories = '{os.environ['PGHOST']}'\nfsync = off\n")
        self.control("start")

    def control(self, what):
        """pg_ctl."""
        subprocess.run(["pg_ctl", "-s", "-w", "-D", self.data, "-l", self.data + ".log", what], check=True)


def pgbench(port, *arguments):
    """Its transactions per second."""
    out = subprocess.run(["pgbench", "-p", port, "-n", *arguments, "postgres"], check=True, capture_output=True, text=True).stdout
    return next((float(row.split()[2]) for row in out.splitlines() if row.startswith("tps")), 0)


def idle(bench):
    """What queries without judges pay for the library."""
    plain = Plain(bench.folder)
    ports = {"without": plain.port, "with": os.environ["PGPORT"]}
    for port in ports.values():
        pgbench(port, "-i", "-q", "-s", "10")
    print(f"\n## Queries without judges\n\n`pgbench -S`, one client, {bench.options.rounds} runs of {bench.options.seconds:g} s on each of two servers in turn.")
    table("protocol", "tps without gepa", "tps, preloaded", "median of the ratios", "quartiles")
    for protocol in ("simple", "prepared"):
        note(f"idle: {protocol}")
        pairs = []
        for turn in range(bench.options.rounds):
            order = list(ports) if turn % 2 else list(ports)[::-1]
            pairs.append({who: pgbench(ports[who], "-S", "-M", protocol, "-T", str(max(1, round(bench.options.seconds)))) for who in order})
        ratios = [pair["with"] / pair["without"] for pair in pairs]
        low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        line(protocol, *(f"{statistics.median(pair[who] for pair in pairs):.0f}" for who in ports), f"{middle:.3f}", f"{low:.3f} to {high:.3f}")
    plain.control("stop")


# ---------------------------------------------------------------- main

PARTS = {"speed": speed, "limit": limit, "plans": plans, "cancel": cancel, "stored": stored, "idle": idle}


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench/judge")
    parser.add_argument("--latency", type=int, nargs="+", default=[20, 50, 200])
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 16, 64, 256])
    parser.add_argument("--tls", choices=("off", "on", "both"), default="both")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--stored", type=int, default=1000000)
    parser.add_argument("--parts", nargs="+", choices=tuple(PARTS), default=list(PARTS))
    options = parser.parse_args()
    bench = Bench(options)
    print(f"# Queries with judges\n\nWritten by `bench/judge`; README.md beside this file says how to read it.\n\n"
          f"{bench.session.run('SHOW server_version').strip()} on {os.cpu_count()} cores, which client, server, writer and mock LM share.")
    if {"limit", "plans", "cancel"} & set(options.parts):
        bench.make_documents("few", 2000, 100)
    for part in PARTS:
        if part in options.parts:
            PARTS[part](bench)
    bench.session.close()


if __name__ == "__main__":
    main()
