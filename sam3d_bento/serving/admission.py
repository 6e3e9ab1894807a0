"""The byte budget of uploads: a body reserves its bytes before it is read, and they count until its run ends.

    Budget ◄── Reservation of a request: from the first read of its body to the end of the request
                    └──► `hand_over`: what the request's files keep, until they are closed

Without it, a hundred clients that hold their uploads back, or full queues of the largest photos, would take whatever
memory and disk there is.
"""

from __future__ import annotations

import threading

from sam3d_bento.errors import Busy

# Until a body of the usual size has come in, or a run has ended. Room for uploads may be free at any moment.
RETRY_AFTER_SECONDS = 5


class Budget:
    """Bytes that requests may hold together. For any thread.

    One request that is alone may hold more than `max_bytes`: else a budget that is set below the largest body would
    refuse that body for ever.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._held = 0
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """Return the bytes that are reserved now."""
        return self._held

    def take(self, count: int, own: int) -> None:
        """Reserve `count` bytes more for somebody who holds `own` already. Raises Busy when there is no room."""
        with self._lock:
            if self._held + count > self.max_bytes and self._held > own:
                raise Busy(
                    "The uploads that come in or wait take all the room for them. Try again later.",
                    retry_after_seconds=RETRY_AFTER_SECONDS,
                )
            self._held += count

    def give(self, count: int) -> None:
        """Return bytes that were taken."""
        with self._lock:
            self._held -= count


class Reservation:
    """What one holder has of a `Budget`; not for several threads. `release` it; to do so twice does nothing.

    count: its bytes now. total: all that it has been given, those that it handed over included.
    """

    def __init__(self, budget: Budget) -> None:
        self.count = self.total = 0
        self._budget = budget

    def grow(self, count: int) -> None:
        """Reserve so many bytes more. Raises Busy, and has reserved nothing."""
        self._budget.take(count, self.count)
        self.count += count
        self.total += count

    def hand_over(self, count: int) -> Reservation:
        """Return a reservation of its own for `count` of these bytes; what is missing is reserved. Raises Busy."""
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
