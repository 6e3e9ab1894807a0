"""Ask /livez on new connections until the input ends; then write the milliseconds of each answer as a JSON list.

Writes "begun" first, after one answer. It imports little, so that it starts at once beside a flood.
Usage: python benchmarks/livez_probe.py HOST:PORT
"""

import contextlib
import http.client
import json
import sys
import threading
import time

PAUSE_SECONDS = 0.05


def ask(address: str) -> float:
    """Return how long the answer took, in milliseconds."""
    started = time.perf_counter()
    connection = http.client.HTTPConnection(address, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", "/livez")
        status = connection.getresponse().status
    assert status == 200, status
    return round((time.perf_counter() - started) * 1000, 1)


def main() -> None:
    over, taken = threading.Event(), []
    ask(sys.argv[1])
    print("begun", flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    while not over.wait(PAUSE_SECONDS):
        taken.append(ask(sys.argv[1]))
    print(json.dumps(taken))


if __name__ == "__main__":
    main()
