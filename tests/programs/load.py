"""Asks a server again and again over a few connections. Arguments: port, path, connections."""

import http.client
import sys
import threading

port, path, connections = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
started = threading.Barrier(connections + 1)


def ask():
    connection = http.client.HTTPConnection("127.0.0.1", port)
    first = True
    while True:
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200, answer.status
        answer.read()
        if first:
            started.wait()
        first = False


for _ in range(connections):
    threading.Thread(target=ask, daemon=True).start()
started.wait()
print("ready", flush=True)
threading.Event().wait()
