"""Byte budget of uploads. A body reserves its bytes before it is read, and they count until its run ends.

    Budget ◄── Reservation of a request: from the first read of its body to the end of the request
                    └──► `hand_over`: reservation of the request's files, until they are closed

Without a budget, a hundred slow uploads, or queues full of the largest photos, could use up all memory and disk space.
"""

from __future__ import annotations

import threading

from sam3d_bento.errors import Busy

# Usual time in which an upload arrives or a run ends. Room may become free at any moment.
RETRY_AFTER_SECONDS = 5


class Budget:
    """Budget of bytes that all requests share. Its methods may be called from any thread.

    A single request may exceed `max_bytes` if no other holds any bytes. Otherwise a budget below the largest allowed
    body would always refuse that body.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._held = 0
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """Number of reserved bytes."""
        return self._held

    def take(self, count: int, own: int) -> None:
        """Reserve `count` more bytes for a holder of `own` bytes. Raises Busy if there is no room."""
        with self._lock:
            if self._held + count > self.max_bytes and self._held > own:
                raise Busy(
                    "Other uploads use all of the room for uploads. Try again later.",
                    retry_after_seconds=RETRY_AFTER_SECONDS,
                )
            self._held += count

    def give(self, count: int) -> None:
        """Give reserved bytes back."""
        with self._lock:
            self._held -= count


class Reservation:
    """Reserved bytes of one holder in a `Budget`. For one thread at a time. `release` may be called twice.

    count: bytes that it holds now. total: all bytes that it has reserved, also those that it handed over.
    """

    def __init__(self, budget: Budget) -> None:
        self.count = self.total = 0
        self._budget = budget

    def grow(self, count: int) -> None:
        """Reserve more bytes. If it raises Busy, nothing was reserved."""
        self._budget.take(count, self.count)
        self.count += count
        self.total += count

    def hand_over(self, count: int) -> Reservation:
        """Move `count` bytes to a new reservation and return it. Reserves missing bytes. Raises Busy."""
        if count > self.count:
            self.grow(count - self.count)
        part = Reservation(self._budget)
        self.count -= count
        part.count = part.total = count
        return part

    def release(self) -> None:
        """Give all bytes back to the budget."""
        count, self.count = self.count, 0
        self._budget.give(count)
