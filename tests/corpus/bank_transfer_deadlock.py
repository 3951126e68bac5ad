"""Two clerks transfer money between the same two accounts, in opposite directions.

transfer() locks the account that pays, and then the one that is paid. It went well for a while; then
each clerk had one lock and waited for the other's. Nothing has happened since.

Verdict: deadlocked
Healthy: no
"""
from __future__ import annotations

import logging
import random
import signal
import sys
import threading
import time

log = logging.getLogger("bank")


class Account:
    def __init__(self, owner, balance):
        self.owner = owner
        self.balance = balance
        self.lock = threading.Lock()
        self.history = []

    def book(self, cents, text):
        self.balance += cents
        self.history.append((cents, text))
        del self.history[:-100]


class Bank:
    def __init__(self):
        self.accounts = {name: Account(name, 100000) for name in ("ada", "grace")}
        self.transfers = 0

    def transfer(self, payer, payee, cents):
        """Moves money; both accounts are locked, so that nobody sees it halfway."""
        source, target = self.accounts[payer], self.accounts[payee]
        with source.lock:
            if source.balance < cents:
                return False
            self.print_voucher(payer, payee, cents)
            with target.lock:
                source.book(-cents, "to " + payee)
                target.book(cents, "from " + payer)
                self.transfers += 1
                return True

    @staticmethod
    def print_voucher(payer, payee, cents):
        """What makes the meeting likely: it takes a moment."""
        text = "%s pays %s %d.%02d" % (payer, payee, cents // 100, cents % 100)
        time.sleep(0.002)
        return text.center(60, "-")


class Clerk(threading.Thread):
    def __init__(self, bank, payer, payee):
        super().__init__(name="clerk-of-" + payer, daemon=True)
        self.bank = bank
        self.payer = payer
        self.payee = payee

    def run(self):
        dice = random.Random(self.payer)
        while True:
            if not self.bank.transfer(self.payer, self.payee, dice.randrange(1, 500)):
                log.warning("%s has no money left", self.payer)
            time.sleep(dice.uniform(0, 0.002))


def wait_until_stuck(bank, deadline):
    """Returns when no transfer was made for half a second."""
    last = -1
    while bank.transfers != last and time.monotonic() < deadline:
        last = bank.transfers
        time.sleep(0.5)


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    deadline = time.monotonic() + seconds
    bank = Bank()
    clerks = [Clerk(bank, "ada", "grace"), Clerk(bank, "grace", "ada")]
    for clerk in clerks:
        clerk.start()
    wait_until_stuck(bank, deadline)
    log.info("%d transfers were made", bank.transfers)
    print("ready", flush=True)
    for clerk in clerks:
        clerk.join(max(0.0, deadline - time.monotonic()))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
