stop = threading.Event()

def {{ bare }}():                  # {{ function }}{{ place }}
    while not stop.wait(timeout=interval):   # instead of time.sleep, or a get() without a limit
        ...

def close():                       # on SIGTERM, and in a finally
    stop.set()
    for thread in threads:
        thread.join(timeout=5)
