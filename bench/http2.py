#!/usr/bin/env python3
"""Measure HTTP/2 beside HTTP/1.1 through nginx with TLS; run by bench/http2.

The work is that of bench/batch: gepa.report() over a test split.  Here a
session makes it from nothing, so the connections it has to open count; with
HTTP/2 that is one.  README.md beside this file says what the columns mean.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time

from batch import Mock, Session, Stopwatch, cpu_seconds, make_judge, make_labels

CONF = """worker_processes 1;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    log_format calls '$connection $server_protocol';
    access_log {folder}/calls.log calls;
    {paths}
    http2_max_concurrent_streams 1024;
    keepalive_requests 1000000;
    upstream mock {{ server 127.0.0.1:{mock}; keepalive 1024; }}
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {folder}/front.crt;
        ssl_certificate_key {folder}/front.key;
        location / {{
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""


class Front:
    """nginx in front of the mock; ends with this process."""

    def __init__(self, mock):
        self.folder = tempfile.mkdtemp(dir=os.environ["HOME"])
        self.port = mock.port + 1 if mock.port < 60000 else mock.port - 1
        self.ca = os.path.join(self.folder, "front.crt")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost", "-keyout", os.path.join(self.folder, "front.key"),
                        "-out", self.ca], check=True, capture_output=True)
        paths = " ".join(f"{what}_temp_path {self.folder}/{what};"
                         for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        conf = os.path.join(self.folder, "nginx.conf")
        with open(conf, "w", encoding="ascii") as file:
            file.write(CONF.format(folder=self.folder, paths=paths, mock=mock.port, port=self.port))
        self.process = subprocess.Popen(["/usr/sbin/nginx", "-p", self.folder, "-e", "error.log", "-c", conf])
        time.sleep(0.5)

    def connections(self):
        """How many connections the calls since the last question came over."""
        path = os.path.join(self.folder, "calls.log")
        with open(path, "r+", encoding="ascii") as file:
            found = {line.split()[0] for line in file}
            file.truncate(0)
        return len(found)

    def stop(self):
        """End it."""
        self.process.terminate()
        self.process.wait()


def measure(mock, front, name):
    """One report of a fresh session: (seconds, CPU seconds, connections)."""
    session = Session()
    front.connections()
    with Stopwatch(lambda: cpu_seconds(session.pid), mock) as whole:
        session.run(f"SELECT count(*) FROM gepa.report('{name}')")
    used = front.connections()
    with Stopwatch(lambda: cpu_seconds(session.pid), mock) as rest:
        session.run(f"SELECT count(*) FROM gepa.report('{name}')")
    session.close()
    return whole.elapsed - rest.elapsed, whole.cpu - rest.cpu, used


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=500)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("latency", type=int, nargs="*", default=[5, 50])
    options = parser.parse_args()
    mock = Mock()
    front = Front(mock)
    session = Session()
    documents = make_labels(session, options.documents, 20)
    print(f"{documents} documents, {options.concurrency} at a time, median of {options.repeat}")
    print(f"{'latency':>8} {'version':>8} {'docs/s':>8} {'CPU us/doc':>11} {'connections':>12} {'ratio':>6}")
    for latency in options.latency:
        rates = {}
        for version in ("1.1", "2"):
            lm = f"lm_{latency}_{version.replace('.', '_')}"
            session.run(f"""CREATE SERVER {lm} FOREIGN DATA WRAPPER gepa_lm OPTIONS (model 'judge-rules+slow-{latency}',
                base_url 'https://localhost:{front.port}/v1', ca_file '{front.ca}', http_version '{version}',
                allow_private_address 'true', max_concurrency '{options.concurrency}')""")
        for turn in range(options.repeat):
            for version in ("1.1", "2"):
                lm = f"lm_{latency}_{version.replace('.', '_')}"
                make_judge(session, f"{lm}_{turn}", lm)
                rates.setdefault(version, []).append(measure(mock, front, f"{lm}_{turn}"))
        ratio = statistics.median(old[0] / new[0] for old, new in zip(rates["1.1"], rates["2"]))
        for version, figures in rates.items():
            seconds, cpu, used = (statistics.median(column) for column in zip(*figures))
            print(f"{latency:>5} ms {version:>8} {documents / seconds:>8.0f} {cpu / documents * 1e6:>11.0f} {used:>12.0f} "
                  f"{ratio if version == '2' else 1:>6.2f}")
    session.close()
    front.stop()


if __name__ == "__main__":
    main()
