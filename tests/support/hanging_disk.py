"""A file system that never answers, as a network mount whose server is gone: FUSE without the program behind it."""

import ctypes
import os
from pathlib import Path

import pytest

_LIBC = ctypes.CDLL(None, use_errno=True)
_MNT_DETACH = 2


class HangingDisk:
    """Mounted over the folder until `end`. Needs root and /dev/fuse; the test is skipped without."""

    def __init__(self, folder: Path) -> None:
        self._folder = os.fsencode(folder)
        try:
            self._device = os.open("/dev/fuse", os.O_RDWR)
        except OSError as exc:
            pytest.skip(f"no file system can be mounted here: {exc}")
        # fuse(4): every call waits for the answer to FUSE_INIT, which nobody gives.
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0,allow_other"
        if _LIBC.mount(b"hanging", self._folder, b"fuse", 0, options.encode()):
            os.close(self._device)
            pytest.skip(f"no file system can be mounted here: {os.strerror(ctypes.get_errno())}")

    def end(self) -> None:
        """Let every call that waits fail, and show the folder that lies below again."""
        _LIBC.umount2(self._folder, _MNT_DETACH)
        os.close(self._device)
