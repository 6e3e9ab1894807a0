"""How this process takes memory from the system and gives it back (glibc; elsewhere nothing is changed).

A run makes and drops hundreds of arrays of some megabytes. glibc by itself takes each from the system anew, which must
clear it first, and keeps a heap for each thread: an export is a tenth slower so, and a sixth larger.
"""

from __future__ import annotations

import ctypes
from typing import Any

# From malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8

LARGEST_KEPT = 32 << 20  # bytes of an array; the most that glibc accepts here
KEPT = 1 << 28  # bytes at the end of the heap that stay, until `give_back`; with a GiB no run was faster
LARGE = 1 << 20  # bytes; `keep_small`


def keep_for_reuse() -> None:
    """From now on freed memory is kept for what comes next, in one heap for all threads.

    To be called once, before there are threads, by a process that works on large arrays and calls `give_back`.
    """
    malloc: Any = ctypes.CDLL(None)
    if hasattr(malloc, "mallopt"):
        for option, value in ((M_ARENA_MAX, 1), (M_MMAP_THRESHOLD, LARGEST_KEPT), (M_TRIM_THRESHOLD, KEPT)):
            malloc.mallopt(option, value)


def keep_small() -> None:
    """From now on each block of LARGE bytes or more is the system's again when it is freed.

    For a process that holds uploads for moments: glibc by itself keeps such blocks in the heap after the first ones,
    where a small one that lives on holds them.
    """
    malloc: Any = ctypes.CDLL(None)
    if hasattr(malloc, "mallopt"):
        for option, value in ((M_ARENA_MAX, 2), (M_MMAP_THRESHOLD, LARGE)):
            malloc.mallopt(option, value)


def give_back() -> None:
    """Return freed memory to the system; some milliseconds."""
    malloc: Any = ctypes.CDLL(None)
    if hasattr(malloc, "malloc_trim"):
        malloc.malloc_trim(0)
