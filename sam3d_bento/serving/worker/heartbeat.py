"""Heartbeat of an engine process that is loading. A thread sends it while the load makes progress.

A thread alone would only show that the interpreter is running, which is also true of a load that waits for a lock or a
dead file server. So a beat is sent only if the process has computed, read or touched new memory since the last check.
"""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Smallest amounts of work between two checks that count as progress; one of them suffices. The checks themselves need
# less than a tenth of each.
MIN_CPU_SECONDS = 0.02
MIN_READ_BYTES = 65_536
MIN_PAGE_FAULTS = 64

# Longest pause between two checks.
MAX_INTERVAL_SECONDS = 5.0
# Checks within the time after which a silent load counts as lost.
CHECKS_PER_LIMIT = 8


@dataclass(frozen=True)
class Work:
    """Work of a process since its start."""

    cpu_seconds: float
    read_bytes: int
    page_faults: int

    @classmethod
    def so_far(cls) -> Work:
        """Return the work of all threads of this process. Without /proc, the bytes read are 0."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        try:
            lines = Path("/proc/self/io").read_text().splitlines()
        except OSError:
            lines = []
        counts = dict(line.split(": ") for line in lines)
        # rchar counts calls that have returned; read_bytes counts reads from the disk, also during a call.
        read = int(counts.get("rchar", 0)) + int(counts.get("read_bytes", 0))
        return cls(usage.ru_utime + usage.ru_stime, read, usage.ru_minflt + usage.ru_majflt)

    def exceeds(self, before: Work) -> bool:
        """Return whether the process has made progress since `before`."""
        return (
            self.cpu_seconds - before.cpu_seconds >= MIN_CPU_SECONDS
            or self.read_bytes - before.read_bytes >= MIN_READ_BYTES
            or self.page_faults - before.page_faults >= MIN_PAGE_FAULTS
        )


@contextmanager
def beating(beat: Callable[[], None], limit_seconds: float) -> Iterator[None]:
    """Call `beat` in a thread while the block makes progress, never after the block.

    limit_seconds: silence after which the process counts as lost. An OSError of `beat` ends the thread.
    """
    interval = min(MAX_INTERVAL_SECONDS, limit_seconds / CHECKS_PER_LIMIT)
    ended = threading.Event()

    def watch() -> None:
        before = Work.so_far()
        while not ended.wait(interval):
            now = Work.so_far()
            if now.exceeds(before):
                try:
                    beat()
                except OSError:  # the service process is gone, which the load itself will notice
                    return
                before = now

    thread = threading.Thread(target=watch, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
