"""Uploads, kept on disk if they are large: `Upload` holds bytes, `UploadedSubmission` a photo with options."""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import anyio.to_thread

from sam3d_bento.errors import Sam3DError
from sam3d_bento.options import Options
from sam3d_bento.serving.admission import Reservation
from sam3d_bento.submission import SceneInput, Submission

# Size above which an upload is kept in a file, which costs 0.1 ms. A hundred slow uploads of this size take 26 MB.
IN_MEMORY_BYTES = 256_000
# Bytes of one read of a file.
CHUNK_BYTES = 256_000


class Upload:
    """Bytes that arrive piece by piece: in memory up to IN_MEMORY_BYTES, above that in an unlinked file.

    The file is in `tempfile.gettempdir()`, the service process's work folder. A killed process leaves nothing behind,
    because the file has no name. If no file can be written (full disk, removed folder), the bytes stay in memory. The
    file and the reservation are released by `close`, or with the last reference.

    file_name: as the client sent it, not cleaned; None if it sent none. No file on disk has this name.
    """

    def __init__(self, content: bytes | memoryview = b"", file_name: str | None = None) -> None:
        self.file_name = file_name
        self._size = 0
        self._buffer = bytearray()
        self._file: IO[bytes] | None = None
        self._in_memory_only = False  # no file could be written
        self._kept: list[Reservation] = []
        self._files: list[IO[bytes]] = []
        self._end = weakref.finalize(self, _let_go, self._kept, self._files)
        for position in range(0, len(content), CHUNK_BYTES):
            self.append(content[position : position + CHUNK_BYTES])

    def __len__(self) -> int:
        """Return the number of bytes."""
        return self._size

    @property
    def spooled(self) -> bool:
        """Whether the bytes are in a file."""
        return self._file is not None

    async def write(self, chunk: bytes) -> None:
        """Append bytes; in a thread if a file must be written, because a disk may be slow."""
        if len(self._buffer) + len(chunk) <= IN_MEMORY_BYTES:
            self.append(chunk)
        else:
            await anyio.to_thread.run_sync(self.append, chunk)

    def append(self, chunk: bytes | memoryview) -> None:
        """Append bytes."""
        self._buffer += chunk
        self._size += len(chunk)
        if len(self._buffer) > IN_MEMORY_BYTES and not self._in_memory_only:
            self._spool()

    def keep(self, reservation: Reservation) -> None:
        """Hold a reservation until the bytes are released."""
        self._kept.append(reservation)

    def close(self) -> None:
        """Release the file and the reservation. The bytes can no longer be read."""
        self._end()
        self._buffer.clear()

    def view(self) -> memoryview:
        """Return all bytes without a copy. A file is mapped for as long as the view is referenced."""
        self._settle()
        if self._file is None:
            return memoryview(bytes(self._buffer))
        return memoryview(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ))

    def read(self) -> bytes:
        """Return a copy of all bytes."""
        self._settle()
        return bytes(self._buffer) if self._file is None else os.pread(self._file.fileno(), self._size, 0)

    def chunks(self) -> Iterator[bytes]:
        """Yield all bytes, at most CHUNK_BYTES at a time."""
        self._settle()
        if self._file is None:
            yield bytes(self._buffer)
            return
        for position in range(0, self._size, CHUNK_BYTES):
            yield os.pread(self._file.fileno(), CHUNK_BYTES, position)

    def _settle(self) -> None:
        """Write buffered bytes to the file, if there is one, so that all bytes are in one place."""
        if self._file is not None:
            self._spool()

    def _spool(self) -> None:
        """Write the buffer to the file, which the first call creates. If that fails, keep all bytes in memory."""
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # closed by `_let_go`
                self._files.append(self._file)
            position = self._size - len(self._buffer)
            while self._buffer:
                written = os.pwrite(self._file.fileno(), self._buffer, position)
                position += written
                del self._buffer[:written]
        except OSError:
            self._in_memory_only = True
            if self._file is not None:
                self._read_back(self._file)

    def _read_back(self, file: IO[bytes]) -> None:
        """Read the file's bytes back into memory, before those that were not written, and close the file."""
        self._buffer[:0] = os.pread(file.fileno(), self._size - len(self._buffer), 0)
        self._files.remove(file)
        file.close()
        self._file = None


def _let_go(kept: list[Reservation], files: list[IO[bytes]]) -> None:
    for file in files:
        file.close()
    for reservation in kept:
        reservation.release()


@dataclass(frozen=True)
class UploadedScene:
    """Objects of a scene whose files are kept on disk if they are large. It is pickled as a `SceneInput`."""

    masks: tuple[Upload, ...] = ()
    labels: Upload | None = None
    objects: str | None = None
    finished: Path | None = None
    lost: Mapping[str, Sam3DError] = field(default_factory=dict)

    @property
    def fields(self) -> dict[str, object]:
        """The fields of a form that were sent, by their names."""
        return {name: value for name, value in vars(self).items() if value}

    def __reduce__(self) -> tuple[object, ...]:
        labels = None if self.labels is None else self.labels.read()
        masks = tuple(mask.read() for mask in self.masks)
        return (SceneInput, (masks, labels, self.objects, self.finished, self.lost))


@dataclass(frozen=True)
class UploadedSubmission:
    """Submission whose files are kept on disk if they are large.

    It is pickled as a `Submission` with the files' bytes, to be sent to the engine process.
    """

    photo: Upload
    mask: Upload | None
    options: Options
    depth: Upload | None = None
    pointmap: Upload | None = None
    scene: UploadedScene | None = None

    def __reduce__(self) -> tuple[object, ...]:
        mask, depth, pointmap = (
            None if file is None else file.read() for file in (self.mask, self.depth, self.pointmap)
        )
        return (Submission, (self.photo.read(), mask, self.options, depth, pointmap, self.scene))
