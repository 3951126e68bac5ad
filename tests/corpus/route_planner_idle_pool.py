"""A route planner: the main thread computes, and fifty threads for exports wait for orders.

The main thread searches shortest paths all the time. Of the pool of fifty, one thread or another has
an export to write once in a while; the others wait at their queue and hinder nobody.

Verdict: cpu-bound
Healthy: yes
"""
from __future__ import annotations

import heapq
import json
import logging
import os
import queue
import random
import signal
import sys
import tempfile
import threading
import time

EXPORTERS = 50
TOWNS = 400
log = logging.getLogger("planner")


class RoadMap:
    def __init__(self, seed=8):
        dice = random.Random(seed)
        self.places = [(dice.uniform(0, 100), dice.uniform(0, 100)) for _ in range(TOWNS)]
        self.roads = {town: {} for town in range(TOWNS)}
        for town in range(TOWNS):
            for other in dice.sample(range(TOWNS), 6):
                length = self.distance(town, other) * dice.uniform(1.0, 1.4)
                self.roads[town][other] = self.roads[other][town] = length

    def distance(self, a, b):
        (ax, ay), (bx, by) = self.places[a], self.places[b]
        return ((ax - bx) ** 2 + (ay - by) ** 2) ** 0.5

    def shortest(self, start, goal):
        """Dijkstra's algorithm."""
        best = {start: 0.0}
        came_from = {}
        queue_of_towns = [(0.0, start)]
        while queue_of_towns:
            length, town = heapq.heappop(queue_of_towns)
            if town == goal:
                break
            for other, road in self.roads[town].items():
                through = length + road
                if through < best.get(other, float("inf")):
                    best[other] = through
                    came_from[other] = town
                    heapq.heappush(queue_of_towns, (through, other))
        route = [goal]
        while route[-1] != start and route[-1] in came_from:
            route.append(came_from[route[-1]])
        return best.get(goal), route[::-1]


class Exporter(threading.Thread):
    """Writes what is ordered; waits most of its life."""

    def __init__(self, orders, folder, number):
        super().__init__(name="export-%02d" % number, daemon=True)
        self.orders = orders
        self.folder = folder

    def run(self):
        while True:
            name, route = self.orders.get()
            path = os.path.join(self.folder, "route-%d.json" % (name % 20))
            with open(path, "w") as file:
                json.dump(route, file)
            self.orders.task_done()


def plan(road_map, orders, deadline):
    dice = random.Random()
    planned = 0
    last_export = 0.0
    while time.monotonic() < deadline:
        length, route = road_map.shortest(dice.randrange(TOWNS), dice.randrange(TOWNS))
        planned += 1
        if length and time.monotonic() - last_export > 0.2:
            last_export = time.monotonic()
            orders.put((planned, route))
    log.info("%d routes", planned)


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    orders = queue.Queue()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(EXPORTERS):
            Exporter(orders, folder, number).start()
        print("ready", flush=True)
        plan(RoadMap(), orders, time.monotonic() + seconds)
        orders.join()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
