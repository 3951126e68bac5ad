"""Counts the words of many documents in a ThreadPoolExecutor of four, in the hope of more speed.

Stemming and counting are pure Python, so the four threads take turns with the GIL: it is no faster
than one thread. Processes would use the other cores.

Verdict: gil-bound
Verdict without a GIL: cpu-bound
Healthy: no
"""
from __future__ import annotations

import collections
import random
import signal
import string
import sys
import time
from concurrent.futures import ThreadPoolExecutor

THREADS = 4
SUFFIXES = ("ations", "ation", "ings", "ing", "edly", "ed", "ly", "ness", "s")
STOP_WORDS = {"the", "a", "of", "and", "to", "in"}


def make_documents(count):
    dice = random.Random(17)
    stems = ["".join(dice.choices(string.ascii_lowercase, k=dice.randint(3, 8)))
             for _ in range(800)]
    documents = []
    for _ in range(count):
        words = [dice.choice(stems) + dice.choice(SUFFIXES + ("",)) for _ in range(1500)]
        documents.append(" ".join(word + dice.choice(["", "", ",", "."]) for word in words))
    return documents


def stem(word):
    for suffix in SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) > 2:
            return word[:-len(suffix)]
    return word


def tokens(text):
    word = []
    for letter in text.lower():
        if letter.isalpha():
            word.append(letter)
        elif word:
            yield "".join(word)
            word = []
    if word:
        yield "".join(word)


def count_words(text):
    counts = collections.Counter()
    for token in tokens(text):
        if token not in STOP_WORDS:
            counts[stem(token)] += 1
    return counts


class Index:
    """Which words are common in all the documents."""

    def __init__(self):
        self.totals = collections.Counter()
        self.documents = 0

    def add(self, counts):
        self.totals.update(counts)
        self.documents += 1

    def common(self, count=5):
        return self.totals.most_common(count)


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    documents = make_documents(60)
    deadline = time.monotonic() + seconds
    index = Index()
    with ThreadPoolExecutor(THREADS, thread_name_prefix="tokenizer") as pool:
        print("ready", flush=True)
        while time.monotonic() < deadline:
            for counts in pool.map(count_words, documents):
                index.add(counts)
    print(index.documents, index.common(), file=sys.stderr)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
