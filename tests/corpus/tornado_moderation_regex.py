"""A Tornado server that checks comments with a regular expression that backtracks without end.

Most comments pass at once. One in a few has a long run of letters that nearly matches: the pattern
with its nested repetition then tries for some tenths of a second, on the event loop.

Verdict: event-loop-blocked
Healthy: no
Packages: tornado
"""
from __future__ import annotations

import asyncio
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading

import tornado.web

CLIENTS = 3
SHOUTING = re.compile(r"^(([A-Z]+)+!?\s?)+!$")
LINKS = re.compile(r"https?://\S+")


class Moderation:
    """The rules, and how many comments met which fate."""

    def __init__(self):
        self.accepted = 0
        self.refused = 0

    def verdict(self, text):
        if len(LINKS.findall(text)) > 2:
            return "too many links"
        if SHOUTING.match(text):
            return "please do not shout"
        return None


class CommentHandler(tornado.web.RequestHandler):
    def initialize(self, moderation):
        self.moderation = moderation

    async def post(self):
        comment = json.loads(self.request.body)
        reason = self.moderation.verdict(comment["text"])
        if reason:
            self.moderation.refused += 1
            self.set_status(422)
            self.finish({"refused": reason})
        else:
            self.moderation.accepted += 1
            self.finish({"accepted": True})

    def log_exception(self, *_):
        pass


class StatisticsHandler(CommentHandler):
    async def get(self):
        self.finish(vars(self.moderation))


def visitor(port, seed):
    """Writes comments, some of them in capitals and nearly without end."""
    dice = random.Random(seed)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while True:
        if dice.random() < 0.3:
            text = "X" * dice.choice([13, 14]) + "?"
        else:
            text = "what a nice article, see https://example.org/%d" % dice.randrange(99)
        body = json.dumps({"text": text, "author": "visitor-%d" % seed})
        try:
            connection.request("POST", "/comments", body)
            connection.getresponse().read()
        except OSError:
            return


def run_visitors(port):
    for seed in range(CLIENTS):
        threading.Thread(target=visitor, args=(port, seed), daemon=True).start()
    sys.stdin.read()
    os._exit(0)


async def serve(seconds):
    moderation = Moderation()
    rules = {"moderation": moderation}
    app = tornado.web.Application(
        [("/comments", CommentHandler, rules), ("/statistics", StatisticsHandler, rules)],
        log_function=lambda handler: None)
    server = app.listen(0, "127.0.0.1")
    port = list(server._sockets.values())[0].getsockname()[1]
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.call_later(seconds, stopped.set)
    command = [sys.executable, __file__, "--visitors", str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE):
        loop.call_later(1.0, lambda: print("ready", flush=True))
        await stopped.wait()
        server.stop()
    print(vars(moderation), file=sys.stderr)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--visitors"]:
        run_visitors(int(sys.argv[2]))
    else:
        asyncio.run(serve(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0))
