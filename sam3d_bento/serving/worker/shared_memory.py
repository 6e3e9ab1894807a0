"""Memory that processes share by its descriptor.

It has no name, so the kernel frees it when no process uses it any more, even if all of them were killed. A container's
limit of /dev/shm does not apply to it.
"""

from __future__ import annotations

import os
import tempfile


class SharedMemory:
    """Shared memory, empty at first, whose descriptor can be sent to others.

    Raises OSError if the process is out of descriptors.
    """

    def __init__(self) -> None:
        self.descriptor = _anonymous_file()
        self._closed = False

    @property
    def size(self) -> int:
        """Bytes that were written."""
        return os.fstat(self.descriptor).st_size

    def close(self) -> None:
        """Let go of the memory. A second call does nothing."""
        if not self._closed:
            self._closed = True
            os.close(self.descriptor)


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("sam3d-export", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:  # systems other than Linux
        return os.dup(file.fileno())
