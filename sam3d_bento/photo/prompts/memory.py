"""Remember the encodings of the last photos for a few minutes, so that the next click on a photo is quick.

They are kept in the memory of this process and nowhere else, keyed by the SHA-256 of the photo's bytes.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

MAX_PHOTOS = 4  # of 4.2 MB each with a SAM


@dataclass(frozen=True)
class _Kept:
    encoding: Any
    until: float  # monotonic seconds


class Memory:
    """Encodings by key, for `seconds` after each was used last; 0 keeps none.

    There are at most MAX_PHOTOS; the one that was used longest ago goes first.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def __len__(self) -> int:
        """Return the number of encodings that are kept."""
        with self._lock:
            return len(self._kept)

    def find(self, key: bytes) -> Any:
        """Return the encoding with this key, or None."""
        with self._lock:
            self._forget_expired()
            kept = self._kept.get(key)
            return None if kept is None else kept.encoding

    def keep(self, key: bytes, encoding: Any) -> None:
        """Keep an encoding from now on for the time that this memory has. One that is kept already begins anew."""
        if self._seconds <= 0:
            return
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = _Kept(encoding, time.monotonic() + self._seconds)
            while len(self._kept) > MAX_PHOTOS:
                self._kept.popitem(last=False)
            self._watch()

    def _forget_expired(self) -> None:
        now = time.monotonic()
        for key in [key for key, kept in self._kept.items() if kept.until <= now]:
            del self._kept[key]

    def _watch(self) -> None:
        """Start the timer that forgets the next encoding, if there is one and no timer runs. Needs the lock."""
        if self._timer is None and self._kept:
            first = min(kept.until for kept in self._kept.values())
            self._timer = threading.Timer(max(0.0, first - time.monotonic()), self._on_time)
            self._timer.daemon = True
            self._timer.start()

    def _on_time(self) -> None:
        with self._lock:
            self._timer = None
            self._forget_expired()
            self._watch()
