"""The heartbeat of an engine process that loads: sent by a thread, while the load gets on.

A thread alone would only show that the interpreter lives: a load that waits for ever for a lock or a dead file server
lives too. So a beat is sent only when the process has computed, read, or touched new memory since the last look.
"""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# What a process does between two looks when it gets on: at least one of these. The looks themselves cost below a tenth.
MIN_CPU_SECONDS = 0.02
MIN_READ_BYTES = 65_536
MIN_PAGE_FAULTS = 64

MAX_INTERVAL_SECONDS = 5.0
# Looks in the time after which a silent load counts as lost.
LOOKS_PER_LIMIT = 8


@dataclass(frozen=True)
class Work:
    """What a process has done since it started."""

    cpu_seconds: float
    read_bytes: int
    page_faults: int

    @classmethod
    def so_far(cls) -> Work:
        """Return this process's: all threads together. Without /proc, reads count by their processor time alone."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        try:
            lines = Path("/proc/self/io").read_text().splitlines()
        except OSError:
            lines = []
        counts = dict(line.split(": ") for line in lines)
        # rchar: by calls that have returned; read_bytes: from the disk, during the call too.
        read = int(counts.get("rchar", 0)) + int(counts.get("read_bytes", 0))
        return cls(usage.ru_utime + usage.ru_stime, read, usage.ru_minflt + usage.ru_majflt)

    def exceeds(self, before: Work) -> bool:
        """Return whether the process got on since `before`."""
        return (
            self.cpu_seconds - before.cpu_seconds >= MIN_CPU_SECONDS
            or self.read_bytes - before.read_bytes >= MIN_READ_BYTES
            or self.page_faults - before.page_faults >= MIN_PAGE_FAULTS
        )


@contextmanager
def beating(beat: Callable[[], None], limit_seconds: float) -> Iterator[None]:
    """Call `beat` in a thread as long as the block gets on; never after the block.

    limit_seconds: the silence after which the process is taken for lost. An OSError of `beat` ends the beats.
    """
    interval = min(MAX_INTERVAL_SECONDS, limit_seconds / LOOKS_PER_LIMIT)
    ended = threading.Event()

    def watch() -> None:
        before = Work.so_far()
        while not ended.wait(interval):
            now = Work.so_far()
            if now.exceeds(before):
                try:
                    beat()
                except OSError:  # nobody listens any more: the load itself will meet that
                    return
                before = now

    thread = threading.Thread(target=watch, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
