"""Spinners that count their turns: shares.py THREADS. Each line on standard input is answered with the counts."""

import sys
import threading

from common import begin, leaf, ready


def main(threads):
    begin()
    counts = [0] * threads

    def spin(number):
        while True:
            leaf()
            counts[number] += 1

    for number in range(threads):
        threading.Thread(target=spin, args=(number,), name=f"spinner-{number}", daemon=True).start()
    ready()
    for _ in sys.stdin:
        print(*counts, flush=True)


main(int(sys.argv[1]))
