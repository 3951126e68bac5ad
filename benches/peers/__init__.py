"""Measures pyconc against its peers. To be read in this order: setup, processes, mojo, tools, grid, bench, cost, truth, report."""
