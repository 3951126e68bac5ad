"""Measures pyconc against its peers. Read setup, processes, mojo, tools, grid, bench, cost, truth, report."""
