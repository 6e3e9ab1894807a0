"""Set how this process takes memory from the system and returns it (glibc only; elsewhere nothing changes).

A run allocates and frees hundreds of arrays of several megabytes. By default, glibc requests each of them from the
system, which must clear the memory first, and keeps a heap for each thread. With these defaults, an export takes a
tenth more time and a sixth more memory.
"""

from __future__ import annotations

import ctypes
from typing import Any

# Parameters of mallopt(3), as malloc.h numbers them.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8

# Bytes of the largest array that comes from the heap. It is the most that glibc accepts for M_MMAP_THRESHOLD.
LARGEST_KEPT = 32 << 20
# Free bytes that may stay at the end of the heap until `give_back`. With a GiB no run was faster.
KEPT = 1 << 28
# Bytes; see `keep_small`.
LARGE = 1 << 20


def keep_for_reuse() -> None:
    """Keep freed memory for later allocations from now on, in one heap for all threads.

    Call this once, before any thread starts, in a process that works on large arrays and calls `give_back`.
    """
    malloc: Any = ctypes.CDLL(None)
    if hasattr(malloc, "mallopt"):
        for option, value in ((M_ARENA_MAX, 1), (M_MMAP_THRESHOLD, LARGEST_KEPT), (M_TRIM_THRESHOLD, KEPT)):
            malloc.mallopt(option, value)


def keep_small() -> None:
    """Give each block of LARGE bytes or more back to the system as soon as it is freed.

    For a process that holds uploads for moments: glibc by itself keeps such blocks in the heap after the first ones,
    where a small one that lives on holds them.
    """
    malloc: Any = ctypes.CDLL(None)
    if hasattr(malloc, "mallopt"):
        for option, value in ((M_ARENA_MAX, 2), (M_MMAP_THRESHOLD, LARGE)):
            malloc.mallopt(option, value)


def give_back() -> None:
    """Return freed memory to the system. This takes some milliseconds."""
    malloc: Any = ctypes.CDLL(None)
    if hasattr(malloc, "malloc_trim"):
        malloc.malloc_trim(0)
