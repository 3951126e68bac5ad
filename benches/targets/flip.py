"""Flips between a_00 > a_leaf and b_00 > b_leaf about every microsecond."""

from common import begin, ready


def a_leaf():
    for _ in range(20):
        pass


def b_leaf():
    for _ in range(20):
        pass


def a_00():
    a_leaf()


def b_00():
    b_leaf()


def main():
    begin()
    ready()
    while True:
        a_00()
        b_00()


main()
