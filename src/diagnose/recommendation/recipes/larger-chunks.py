# so many items that a message takes a worker 10 ms or more
results = pool.map({{ bare }}, items, chunksize=max(1, len(items) // (8 * {{ cpus }})))
