"""Folder for the short-lived files of one service process, and removal of the folders that dead processes left.

Each process owns one folder `WORK_DIR/boot-<128 bits>/`, which is locked (flock) while the process runs. If another
process gets the lock, the owner is dead. Each job has a subfolder, which is removed when the job ends. Nothing else in
WORK_DIR is touched.

The folder holds uploads, so no other user may be able to replace it: `claim` refuses a WORK_DIR that another user owns,
or that everybody may write to.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import secrets
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sam3d_bento import logs

BOOT_NAME = re.compile(r"boot-[0-9a-f]{32}")

log = logging.getLogger("sam3d_bento.workdir")


class WorkDir:
    """Folder of this process, from `claim` to `close`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / f"boot-{secrets.token_hex(16)}"
        self._lock: int | None = None
        self._making = threading.Lock()
        self._left: set[Path] = set()  # folders of ended jobs that could not be removed

    def claim(self) -> None:
        """Create and lock the folder. Raises OSError if that fails or WORK_DIR is not safe.

        The error's `strerror` says what is wrong with WORK_DIR.
        """
        with self._making:
            self._make()

    def _make(self) -> None:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if fault := distrust(self.root):
            raise PermissionError(errno.EPERM, fault)
        while True:
            self.path.mkdir(mode=0o700)
            lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.path.exists():
                break
            os.close(lock)  # another process's `sweep` removed it between mkdir and flock
        if self._lock is not None:
            os.close(self._lock)
        self._lock = lock

    def _make_again(self) -> None:
        """Create the folder again if it was removed. Raises OSError if something else has its name."""
        if self._lock is None:
            return  # never claimed, or closed
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            self._make()
        else:
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                raise FileExistsError(errno.EEXIST, "the name of this process's folder is taken by something else")

    @contextmanager
    def job_directory(self, job_id: str, stays: Callable[[], bool] = lambda: False) -> Iterator[Path]:
        """Create a folder with mode 0700, and remove it with its content after the block. Raises like `claim`.

        stays: asked after the block whether the folder is kept, for another block with this id.
        """
        with self._making:
            self._make_again()
        path = self.path / job_id
        path.mkdir(mode=0o700, exist_ok=True)
        try:
            yield path
        finally:
            if not stays():
                self._remove(path)

    def remove_job_directory(self, job_id: str) -> None:
        """Remove a folder that was kept, if it is still there."""
        self._remove(self.path / job_id)

    def _remove(self, path: Path) -> None:
        shutil.rmtree(path, ignore_errors=True)
        if path.exists():  # the process was out of descriptors; `sweep` tries again
            self._left.add(path)

    def sweep(self) -> int:
        """Remove the folders of dead processes, and job folders that could not be removed before.

        Returns the number of folders of dead processes.
        """
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


def distrust(folder: Path) -> str | None:
    """Return why a private folder below `folder` would not be safe; None if it is safe.

    The owner of a folder can rename its content. So can everybody who may write to it, unless it has a sticky bit. A
    set-group-ID bit shows that a group was given the folder on purpose, as Kubernetes does with `fsGroup`. A mount
    point that root owns is accepted: a container's volume has mode 0777 by default.
    """
    for found in (folder.lstat(), folder.stat()):  # a symbolic link, and its target
        if found.st_uid not in (0, os.geteuid()):
            return f"it belongs to another user, number {found.st_uid}"
    is_open = found.st_mode & stat.S_IWOTH and not found.st_mode & (stat.S_ISVTX | stat.S_ISGID)
    is_volume = found.st_uid == 0 and folder.resolve().is_mount()
    if is_open and not is_volume:
        return f"everybody may write to it (mode {stat.S_IMODE(found.st_mode):04o}), and it has no sticky bit"
    return None


def _abandoned(path: Path) -> bool:
    """Return whether no process holds the folder's lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # removed in the meantime, not a folder, or owned by another user
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
