from concurrent.futures import ThreadPoolExecutor

with ThreadPoolExecutor(max_workers={{ cpus }}) as pool:
    results = list(pool.map({{ bare }}, pieces))  # {{ function }}{{ place }}
