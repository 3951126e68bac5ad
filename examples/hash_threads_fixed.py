"""The program of hash_threads.py as it is: there is nothing to change.

It is here for the comparison, which has to find a gain of none: two runs of one program.

Verdict: native-parallel
Finding: none
Recommendation: keep
Measures: throughput
"""

import sys

from hash_threads import main

if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
