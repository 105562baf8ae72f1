#!/usr/bin/env python3
"""What bench/judge compares the node with: one client, in a process of its own.

    judge_clients.py KIND --port N --concurrency N --documents FILE --template FILE [--ca FILE]

asyncio  bare protocol of the standard library, keep-alive: about the fastest that Python can
aiohttp  what people write: a semaphore and gather()
threads  a pool of threads, each with a connection of the standard library
lotus    sem_filter of the LOTUS package, which makes its own prompt

The first three send gepa's own request with the document put in, and count the answers "true". A
client is warmed up by one request. It prints seconds, CPU seconds and that count as JSON.
"""

import argparse
import asyncio
import concurrent.futures
import http.client
import json
import os
import ssl
import sys
import threading
import time
import types

from batch import Client, own_cpu, send_all

PATH = "/v1/chat/completions"
HEADERS = {"Content-Type": "application/json"}
MARK = "@DOCUMENT@"


class Work:
    """Documents that become requests as they are taken, and what was answered."""

    def __init__(self, options):
        with open(options.documents, encoding="utf-8") as file:
            self.documents = file.read().splitlines()
        with open(options.template, encoding="utf-8") as file:
            self.template = json.load(file)
        self.concurrency, self.port = options.concurrency, options.port
        self.tls = ssl.create_default_context(cafile=options.ca) if options.ca else None
        self.url = f"http{'s' if self.tls else ''}://localhost:{self.port}"
        self.positive = 0

    def body(self, document):
        """The request for a document."""
        messages = [{**message, "content": message["content"].replace(MARK, document)}
                    for message in self.template["messages"]]
        return json.dumps({**self.template, "messages": messages}).encode()

    def take(self, content):
        """An answer."""
        self.positive += json.loads(content)["label"] == "true"

    def take_body(self, body):
        """An answer as it came."""
        self.take(json.loads(body)["choices"][0]["message"]["content"])

    # what batch.py's send_all() needs

    def __bool__(self):
        return bool(self.documents)

    def pop(self):
        """The next request."""
        return self.body(self.documents.pop())


def run_asyncio(work):
    """The client of bench/batch."""
    class Counting(Client):
        """It keeps what is answered."""

        def take(self, content):
            work.take(content)

    asyncio.run(send_all(work.port, work, work.concurrency, Counting, work.tls))


def run_aiohttp(work):
    """One task a document."""
    import aiohttp

    async def call(session, places, document):
        async with places:
            async with session.post(work.url + PATH, data=work.body(document), headers=HEADERS) as answer:
                work.take_body(await answer.read())

    async def run():
        places = asyncio.Semaphore(work.concurrency)
        connector = aiohttp.TCPConnector(limit=work.concurrency, ssl=work.tls or False)
        async with aiohttp.ClientSession(connector=connector) as session:
            await asyncio.gather(*(call(session, places, document) for document in work.documents))

    asyncio.run(run())


def run_threads(work):
    """One thread for each place."""
    mine = threading.local()

    def call(document):
        if not hasattr(mine, "connection"):
            mine.connection = http.client.HTTPSConnection("localhost", work.port, context=work.tls) if work.tls \
                else http.client.HTTPConnection("localhost", work.port)
        mine.connection.request("POST", PATH, work.body(document), HEADERS)
        return mine.connection.getresponse().read()

    with concurrent.futures.ThreadPoolExecutor(work.concurrency) as pool:
        for body in pool.map(call, work.documents):
            work.take_body(body)


class Absent(types.ModuleType):
    """Stands for a package that LOTUS imports and sem_filter does not use (torch has gigabytes)."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return object


def prepare_lotus(work):
    """Import it, and set it up; that takes seconds."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"    # else it asks the internet
    for name in ("sentence_transformers", "faiss", "torch"):
        sys.modules[name] = Absent(name)
    import lotus
    import pandas
    from lotus.models import LM

    lotus.settings.configure(lm=LM(model="openai/judge", api_base=work.url + "/v1", api_key="none",
                                   max_batch_size=work.concurrency, max_tokens=20))

    def run(work):
        frame = pandas.DataFrame({"body": work.documents})
        work.positive = len(frame.sem_filter("The {body} is worth a place."))

    return run


def main():
    """Warm up, run, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("asyncio", "aiohttp", "threads", "lotus"))
    for name in ("port", "concurrency"):
        parser.add_argument("--" + name, type=int, required=True)
    for name in ("documents", "template"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--ca")
    options = parser.parse_args()

    work = Work(options)
    run = prepare_lotus(work) if options.kind == "lotus" else globals()["run_" + options.kind]
    documents, work.documents = work.documents, ["warm up"]
    run(work)
    work.documents, work.positive = documents, 0
    print("ready", flush=True)
    sys.stdin.readline()
    start, cpu = time.perf_counter(), own_cpu()
    run(work)
    print(json.dumps({"seconds": time.perf_counter() - start, "cpu": own_cpu() - cpu, "positive": work.positive}))


if __name__ == "__main__":
    main()
