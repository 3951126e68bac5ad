"""Two chains of calls that never meet: no stack has functions of both.

chains.py DEPTH LEAF: calls a0 → … → leaf_a and b0 → … → leaf_b in turn, DEPTH calls each; a leaf
counts to LEAF.
"""

import sys

DEPTH, LEAF = int(sys.argv[1]), int(sys.argv[2])

FUNCTION = """
def {name}():
    {callee}()
"""


def leaf_a():
    for _ in range(LEAF):
        pass


def leaf_b():
    for _ in range(LEAF):
        pass


for chain in "ab":
    for level in range(DEPTH):
        callee = f"{chain}{level + 1}" if level + 1 < DEPTH else f"leaf_{chain}"
        exec(FUNCTION.format(name=f"{chain}{level}", callee=callee))

print("ready", flush=True)
while True:
    a0()  # noqa: F821
    b0()  # noqa: F821
