"""The very program of gil_shared_state.py, run by a free-threaded Python (python3.13t or later).

Nothing of its text changes. Its threads had a lock for what they share all along, and need no GIL
to be right; without it they count words at the same time. (A Python with a GIL runs this as well,
no faster than before.)

Python: free-threaded
Verdict: cpu-bound
Finding: none
Recommendation: keep
Measures: throughput
"""

import sys

from gil_shared_state import main

if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
