from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

# {{ bare }}{{ place }} has to be a function of a module's top level, and what it takes and returns
# has to be picklable.
with ProcessPoolExecutor(max_workers={{ cpus }}, mp_context=get_context("spawn")) as pool:
    results = list(pool.map({{ bare }}, pieces, chunksize=16))
