"""A Starlette application that searches a catalogue in sqlite, from an async endpoint.

There is no index that would help LIKE '%word%', so a search reads the whole table: some 200 ms, in
which the event loop stands still. A thread (run_in_threadpool), and an index, would put it right.

Verdict: event-loop-blocked
Healthy: no
Packages: starlette, uvicorn
"""
from __future__ import annotations

import http.client
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

BOOKS = 600000
CLIENTS = 3
SYLLABLES = "ba be bi bo ka ke ki ko la le li lo ma me mi mo ra re ri ro".split()
SEARCH = """
    select author, count(*) as found, min(title) from books
    where lower(title || ' ' || author) like ? group by author order by found desc limit 10
"""


class Catalogue:
    def __init__(self, path):
        self.connection = sqlite3.connect(path, check_same_thread=False)

    def fill(self):
        dice = random.Random(6)
        words = ["".join(dice.choices(SYLLABLES, k=3)) for _ in range(900)]
        self.connection.execute("create table books (title text, author text, year integer)")
        rows = ((" ".join(dice.choices(words, k=3)), dice.choice(words[:50]), 1900 + n % 120)
                for n in range(BOOKS))
        with self.connection:
            self.connection.executemany("insert into books values (?, ?, ?)", rows)

    def search(self, word):
        rows = self.connection.execute(SEARCH, ("%" + word + "%",)).fetchall()
        return [{"author": author, "found": found, "first": title} for author, found, title in rows]


def build_app(catalogue):
    async def search(request):
        word = request.query_params.get("q", "")
        if len(word) < 3:
            return JSONResponse({"error": "three letters at least"}, status_code=400)
        return JSONResponse({"q": word, "authors": catalogue.search(word)})

    async def health(request):
        return JSONResponse({"status": "ok"})

    return Starlette(routes=[Route("/search", search), Route("/health", health)])


def reader(port):
    """A reader who searches for one word after the other."""
    dice = random.Random()
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", "/search?q=" + "".join(dice.choices(SYLLABLES, k=2)))
            connection.getresponse().read()
        except OSError:
            return
        finally:
            connection.close()


def run_readers(port):
    for _ in range(CLIENTS):
        threading.Thread(target=reader, args=(port,), daemon=True).start()
    sys.stdin.read()
    os._exit(0)


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        catalogue = Catalogue(os.path.join(folder, "books.db"))
        catalogue.fill()
        config = uvicorn.Config(build_app(catalogue), log_level="error", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        command = [sys.executable, __file__, "--readers", str(listener.getsockname()[1])]
        with subprocess.Popen(command, stdin=subprocess.PIPE):
            for delay, action in ((1.5, lambda: print("ready", flush=True)),
                                  (seconds, lambda: setattr(server, "should_exit", True))):
                timer = threading.Timer(delay, action)
                timer.daemon = True
                timer.start()
            server.run(sockets=[listener])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--readers"]:
        run_readers(int(sys.argv[2]))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
