"""Sleeps; for the versions of Python of which only stacks and causes are told."""

import sys
import time


def take_a_nap():
    time.sleep(3600)


print("ready")
sys.stdout.flush()
take_a_nap()
