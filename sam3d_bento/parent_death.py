"""A process that ends with the process that started it, however that ends.

On Linux the kernel sends the signal (prctl(2), PR_SET_PDEATHSIG), which also reaches native code that holds the
interpreter lock. It does so when the *thread* ends that started the process: that thread must outlive it. The setting
stays over `exec`. Elsewhere a thread watches for a new parent.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

PR_SET_PDEATHSIG = 1  # linux/prctl.h
WATCH_SECONDS = 1.0

# Loaded here: a child between fork and exec must not load anything.
_libc = ctypes.CDLL(None)


def end_with(parent: int, number: int = signal.SIGKILL) -> None:
    """Get the signal when the parent ends; now, if it has ended already. parent: its process id, as it knew it."""
    if sys.platform == "linux":
        _libc.prctl(PR_SET_PDEATHSIG, number)
    else:
        threading.Thread(target=_watch, args=(parent, number), daemon=True).start()
    if os.getppid() != parent:  # it ended before the request was in place
        os.kill(os.getpid(), number)


def _watch(parent: int, number: int) -> None:
    pause = threading.Event()
    while os.getppid() == parent:
        pause.wait(WATCH_SECONDS)
    os.kill(os.getpid(), number)
