"""Interpreters in one process that all compute: one with a GIL of its own (3.12+), and the main
one, whose GIL two threads want."""

import threading

try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

SPIN = """
def own_gil():
    while True:
        pass
own_gil()
"""

run = getattr(interpreters, "exec", None) or interpreters.run_string
running = threading.Barrier(4)


def alone():
    interpreter = interpreters.create()
    running.wait()
    run(interpreter, SPIN)


def main_gil():
    running.wait()
    while True:
        pass


threading.Thread(target=alone, name="alone", daemon=True).start()
for number in range(2):
    threading.Thread(target=main_gil, name=f"together-{number}", daemon=True).start()
running.wait()
print("ready", flush=True)
threading.Event().wait()
