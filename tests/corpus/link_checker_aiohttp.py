"""Checks the links of a wiki with aiohttp: six workers take addresses from an asyncio.Queue.

Each worker fetches a page (the wiki needs 100 ms), finds its links, and puts new ones into the
bounded queue. A timeout guards every request. The loop waits for the wiki nearly all of the time.

Verdict: io-bound
Healthy: yes
Packages: aiohttp
"""
from __future__ import annotations

import asyncio
import collections
import os
import re
import signal
import subprocess
import sys
import threading

WORKERS = 6
PAGE_TIME = 0.1
LINK = re.compile(r'href="([^"]+)"')


class Crawler:
    def __init__(self, session, base):
        self.session = session
        self.base = base
        self.queue = asyncio.Queue(maxsize=500)
        self.seen = {"/page/0"}
        self.statuses = collections.Counter()

    async def fetch(self, path):
        async with self.session.get(self.base + path) as response:
            self.statuses[response.status] += 1
            return await response.text() if response.status == 200 else ""

    async def worker(self):
        while True:
            path = await self.queue.get()
            try:
                for link in LINK.findall(await self.fetch(path)):
                    if link not in self.seen and not self.queue.full():
                        self.seen.add(link)
                        self.queue.put_nowait(link)
            finally:
                self.queue.task_done()

    async def crawl(self, seconds):
        self.queue.put_nowait("/page/0")
        workers = [asyncio.ensure_future(self.worker()) for _ in range(WORKERS)]
        asyncio.get_running_loop().call_later(1, lambda: print("ready", flush=True))
        try:
            await asyncio.wait_for(self.queue.join(), seconds)
        except asyncio.TimeoutError:
            pass
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)


async def wiki():
    """Pages that each lead to three others; one in ten is missing."""
    async def answer(reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                number = int(re.search(rb"/page/(\d+)", head).group(1))
                await asyncio.sleep(PAGE_TIME)
                links = ['<a href="/page/%d">see</a>' % (number * 3 + n) for n in (1, 2, 3)]
                body = ("<p>text</p>" * 100 + "".join(links)).encode()
                status = b"404 Not Found" if number % 10 == 9 else b"200 OK"
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Type: text/html\r\n"
                             b"Content-Length: %d\r\n\r\n" % len(body) + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


async def check_links(port, seconds):
    import aiohttp

    me = asyncio.current_task()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
    limit = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=limit) as session:
        crawler = Crawler(session, "http://127.0.0.1:%d" % port)
        try:
            await crawler.crawl(seconds)
        except asyncio.CancelledError:
            pass
        print(dict(crawler.statuses), file=sys.stderr)


def main(seconds):
    command = [sys.executable, __file__, "--wiki"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        asyncio.run(check_links(int(server.stdout.readline()), seconds))


if __name__ == "__main__":
    if sys.argv[1:] == ["--wiki"]:
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
        asyncio.run(wiki())
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
