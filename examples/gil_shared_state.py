"""Indexes documents in four threads, in pure Python, into one index that all of them share.

Each thread counts the words of a document for itself and takes a lock for the short moment in
which it adds the counts to the index. The threads take turns at the GIL. Processes would each have
an index of their own, to be copied and merged; a free-threaded Python runs the same text on all
CPUs as it is.

Verdict: gil-bound
Finding: gil-contention
Recommendation: free-threaded
Verdict without a GIL: cpu-bound
Measures: throughput
"""

import json
import random
import signal
import sys
import threading
import time

THREADS = 4
DOCUMENTS, LENGTH, VOCABULARY = 64, 4000, 150


def write_documents():
    """Each has words of its own and some that are in all of them."""
    dice = random.Random(7)
    words = ["".join(dice.choices("abcdefghijklmnop", k=8)) for _ in range(4 * VOCABULARY)]
    documents = []
    for _ in range(DOCUMENTS):
        known = dice.sample(words, VOCABULARY)
        documents.append(" ".join(dice.choices(known, k=LENGTH)))
    return documents


def count_words(text):
    """How often each word is in the text."""
    counts = {}
    for word in text.split():
        counts[word] = counts.get(word, 0) + 1
    return counts


class Index:
    """In which documents each word is, and how often."""

    def __init__(self):
        self.lock = threading.Lock()
        self.postings = {}
        self.additions = 0

    def add(self, document, counts):
        with self.lock:
            for word, count in counts.items():
                self.postings.setdefault(word, {})[document] = count
            self.additions += 1


class Indexer:
    """Indexes the documents again and again; each thread takes every fourth."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.stopped = False
        self.documents = write_documents()
        self.index = Index()
        self.started = threading.Barrier(THREADS + 1)
        self.threads = [
            threading.Thread(target=self.work, args=(number,), name="index-%d" % number)
            for number in range(THREADS)
        ]

    def work(self, number):
        self.started.wait()
        deadline = time.monotonic() + self.seconds
        while True:
            for document in range(number, DOCUMENTS, THREADS):
                if self.stopped or time.monotonic() > deadline:
                    return
                self.index.add(document, count_words(self.documents[document]))

    def run(self):
        """Documents a second."""
        for thread in self.threads:
            thread.start()
        self.started.wait()
        start = time.monotonic()
        print("ready", flush=True)
        try:
            self.join()
        except SystemExit:
            self.stopped = True
            self.join()
        return self.index.additions / (time.monotonic() - start)

    def join(self):
        for thread in self.threads:
            thread.join()


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(json.dumps({"throughput": Indexer(seconds).run()}), flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
