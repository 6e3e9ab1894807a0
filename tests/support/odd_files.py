"""What else than a regular file may stand under a name: each kind, made at a path."""

import os
import socket
import stat
from pathlib import Path


def link(path: Path) -> None:
    target = path.parent / "target-of-link"
    target.write_bytes(b"not for everybody")
    path.symlink_to(target)


def dangling_link(path: Path) -> None:
    path.symlink_to(path.parent / "nothing")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def unix_socket(path: Path) -> None:
    """A path in a test's folder is too long for a socket's address, so it is bound from within the folder."""
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


def device(path: Path) -> None:
    """The device that never ends, /dev/zero. Needs root."""
    os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))


KINDS = [link, dangling_link, link_to_itself, fifo, folder, unix_socket, *([device] if os.geteuid() == 0 else [])]
