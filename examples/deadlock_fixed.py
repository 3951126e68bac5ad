"""The bank of deadlock.py, whose tellers lock accounts in one order: that of their numbers.

Whoever has the first lock gets the second, since nobody who has the second can want the first.
At the end the tellers are told to go home, and waited for, though not for ever.

Verdict: idle
Finding: none
Recommendation: keep
Measures: working
"""

import json
import signal
import sys
import threading
import time

JOURNAL = 0.002
PAUSES = 0.05, 0.057
PATIENCE = 5.0


class Account:
    """An amount, with a lock."""

    def __init__(self, number, balance):
        self.number = number
        self.balance = balance
        self.lock = threading.Lock()


def transfer(giver, taker, amount):
    """Moves an amount between two accounts; no third party ever sees it on both or neither."""
    first, second = sorted([giver, taker], key=lambda account: account.number)
    with first.lock:
        time.sleep(JOURNAL)  # the journal is written
        with second.lock:
            giver.balance -= amount
            taker.balance += amount


class Bank:
    """Two accounts, and two tellers who transfer in opposite directions."""

    def __init__(self):
        ann, bob = Account(1, 1000), Account(2, 1000)
        self.transfers = [0, 0]
        self.open = threading.Barrier(3)
        self.closing = threading.Event()
        self.tellers = [
            threading.Thread(target=self.work, args=(0, ann, bob), name="teller-1"),
            threading.Thread(target=self.work, args=(1, bob, ann), name="teller-2"),
        ]

    def work(self, teller, giver, taker):
        self.open.wait()
        while not self.closing.wait(PAUSES[teller]):  # until the next customer
            transfer(giver, taker, 5)
            self.transfers[teller] += 1

    def second(self):
        """Lets a second pass; the transfers in it by teller."""
        before = list(self.transfers)
        time.sleep(1)
        return [now - then for now, then in zip(self.transfers, before)]

    def close(self):
        """Sends the tellers home."""
        self.closing.set()
        for teller in self.tellers:
            teller.join(PATIENCE)

    def run(self, seconds):
        """How many tellers worked in the last full second, and transfers a second in it."""
        for teller in self.tellers:
            teller.start()
        self.open.wait()
        last = [0, 0]
        try:
            last = self.second()
            print("ready", flush=True)
            start = time.monotonic()
            while time.monotonic() < start + seconds:
                last = self.second()
        except SystemExit:
            pass
        finally:
            self.close()
        return {"working": sum(count > 0 for count in last), "throughput": sum(last)}


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(json.dumps(Bank().run(seconds)), flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
