"""A numpy pipeline: one Python thread multiplies large matrices, and BLAS spreads that over the CPUs.

There is but one Python thread. OpenBLAS has threads of its own, which Python does not know of, and
numpy lets go of the GIL while it multiplies: both CPUs are busy, as they should be.

Verdict: native-parallel
Healthy: yes
Packages: numpy
"""
from __future__ import annotations

import signal
import sys
import time

import numpy as np

SIZE = 1400
LAYERS = 4


class Layer:
    """A dense layer without training: weights and an offset."""

    def __init__(self, dice, size):
        self.weights = dice.standard_normal((size, size)) / np.sqrt(size)
        self.offset = dice.standard_normal(size) / 10
        self.buffer = np.empty((size, size))

    def forward(self, batch):
        np.matmul(batch, self.weights, out=self.buffer)
        self.buffer += self.offset
        np.maximum(self.buffer, 0, out=self.buffer)
        return self.buffer


class Network:
    def __init__(self, seed=0):
        dice = np.random.default_rng(seed)
        self.layers = [Layer(dice, SIZE) for _ in range(LAYERS)]

    def forward(self, batch):
        for layer in self.layers:
            batch = layer.forward(batch)
        return batch


class Statistics:
    """Running mean and largest value of what came out."""

    def __init__(self):
        self.batches = 0
        self.mean = 0.0
        self.peak = -np.inf

    def add(self, output):
        self.batches += 1
        self.mean += (float(output[::10].mean()) - self.mean) / self.batches
        self.peak = max(self.peak, float(output[::10].max()))

    def __str__(self):
        return "%d batches, mean %.4f, peak %.3f" % (self.batches, self.mean, self.peak)


def batches(seed=1, distinct=3):
    """The same few batches in turn: reading them is not what this is about."""
    dice = np.random.default_rng(seed)
    made = [dice.standard_normal((SIZE, SIZE)) for _ in range(distinct)]
    while True:
        yield from made


def infer(network, seconds):
    statistics = Statistics()
    deadline = time.monotonic() + seconds
    for batch in batches():
        statistics.add(network.forward(batch))
        if statistics.batches == 1:
            print("ready", flush=True)
        if time.monotonic() > deadline:
            return statistics


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(infer(Network(), seconds), file=sys.stderr)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
