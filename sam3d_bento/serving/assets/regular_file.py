"""Open only regular files, never links, in a folder to which others may write."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

# Do not follow a symbolic link, and do not block on a FIFO or device that has replaced the file.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading.

    Raises FileNotFoundError if there is none: also for a symbolic link, a FIFO, a folder, a socket or a device.
    Raises OSError for a regular file that cannot be opened.
    """
    stat_regular(path)  # before opening, because opening some devices has an effect
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        stat_regular(path)  # raises if the file was replaced in the meantime
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(f"not a regular file: {path.name}")
    return os.fdopen(descriptor, "rb")


def stat_regular(path: Path) -> os.stat_result:
    """Return the status of the regular file at the path. Raises FileNotFoundError like `open_regular`."""
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise FileNotFoundError(f"not a regular file: {path.name}")
    return found
