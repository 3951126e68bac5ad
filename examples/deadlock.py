"""A bank whose two tellers lock the accounts of a transfer in the order in which they are named.

One transfers from Ann to Bob, the other from Bob to Ann. Soon each has the lock that the other
wants, and both wait for ever. The main thread lives on and reports that nothing moves.

Verdict: deadlocked
Finding: deadlock
Recommendation: fix-deadlock
Measures: working
"""

import json
import signal
import sys
import threading
import time

JOURNAL = 0.002
PAUSES = 0.05, 0.057


class Account:
    """An amount, with a lock."""

    def __init__(self, number, balance):
        self.number = number
        self.balance = balance
        self.lock = threading.Lock()


def transfer(giver, taker, amount):
    """Moves an amount between two accounts; no third party ever sees it on both or neither."""
    with giver.lock:
        time.sleep(JOURNAL)  # the journal is written
        with taker.lock:
            giver.balance -= amount
            taker.balance += amount


class Bank:
    """Two accounts, and two tellers who transfer in opposite directions."""

    def __init__(self):
        ann, bob = Account(1, 1000), Account(2, 1000)
        self.transfers = [0, 0]
        self.open = threading.Barrier(3)
        # Daemons: whoever is stuck must not keep the bank from closing.
        self.tellers = [
            threading.Thread(target=self.work, args=(0, ann, bob), name="teller-1", daemon=True),
            threading.Thread(target=self.work, args=(1, bob, ann), name="teller-2", daemon=True),
        ]

    def work(self, teller, giver, taker):
        self.open.wait()
        while True:
            transfer(giver, taker, 5)
            self.transfers[teller] += 1
            time.sleep(PAUSES[teller])  # until the next customer

    def second(self):
        """Lets a second pass; the transfers in it by teller."""
        before = list(self.transfers)
        time.sleep(1)
        return [now - then for now, then in zip(self.transfers, before)]

    def run(self, seconds):
        """How many tellers worked in the last full second, and transfers a second in it."""
        for teller in self.tellers:
            teller.start()
        self.open.wait()
        last = self.second()
        while any(last):
            last = self.second()  # it takes its time now and then
        print("ready", flush=True)
        start = time.monotonic()
        try:
            while time.monotonic() < start + seconds:
                last = self.second()
        except SystemExit:
            pass
        return {"working": sum(count > 0 for count in last), "throughput": sum(last)}


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(json.dumps(Bank().run(seconds)), flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
