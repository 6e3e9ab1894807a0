"""A file on its way: what has arrived of it waits in a hidden file beside its place, for as many runs as it takes."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

BLOCK_BYTES = 1 << 20


class WeightsError(Exception):
    """A weight file or set cannot be had. The message is a sentence for the person at the command line."""


class Part:
    """The first `received` bytes of a file that should have `size` bytes and the SHA-256 `sha256`.

    `hold` makes it. Bytes are hashed as they come: a file that arrives in one go is not read again.
    on_progress: is told `received` whenever it changes.
    tag: the strong ETag of what the bytes came from; None when it is not known.
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
        if self.received > size:  # none of ours
            self.restart()

    def append(self, block: bytes) -> None:
        """Add bytes. Raises WeightsError when they are more than the file has, OSError when they cannot be written."""
        if self.received + len(block) > self.size:
            self.restart()
            raise WeightsError(f"it is longer than {self.size:,} bytes")
        rest = memoryview(block)
        try:
            while rest:
                rest = rest[self._stream.write(rest) :]
        except OSError:  # a full disk takes half a block; the hash knows nothing of that half
            self._stream.truncate(self.received)
            raise
        self._count(block)
        self._progress(self.received)

    def restart(self) -> None:
        """Forget every byte."""
        self._stream.truncate(0)
        self._digest = hashlib.sha256()
        self.received = 0
        self.tag = None
        self._progress(0)

    def move_to(self, place: Path) -> None:
        """Give the file its name, once it is on the disk. Raises WeightsError when it is not the file expected.

        Another content of the right size is forgotten; what is too short waits for more.
        """
        if self.received != self.size:
            raise WeightsError(f"it has {self.received:,} bytes; it should have {self.size:,}")
        digest = self._digest.hexdigest()
        if digest != self._sha256:
            self.restart()
            raise WeightsError(f"its SHA-256 is {digest}; it should be {self._sha256}")
        os.fsync(self._stream.fileno())
        self._path.replace(place)

    def _count(self, block: bytes) -> None:
        self._digest.update(block)
        self.received += len(block)


@contextmanager
def hold(
    place: Path, size: int, sha256: str, *, waiting: Callable[[], None], on_progress: Callable[[int], None]
) -> Iterator[Part]:
    """The part of the file that is to stand at `place`, for this thread of this process alone.

    While another one holds it, `waiting` is called and its end awaited; what it left is taken over. At the end an
    empty part is removed, one with bytes stays for the next run. Raises OSError where it cannot be made or locked.
    """
    # Not `tempfile`, which would make the file readable to this user only, while a service often runs as another one.
    # With the hash in its name, bytes of one version are never continued with those of another.
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
            # Who held it has given the file its name meanwhile, or removed it: this is no part any more.


def _is_at(path: Path, stream: FileIO) -> bool:
    try:
        return os.path.samefile(path, stream.fileno())
    except FileNotFoundError:
        return False
