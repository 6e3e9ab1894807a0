"""The answer with a file of a result: whole, a range of it, or its head alone."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, BinaryIO

from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from sam3d_bento.errors import NotFound, StorageUnavailable
from sam3d_bento.serving import problems
from sam3d_bento.serving.assets import GONE, StoredFile
from sam3d_bento.serving.assets.regular_file import open_regular
from sam3d_bento.serving.assets.threads import StorageThreads
from sam3d_bento.serving.request_context import note, request_id


class StoredFileResponse(FileResponse):
    """Starlette's answer with a file, except that the file is opened before the status is sent.

    A result that is removed until then is a 404; one that is removed later is read to its end from the open file. It
    is opened and read in the threads of its store, so that a store that hangs holds up nothing else.
    """

    chunk_size = 256 * 1024  # bytes read at a time; a download has one such piece in memory, or two

    def __init__(self, stored: StoredFile, *, headers: Mapping[str, str], media_type: str) -> None:
        # Without a path: whatever would still open the file by its name fails.
        super().__init__("", headers=headers, media_type=media_type)
        self._stored = stored
        self._file: BinaryIO | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer. A file that is not there, or a store that is silent, is a problem document."""
        try:
            self._file = await self._stored.threads.run(open_regular, self._stored.path)
        except (FileNotFoundError, StorageUnavailable) as exc:
            error = exc if isinstance(exc, StorageUnavailable) else NotFound(GONE)
            request = Request(scope)
            note(request, outcome=error.code, detail=error.detail)
            await problems.response(error, request_id(request))(scope, receive, send)
            return
        try:
            self.stat_result = os.fstat(self._file.fileno())
            self.set_stat_headers(self.stat_result)
            await super().__call__(scope, receive, send)
        finally:
            # In a thread: after a cancelled download, `close` waits for the read that is still under way.
            self._stored.threads.start(self._file.close)

    @asynccontextmanager
    async def _open_file(self) -> AsyncIterator[Any]:
        """Give Starlette the file that is open already; `__call__` closes it."""
        assert self._file is not None
        yield _Reader(self._file, self._stored.threads)


class _Reader:
    """Asynchronous file with the methods that Starlette uses."""

    def __init__(self, file: BinaryIO, threads: StorageThreads) -> None:
        self._file = file
        self._threads = threads

    async def read(self, size: int) -> bytes:
        """Read at most `size` bytes; fewer at the end of the file."""
        return await self._threads.run(self._file.read, size)

    async def seek(self, offset: int) -> None:
        """Set the position of the next read."""
        await self._threads.run(self._file.seek, offset)
