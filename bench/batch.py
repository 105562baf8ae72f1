#!/usr/bin/env python3
"""Measure the batch interface beside a plain asyncio client; run by bench/batch.

What uses the batch with the least other work is gepa.report(): it judges the
test split of a run.  The seed prompt states the hidden rule of the documents,
so the run finds nothing better and each test row is one call.  A second report
finds all of them stored; its time (samples, look-ups, bootstrap) is taken off.
README.md beside this file says what the columns mean.
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TICK = os.sysconf("SC_CLK_TCK")
TUNING_ROWS = 20            # train and validation together; the least that a run takes is 10
BUDGET = 60                 # rollouts; enough for a proposal or two
REFERENCE = ('"mode": "reference", "hard_budget": true, "skip_known_texts": true, "ascending_order": true,'
             ' "zero_mean_merge": true, "expand_placeholders": false, "reuse_rollouts": true')


class Mock:
    """The mock LM server; ends with this process."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, os.path.join(ROOT, "test/mock/server.py")],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def ask(self, path, data=None):
        """GET, or POST with data."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", data) as answer:
            return json.load(answer)


class Session:
    """A psql, that is a backend."""

    def __init__(self, stderr=None):
        self.process = subprocess.Popen(
            ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", "postgres"], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
            env={**os.environ, "PGOPTIONS": "-c client_min_messages=warning"})
        self.pid = int(self.run("SELECT pg_backend_pid()"))

    def run(self, sql):
        """The output of some SQL."""
        self.process.stdin.write(sql + ";\n\\echo end-of-output\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line == "end-of-output\n":
                return "".join(lines)
            lines.append(line)
        sys.exit("psql gave up; its message is above")

    def close(self):
        """Disconnect."""
        self.process.stdin.close()
        self.process.wait()


def keep_still(session):
    """Have checkpoints and vacuum come when the bench says so, as they would show in the figures of one measurement and not of another."""
    for setting in ("max_wal_size = '64GB'", "checkpoint_timeout = '1h'", "autovacuum = off"):
        session.run(f"ALTER SYSTEM SET {setting}")
    session.run("SELECT pg_reload_conf()")


def wal_bytes(session):
    """Written since ever."""
    return int(session.run("SELECT pg_current_wal_insert_lsn() - '0/0'"))


def cpu_seconds(pid):
    """User and system time of a process."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory_mb(pid, what):
    """VmRSS or VmHWM of a process."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(what + ":"))


class Stopwatch:
    """Elapsed and CPU seconds of what stands in its block: a client and the mock."""

    def __init__(self, client_cpu, mock):
        self.client_cpu, self.mock = client_cpu, mock

    def read(self):
        """Time, the client's and the mock's CPU."""
        return (time.perf_counter(), self.client_cpu(), cpu_seconds(self.mock.process.pid))

    def __enter__(self):
        self.start = self.read()
        return self

    def __exit__(self, *_):
        self.elapsed, self.cpu, self.mock_cpu = (b - a for a, b in zip(self.start, self.read()))


class Client(asyncio.Protocol):
    """The baseline: one keep-alive connection that takes requests from a shared list."""

    def __init__(self, bodies, headers):
        self.bodies, self.headers = bodies, headers
        self.done = asyncio.get_running_loop().create_future()
        self.buffer = b""

    def connection_made(self, transport):
        self.transport = transport
        self.send()

    def send(self):
        """The next request, or the end."""
        if not self.bodies:
            self.done.set_result(None)
            self.transport.close()
            return
        body = self.bodies.pop()
        self.transport.write(self.headers % len(body) + body)

    def data_received(self, data):
        self.buffer += data
        head, blank, rest = self.buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        if len(rest) < length:
            return
        self.buffer = b""
        self.take(json.loads(rest)["choices"][0]["message"]["content"])
        self.send()

    def take(self, content):
        """What was answered; here it only has to be there."""

    def connection_lost(self, exc):
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the mock hung up"))


async def send_all(port, bodies, concurrency, client=Client, tls=None):
    """Send the bodies over so many connections."""
    loop = asyncio.get_running_loop()
    headers = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % port +
               b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n")
    clients = [(await loop.create_connection(lambda: client(bodies, headers), "127.0.0.1", port, ssl=tls))[1]
               for _ in range(concurrency)]
    await asyncio.gather(*(client.done for client in clients))


def own_cpu():
    """User and system time of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def world(*arguments):
    """What test/mock/world.py writes."""
    return subprocess.run([sys.executable, os.path.join(ROOT, "test/mock/world.py"), *map(str, arguments)],
                          check=True, capture_output=True, text=True).stdout


def make_labels(session, documents, words):
    """Labelled documents; all but a few are for the test split."""
    session.run("CREATE EXTENSION gepa")
    session.run(world("--sql", "labels", "--rows", documents + TUNING_ROWS, "--words", words))
    # the least a run needs: each label on each side
    session.run(f"""UPDATE labels l SET part = CASE WHEN n > {TUNING_ROWS // 2} THEN 'test'
                        WHEN n % 2 = 0 THEN 'train' ELSE 'val' END
                    FROM (SELECT id, row_number() OVER (PARTITION BY keep ORDER BY id) AS n FROM labels) o
                    WHERE o.id = l.id""")
    session.run("""SELECT gepa.create_dataset('labels', source => 'labels', key => 'id', inputs => '{body}',
                       label => 'keep', split => 'part')""")
    return int(session.run("SELECT count(*) FROM labels WHERE part = 'test'"))


def make_judge(session, name, lm):
    """A judge with a finished run whose best candidate is the seed."""
    prompt = f"Is this worth keeping? ({name})\n{world('--rule')}"
    session.run(f"SELECT gepa.create_judge('{name}', lm => '{lm}', prompt => $${prompt}$$)")
    run = session.run(f"SELECT gepa.start('{name}', dataset => 'labels', reflection_lm => NULL, budget => {BUDGET},"
                      f" options => '{{{REFERENCE}}}')")
    status = session.run(f"SELECT gepa.wait({run})").strip()
    if status != "finished":
        sys.exit(f"the run of {name} is {status}")


def measure(mock, name, documents, concurrency):
    """One run of each; a dictionary of figures."""
    session = Session()
    mock.ask("/_reset", b"")
    before_mb = memory_mb(session.pid, "VmRSS")
    with Stopwatch(lambda: cpu_seconds(session.pid), mock) as whole:
        accuracy = session.run(f"SELECT tuned FROM gepa.report('{name}') WHERE metric = 'accuracy'")
    peak_mb = memory_mb(session.pid, "VmHWM")
    journal = mock.ask("/_journal?full=1")
    if journal["answered"] != documents or journal["peak"] != concurrency:
        sys.exit(f"{journal['answered']} calls answered, at most {journal['peak']} at a time")
    if float(accuracy) != 1:
        sys.exit(f"the mock knows the rule, and yet accuracy is {accuracy}")
    with Stopwatch(lambda: cpu_seconds(session.pid), mock) as rest:
        session.run(f"SELECT count(*) FROM gepa.report('{name}')")
    session.close()

    bodies = [json.dumps({"model": r["model"], "messages": r["messages"], **r["request"]},
                         ensure_ascii=False, separators=(",", ":")).encode() for r in journal["list"]]
    size = statistics.mean(map(len, bodies))
    mock.ask("/_reset", b"")
    with Stopwatch(own_cpu, mock) as plain:
        asyncio.run(send_all(mock.port, bodies, concurrency))
    seconds = whole.elapsed - rest.elapsed
    return {"rate": documents / seconds, "baseline": documents / plain.elapsed,
            "whole": documents / whole.elapsed, "request": size,
            "cpu": (whole.cpu - rest.cpu) / documents * 1e6, "baseline_cpu": plain.cpu / documents * 1e6,
            "mock": whole.mock_cpu / seconds, "baseline_mock": plain.mock_cpu / plain.elapsed,
            "before": before_mb, "peak": peak_mb}


def show(latency, ideal, runs):
    """One line: medians of the runs."""
    m = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    print(f"{latency:7d} {ideal:7.0f} {m['rate']:7.0f} {m['baseline']:9.0f} "
          f"{statistics.median(r['rate'] / r['baseline'] for r in runs):6.2f} "
          f"{m['rate'] / ideal:7.1%} {m['baseline'] / ideal:9.1%} "
          f"{m['cpu']:7.0f} {m['baseline_cpu']:9.0f} {m['mock']:6.0%} {m['baseline_mock']:9.0%} "
          f"{m['before']:6.1f} {m['peak']:6.1f} {m['whole']:7.0f}", flush=True)


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench/batch")
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--words", type=int, default=200, help="mean length of a document")
    parser.add_argument("--logprobs", action="store_true", help="ask for log-probabilities: larger answers")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("latency", type=int, nargs="*", default=[20, 50, 200], metavar="LATENCY_MS")
    options = parser.parse_args()

    mock = Mock()
    session = Session()
    documents = make_labels(session, options.documents, options.words)
    print(f"{documents} documents, {options.concurrency} at a time, median of {options.repeat} runs")
    print("latency   ideal    docs per second   ratio  share of ideal    CPU us/document  mock's CPU"
          "       memory MB  report")
    print("     ms   docs/s    gepa  baseline          gepa  baseline    gepa  baseline"
          "   gepa  baseline before   peak  docs/s")
    for latency in options.latency:
        lm = f"mock{latency}"
        session.run(f"""CREATE SERVER {lm} FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url
                            'http://127.0.0.1:{mock.port}/v1', model 'judge-rules+slow-{latency}',
                            allow_private_address 'true', max_concurrency '{options.concurrency}',
                            logprobs '{options.logprobs}')""")
        runs = []
        for number in range(options.repeat):
            name = f"{lm}_{number}"
            make_judge(session, name, lm)
            runs.append(measure(mock, name, documents, options.concurrency))
        show(latency, options.concurrency / (latency / 1000), runs)
    session.close()


if __name__ == "__main__":
    main()
