"""Two chains of calls in turn: alternating.py DEPTH LEAF_MICROSECONDS.

`a_00` calls `a_01` and so on to `a_leaf`, and then the same with `b`, whose frames are larger and so lie elsewhere. A
stack which has functions of both, or in which anything but `a_06` was called by `a_05`, never was: it mixes two
moments.
"""

import sys
from time import perf_counter

from common import begin, ready


def chain(name, depth, seconds, variables):
    """Functions NAME_00 to NAME_leaf, each the only caller of the next, with that many variables."""
    local = "".join(f"v{number} = " for number in range(variables)) + "None"
    lines = [
        f"def {name}_leaf():",
        f"    end = perf_counter() + {seconds!r}",
        "    while perf_counter() < end:",
        "        pass",
    ]
    for number in range(depth):
        callee = f"{name}_{number + 1:02}" if number + 1 < depth else f"{name}_leaf"
        lines += [f"def {name}_{number:02}():", f"    {local}", f"    {callee}()"]
    scope = {"perf_counter": perf_counter}
    exec(compile("\n".join(lines), __file__, "exec"), scope)
    return scope[f"{name}_00"]


def main(depth, seconds):
    begin()
    first, second = chain("a", depth, seconds, 1), chain("b", depth, seconds, 4)
    ready()
    while True:
        first()
        second()


main(int(sys.argv[1]), float(sys.argv[2]) / 1e6)
