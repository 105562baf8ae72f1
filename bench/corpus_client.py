#!/usr/bin/env python3
"""What bench/corpus compares jobs with: the script that one writes without gepa.

    corpus_client.py HTTP WRITE --port N --concurrency N --template FILE

HTTP   asyncio: bare protocol of the standard library; aiohttp: what people write
WRITE  table: COPY into script_verdicts (id, keep); column: UPDATE corpus.keep

It reads table corpus with a server-side cursor in one transaction, sends gepa's own request with the
document put in, and writes the answers back over a second connection, a thousand at a time.  It
prints its CPU seconds and how many answers were "true" as JSON.
"""

import argparse
import asyncio
import json
import os

import asyncpg

from batch import own_cpu

PATH = "/v1/chat/completions"
MARK = "@DOCUMENT@"
BATCH = 1000
END = object()


class Connection(asyncio.Protocol):
    """Keep-alive HTTP, one request at a time."""

    def __init__(self, port):
        self.head = (b"POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
                     b"Content-Length: %%d\r\n\r\n" % (PATH.encode(), port))
        self.buffer, self.answer = b"", None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        head, blank, rest = self.buffer.partition(b"\r\n\r\n")
        if blank and len(rest) >= int(head.lower().partition(b"content-length:")[2].split()[0]):
            self.buffer = b""
            self.answer.set_result(rest)

    def connection_lost(self, exc):
        if self.answer and not self.answer.done():
            self.answer.set_exception(exc or ConnectionError("the mock hung up"))

    async def post(self, body):
        """The body of the answer."""
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(self.head % len(body) + body)
        return await self.answer


class Aiohttp:
    """The same by the package."""

    def __init__(self, session, port):
        self.session, self.url = session, f"http://127.0.0.1:{port}{PATH}"

    async def post(self, body):
        """The body of the answer."""
        async with self.session.post(self.url, data=body, headers={"Content-Type": "application/json"}) as answer:
            return await answer.read()


class Script:
    """Reads, calls, writes."""

    def __init__(self, options):
        self.options = options
        with open(options.template, encoding="utf-8") as file:
            self.template = json.load(file)
        # bounded, as the window of a job is
        self.documents = asyncio.Queue(4 * options.concurrency)
        self.answers = asyncio.Queue()
        self.positive = 0

    def connect(self):
        """To the database."""
        return asyncpg.connect(host=os.environ["PGHOST"], port=int(os.environ["PGPORT"]), user=os.environ["PGUSER"],
                               database="postgres")

    async def read(self):
        """The corpus, through a cursor."""
        connection = await self.connect()
        async with connection.transaction():
            async for row in connection.cursor("SELECT id, body FROM corpus ORDER BY id", prefetch=BATCH):
                await self.documents.put(row)
        for _ in range(self.options.concurrency):
            await self.documents.put(END)
        await connection.close()

    async def call(self, client):
        """One of the calls in flight."""
        while (row := await self.documents.get()) is not END:
            messages = [{**message, "content": message["content"].replace(MARK, row["body"])}
                        for message in self.template["messages"]]
            answer = json.loads(await client.post(json.dumps({**self.template, "messages": messages}).encode()))
            keep = json.loads(answer["choices"][0]["message"]["content"])["label"] == "true"
            self.positive += keep
            await self.answers.put((row["id"], keep))

    async def put(self, connection, rows):
        """Some answers."""
        if self.options.write == "table":
            await connection.copy_records_to_table("script_verdicts", records=rows)
        else:
            await connection.execute("UPDATE corpus SET keep = v.keep FROM unnest($1::int[], $2::bool[]) v(id, keep)"
                                     " WHERE corpus.id = v.id", [row[0] for row in rows], [row[1] for row in rows])

    async def write(self):
        """All answers, until the end."""
        connection, rows = await self.connect(), []
        while (row := await self.answers.get()) is not END:
            rows.append(row)
            if len(rows) == BATCH:
                await self.put(connection, rows)
                rows = []
        if rows:
            await self.put(connection, rows)
        await connection.close()

    async def run(self, clients):
        """All three side by side."""
        reader, writer = asyncio.create_task(self.read()), asyncio.create_task(self.write())
        await asyncio.gather(*(self.call(client) for client in clients))
        await self.answers.put(END)
        await asyncio.gather(reader, writer)

    async def main(self):
        """With one client or the other."""
        port, n = self.options.port, self.options.concurrency
        if self.options.http == "asyncio":
            loop = asyncio.get_running_loop()
            await self.run([(await loop.create_connection(lambda: Connection(port), "127.0.0.1", port))[1] for _ in range(n)])
            return
        import aiohttp
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=n)) as session:
            await self.run([Aiohttp(session, port)] * n)


def main():
    """Run and report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("http", choices=("asyncio", "aiohttp"))
    parser.add_argument("write", choices=("table", "column"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--template", required=True)

    async def run():
        script = Script(parser.parse_args())
        await script.main()
        return script.positive

    positive = asyncio.run(run())
    print(json.dumps({"cpu": own_cpu(), "positive": positive}))


if __name__ == "__main__":
    main()
