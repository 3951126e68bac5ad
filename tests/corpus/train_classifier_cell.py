"""A cell that trains a small classifier: scikit-learn's SGD on made-up mails, epoch by epoch.

BLAS is limited to one thread. The features come from numpy, the fitting runs in compiled code of one
thread; what the model needs is one core, and it has it.

Verdict: cpu-bound
Healthy: yes
Packages: scikit-learn, numpy
"""
from __future__ import annotations

import os
import signal
import sys
import time

os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

MAILS = 20000
FEATURES = 40


class Dataset:
    """Mails as vectors: two overlapping clouds, some of the labels wrong."""

    def __init__(self, seed):
        dice = np.random.default_rng(seed)
        labels = dice.integers(0, 2, MAILS)
        centres = dice.normal(0, 0.4, (2, FEATURES))
        vectors = centres[labels] + dice.normal(0, 1, (MAILS, FEATURES))
        flipped = dice.random(MAILS) < 0.05
        self.labels = np.where(flipped, 1 - labels, labels)
        self.vectors = vectors

    def split(self):
        parts = train_test_split(self.vectors, self.labels, test_size=0.2, random_state=1)
        scaler = StandardScaler().fit(parts[0])
        return scaler.transform(parts[0]), scaler.transform(parts[1]), parts[2], parts[3]


class Training:
    def __init__(self, alpha):
        self.model = SGDClassifier(loss="log_loss", alpha=alpha, random_state=0)
        self.history = []

    def fit(self, data, epochs):
        train_x, test_x, train_y, test_y = data.split()
        for _ in range(epochs):
            self.model.partial_fit(train_x, train_y, classes=[0, 1])
            self.history.append(accuracy_score(test_y, self.model.predict(test_x)))
        return max(self.history)


def search(data, deadline):
    """A small grid search, repeated until the time is over."""
    best = (0.0, None)
    while time.monotonic() < deadline:
        for alpha in (1e-5, 1e-4, 1e-3, 1e-2):
            score = Training(alpha).fit(data, epochs=10)
            best = max(best, (score, alpha))
            if time.monotonic() > deadline:
                break
    return best


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    data = Dataset(seed=3)
    Training(1e-4).fit(data, epochs=1)
    print("ready", flush=True)
    score, alpha = search(data, time.monotonic() + seconds)
    print("accuracy %.3f at alpha %g" % (score, alpha), file=sys.stderr)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
