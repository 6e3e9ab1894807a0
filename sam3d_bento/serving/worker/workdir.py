"""Short-lived files of one service process, and the removal of those that dead processes left.

Owns `WORK_DIR/boot-<128 bits>/`, one folder a process, locked (flock) as long as the process lives: whoever gets the
lock of a folder knows that its owner is dead. Below it, one folder a job, removed when the job ends.
Nothing else in WORK_DIR is ever touched.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sam3d_bento import logs

BOOT_NAME = re.compile(r"boot-[0-9a-f]{32}")

log = logging.getLogger("sam3d_bento.workdir")


class WorkDir:
    """This process's own folder, from `claim` to `close`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / f"boot-{secrets.token_hex(16)}"
        self._lock: int | None = None
        self._left: set[Path] = set()  # folders of ended jobs that could not be removed

    def claim(self) -> None:
        """Make the folder and lock it. Raises OSError when it cannot be made."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        while self._lock is None:
            self.path.mkdir(mode=0o700)
            lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.path.exists():
                self._lock = lock
            else:
                os.close(lock)  # another process's sweep came between mkdir and flock

    @contextmanager
    def job_directory(self, job_id: str) -> Iterator[Path]:
        """A 0700 folder that is gone, with all it holds, when the block ends."""
        path = self.path / job_id
        path.mkdir(mode=0o700, parents=True)
        try:
            yield path
        finally:
            self._remove(path)

    def _remove(self, path: Path) -> None:
        shutil.rmtree(path, ignore_errors=True)
        if path.exists():  # no descriptor was left to look into it with: `sweep` tries again
            self._left.add(path)

    def sweep(self) -> int:
        """Remove the folders of dead processes, and what could not be removed before; the number of the former."""
        for path in tuple(self._left):
            self._left.discard(path)
            self._remove(path)
        removed = 0
        for path in self.root.iterdir():
            if BOOT_NAME.fullmatch(path.name) and path != self.path and _abandoned(path):
                shutil.rmtree(path, ignore_errors=True)
                removed += 1
        if removed:
            logs.event(log, "removed folders of dead processes", count=removed)
        return removed

    def close(self) -> None:
        """Remove the folder and release its lock."""
        if self._lock is not None:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = None


def _abandoned(path: Path) -> bool:
    """Whether nobody holds the folder's lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # gone meanwhile, not a folder, or another user's
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
