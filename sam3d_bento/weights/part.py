"""Partial downloads: hidden files beside the final place, which later runs continue."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

# Size of the blocks in which files are read, hashed and written.
BLOCK_BYTES = 1 << 20


class WeightsError(Exception):
    """Weight file or set that cannot be obtained. The message is a sentence for the user of the command line."""


class Part:
    """First `received` bytes of a file with a known size and SHA-256. `hold` makes it.

    Bytes are hashed as they arrive, so that the file need not be read again.
    on_progress: called with `received` whenever it changes.
    tag: strong ETag of the file that the bytes came from; None if unknown.
    """

    def __init__(self, path: Path, stream: FileIO, size: int, sha256: str, on_progress: Callable[[int], None]) -> None:
        self.size = size
        self.received = 0
        self.tag: str | None = None
        self._path = path
        self._stream = stream
        self._sha256 = sha256
        self._digest = hashlib.sha256()
        self._progress = on_progress
        stream.seek(0)
        while block := stream.read(BLOCK_BYTES):
            self._count(block)
        if self.received > size:  # not a part of this file
            self.restart()

    def append(self, block: bytes) -> None:
        """Append bytes. Raises WeightsError if the file becomes too long, OSError if it cannot be written."""
        if self.received + len(block) > self.size:
            self.restart()
            raise WeightsError(f"the file is longer than {self.size:,} bytes")
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[self._stream.write(rest) :]
        except OSError:  # a full disk may take part of the block, which is not in the hash
            self._stream.truncate(self.received)
            raise
        self._count(block)
        self._progress(self.received)

    def restart(self) -> None:
        """Discard all bytes."""
        self._stream.truncate(0)
        self._digest = hashlib.sha256()
        self.received = 0
        self.tag = None
        self._progress(0)

    def move_to(self, place: Path) -> None:
        """Check the file, flush it to the disk and give it its final name.

        Raises WeightsError if it is too short or has another SHA-256. A short file is kept to be continued, a wrong one
        is discarded.
        """
        self.check()
        os.fsync(self._stream.fileno())
        self._path.replace(place)

    def check(self) -> None:
        """Compare the bytes with size and SHA-256. Errors as of `move_to`."""
        if self.received != self.size:
            raise WeightsError(f"the file has {self.received:,} bytes instead of {self.size:,}")
        digest = self._digest.hexdigest()
        if digest != self._sha256:
            self.restart()
            raise WeightsError(f"the file's SHA-256 is {digest} instead of {self._sha256}")

    def _count(self, block: bytes) -> None:
        self._digest.update(block)
        self.received += len(block)


@contextmanager
def hold(
    place: Path, size: int, sha256: str, *, waiting: Callable[[], None], on_progress: Callable[[int], None]
) -> Iterator[Part]:
    """Yield the partial download of the file for `place`, locked for this thread.

    If another thread or process has the lock, call `waiting` and wait. Bytes that it left are continued. Afterwards, an
    empty partial file is removed, any other is kept for the next run. Raises OSError if it cannot be created or locked.
    """
    # `tempfile` would make the file readable to this user only, but the service often runs as another user. The hash in
    # the name prevents that bytes of one version are continued with those of another.
    path = place.with_name(f".{place.name}.{sha256[:8]}.part")
    with _locked(path, waiting) as stream:
        part = Part(path, stream, size, sha256, on_progress)
        try:
            yield part
        finally:
            if not part.received:
                path.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path, waiting: Callable[[], None]) -> Iterator[FileIO]:
    while True:
        with path.open("ab+", buffering=0) as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(stream, fcntl.LOCK_EX)
            if _is_at(path, stream):
                yield stream
                return
            # The previous holder has renamed or removed the file in the meantime. Open it again.


def _is_at(path: Path, stream: FileIO) -> bool:
    try:
        return os.path.samefile(path, stream.fileno())
    except FileNotFoundError:
        return False
