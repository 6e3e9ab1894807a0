"""Waiting for a state of another thread or process that no event announces."""

import threading
import time

PATIENCE = 60  # seconds; it only bounds a failure


def until(condition):
    """Look until the condition holds; what it gave."""
    give_up = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < give_up, "this did not happen in time"
        threading.Event().wait(0.01)
    return found
