"""Short-lived files of one service process, and the removal of those that dead processes left.

Owns `WORK_DIR/boot-<128 bits>/`, one folder a process, locked (flock) as long as the process lives: whoever gets the
lock of a folder knows that its owner is dead. Below it, one folder a job, removed when the job ends.
Nothing else in WORK_DIR is ever touched.

Uploads lie here, so nobody else may be able to put another folder in the place of this process's own: `claim` refuses
a WORK_DIR that another user owns, or that others may write as they like.
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
        self._making = threading.Lock()

    def claim(self) -> None:
        """Make the folder and lock it. Raises OSError when it cannot be made, or WORK_DIR cannot be trusted.

        What is wrong with WORK_DIR is the error's `strerror`.
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
            os.close(lock)  # another process's sweep came between mkdir and flock
        if self._lock is not None:
            os.close(self._lock)
        self._lock = lock

    def _make_again(self) -> None:
        """Make the folder anew where somebody removed it. Raises OSError where something else has its place."""
        if self._lock is None:
            return  # never claimed, or closed
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            self._make()
        else:
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                raise FileExistsError(errno.EEXIST, "something else has the place of this process's folder")

    @contextmanager
    def job_directory(self, job_id: str) -> Iterator[Path]:
        """Make a 0700 folder that is gone, with all it holds, when the block ends. Raises OSError like `claim`."""
        with self._making:
            self._make_again()
        path = self.path / job_id
        path.mkdir(mode=0o700)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def sweep(self) -> int:
        """Remove the folders of dead processes; the number removed."""
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
    """Say why files of this process are not safe in folders of their own below `folder`; None when they are.

    Whoever owns a folder can rename what lies in it, and so can whoever may write it, unless its sticky bit is set. A
    set-group-ID bit shows that one group was given it on purpose, as Kubernetes does with `fsGroup`. What root mounted
    is its decision: a volume of a container has mode 0777 by default.
    """
    for found in (folder.lstat(), folder.stat()):  # a link in its place, and what the link leads to
        if found.st_uid not in (0, os.geteuid()):
            return f"it belongs to another user, number {found.st_uid}"
    is_open = found.st_mode & stat.S_IWOTH and not found.st_mode & (stat.S_ISVTX | stat.S_ISGID)
    is_volume = found.st_uid == 0 and folder.resolve().is_mount()
    if is_open and not is_volume:
        return f"everybody may write it (mode {stat.S_IMODE(found.st_mode):04o}), and it has no sticky bit"
    return None


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
