"""A login service with aiohttp that checks passwords with bcrypt in its handlers.

bcrypt is made to be slow: a quarter of a second at twelve rounds. It lets go of the GIL, but it is
called on the event loop, so nobody else is served meanwhile; run_in_executor is what is missing.

Verdict: event-loop-blocked
Healthy: no
Packages: aiohttp, bcrypt
"""
from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import threading

import bcrypt
from aiohttp import web

ROUNDS = 12
USERS = {"ada": b"analytical", "grace": b"compiler", "linus": b"kernel"}


class Accounts:
    """Users with their passwords' hashes, and the sessions that were opened."""

    def __init__(self):
        self.hashes = {
            name: bcrypt.hashpw(password, bcrypt.gensalt(ROUNDS)) for name, password in USERS.items()
        }
        self.sessions = {}

    def check(self, name, password):
        stored = self.hashes.get(name)
        return stored is not None and bcrypt.checkpw(password.encode(), stored)

    def open_session(self, name):
        if len(self.sessions) > 1000:
            self.sessions.clear()
        token = secrets.token_urlsafe(16)
        self.sessions[token] = name
        return token


class LoginService:
    def __init__(self, accounts):
        self.accounts = accounts
        self.attempts = 0

    def application(self):
        app = web.Application()
        app.router.add_post("/login", self.login)
        app.router.add_get("/whoami", self.who_am_i)
        return app

    async def login(self, request):
        form = await request.json()
        self.attempts += 1
        if not self.accounts.check(form["name"], form["password"]):
            raise web.HTTPForbidden(text="wrong name or password")
        return web.json_response({"token": self.accounts.open_session(form["name"])})

    async def who_am_i(self, request):
        name = self.accounts.sessions.get(request.query.get("token"))
        return web.json_response({"name": name})


async def serve(seconds):
    service = LoginService(Accounts())
    runner = web.AppRunner(service.application(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.call_later(seconds, stopped.set)
    command = [sys.executable, __file__, "--users", str(runner.addresses[0][1])]
    users = subprocess.Popen(command, stdin=subprocess.PIPE)
    while service.attempts < 3 and not stopped.is_set():
        await asyncio.sleep(0.1)
    print("ready", flush=True)
    await stopped.wait()
    users.stdin.close()
    users.wait()
    await runner.cleanup()


async def run_users(port):
    async def user(name, password, pause):
        body = json.dumps({"name": name, "password": password}).encode()
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /login HTTP/1.1\r\nHost: l\r\nContent-Type: application/json\r\n"
                         b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await reader.read()
            writer.close()
            await asyncio.sleep(pause)

    people = [(name, password.decode()) for name, password in USERS.items()] + [("ada", "guess")]
    await asyncio.gather(*[user(*person, pause=0.3) for person in people])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--users"]:
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
        asyncio.run(run_users(int(sys.argv[2])))
    else:
        asyncio.run(serve(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0))
