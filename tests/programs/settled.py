"""When threads have come to where they are to stay."""

import time


def turns(tids, process):
    """How often each thread has had a CPU; of those that have not ended."""
    counts = {}
    for tid in tids:
        try:
            with open("/proc/%s/task/%s/schedstat" % (process, tid)) as file:
                counts[tid] = int(file.read().split()[2])
        except OSError:
            pass
    return counts


def wait_until_settled(list_tids, process="self"):
    """Waits until no thread that `list_tids()` lists has run for 50 ms; for ten seconds at most."""
    before = None
    for _ in range(200):
        now = turns(list_tids(), process)
        if now == before:
            return
        before = now
        time.sleep(0.05)
    raise TimeoutError("not all threads came to where they should be")
