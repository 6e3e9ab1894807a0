"""Store for results in a folder, which one process uses, or several on a shared volume. `assets` describes a result.

The store owns the results' files in `OUTPUT_DIR`, and its `.part` files there. Nothing else in the folder is changed. A
file gets its final name only when it is complete. Links work for the time to live, also after a restart. Above the byte
quota, the oldest files in other formats are removed first, then the oldest reconstructions, then the oldest results.
Results that are kept have a quota of their own, within which only their files in other formats are removed for room.

Others may write to a shared volume, so no name in it is trusted: only regular files are read or removed, and a write
always creates a new file. A volume that hangs blocks only this store's own threads.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import re
import secrets
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sam3d_bento import logs
from sam3d_bento.errors import NoRoomToKeep, NotFound, StorageFull, StorageUnavailable
from sam3d_bento.serving.assets import (
    ASSET_ID,
    ASSET_NAME,
    DERIVED_KINDS,
    GONE,
    KEEPS_NOTHING,
    KEPT,
    KINDS,
    NO_ROOM_TO_KEEP,
    Holding,
    Kind,
    StoredFile,
    download_name,
    threads,
)
from sam3d_bento.serving.assets.regular_file import open_regular, stat_regular
from sam3d_bento.serving.assets.threads import StorageThreads

PART_NAME = re.compile(r"\.[0-9a-f]{32}\.part")
# Age from which an incomplete file or result counts as left by a dead process. Writing one takes milliseconds.
PART_TTL_SECONDS = 600

# Bytes that are copied at a time.
COPY_BYTES = 1_000_000
# Permissions of the files, which only this service reads.
FILE_MODE = 0o600

log = logging.getLogger("sam3d_bento.asset_folder")


class AssetFolder:
    """Store for results in a folder, for any thread and event loop. `assets.Assets` describes the methods.

    root: the folder, which `claim` or the first write creates. ttl_seconds: time to live of a result, from the writing
    of its GLB. max_bytes: quota of all files together, without those of results that are kept. keep_max_bytes: quota of
    these; None to keep none.
    """

    setting = "SAM3D_OUTPUT_DIR"
    origin: str | None = None

    def __init__(self, root: Path, ttl_seconds: float, max_bytes: int, *, keep_max_bytes: int | None = None) -> None:
        self.root = root
        self.ttl_seconds = ttl_seconds
        self.max_bytes = max_bytes
        self.keep_max_bytes = keep_max_bytes
        # An expired file is removed after at most a quarter of its time to live, within limits.
        self.sweep_seconds = min(60.0, max(0.5, ttl_seconds / 4))
        self._lock = threading.Lock()
        self._threads = StorageThreads("asset-folder")

    def claim(self) -> None:
        """Create the folder, and check that files can be written to it. Raises OSError if not."""
        self.root.mkdir(parents=True, exist_ok=True)
        probe = self._part()
        _created(probe).close()
        probe.unlink()

    async def put(self, glb: bytes, reconstruction: Path | None = None) -> str:
        """Store a GLB and return the new asset's id. Raises StorageFull if there is no room."""
        patience = threads.WRITE_PATIENCE_SECONDS
        return await self._threads.run(self._put, glb, reconstruction, patience_seconds=patience)

    async def add(self, asset_id: str, kind: Kind, content: bytes) -> None:
        """Store another file of the asset. Raises like `put`, and NotFound."""
        patience = threads.WRITE_PATIENCE_SECONDS
        await self._threads.run(self._add, asset_id, kind, content, patience_seconds=patience)

    async def get(self, asset_id: str, kind: Kind = "glb") -> StoredFile:
        """Return a file of the asset. Raises NotFound if it does not exist or the asset has expired."""
        return await self._threads.run(self._find, asset_id, kind)

    async def name(self, asset_id: str) -> str:
        """Return what the result is called. Raises NotFound like `get`."""
        return await self._threads.run(self._name, asset_id)

    @asynccontextmanager
    async def local(self, asset_id: str, *kinds: Kind) -> AsyncIterator[dict[Kind, Path]]:
        """Yield the paths of the files. A sweep may remove a file while it is in use. Raises NotFound."""
        await self.get(asset_id)
        yield await self._threads.run(self._found, asset_id, kinds)

    async def look_up(self, asset_id: str) -> Holding:
        """Return what the folder has of the asset. Raises NotFound like `get`."""
        return await self._threads.run(self._look_up, asset_id)

    async def keep(self, asset_id: str) -> None:
        """Mark the asset as kept. Raises NotFound, also where none can be kept, and NoRoomToKeep."""
        await self._threads.run(self._keep, asset_id)

    async def release(self, asset_id: str) -> None:
        """Remove the mark of `keep`. Raises NotFound like `get`."""
        await self.get(asset_id)
        await self._threads.run(self._remove, asset_id, (KEPT,))

    async def delete(self, asset_id: str) -> None:
        """Remove the asset. Raises NotFound like `get`."""
        await self.get(asset_id)
        await self._threads.run(self._remove, asset_id, KINDS)

    def _put(self, glb: bytes, reconstruction: Path | None) -> str:
        if len(glb) > self.max_bytes:
            raise StorageFull("The result is larger than the quota for all results. Reduce the faces or the texture.")
        asset_id = secrets.token_hex(16)
        part = None if reconstruction is None else self._move_in(reconstruction, len(glb))
        try:
            with self._lock:
                self._make_room(len(glb))  # the part is already counted
                if part is not None:  # before the GLB, because files without a GLB are not served
                    part.replace(self._path(asset_id, "npz"))
                try:
                    self._put_glb(asset_id, glb)
                except (OSError, StorageFull):
                    self._remove(asset_id, KINDS)
                    raise
        finally:
            if part is not None:
                part.unlink(missing_ok=True)
        return asset_id

    def _put_glb(self, asset_id: str, glb: bytes) -> None:
        try:
            self._write(asset_id, "glb", lambda file: file.write(glb))
        except StorageFull:
            # The disk is smaller than the quota. Remove all reconstructions, including this one's, to keep the result.
            passing = [asset for asset in self._assets() if not asset.kept]
            if not sum(self._remove(asset.id, [*DERIVED_KINDS, "npz"]) for asset in passing):
                raise
            self._write(asset_id, "glb", lambda file: file.write(glb))

    def _move_in(self, reconstruction: Path, more: int) -> Path | None:
        """Move a file into the folder as a part; return the part, or None if it cannot be kept.

        It is kept only if `more` further bytes fit, because an asset is useful without its reconstruction. The move is
        a rename, or a copy without the lock if the work directory is on another file system.
        """
        part = self._part()
        try:
            with open_regular(reconstruction) as file:
                size = os.fstat(file.fileno()).st_size
                if size + more > self.max_bytes:
                    logs.event(log, "no room for a reconstruction", logging.WARNING, bytes=size)
                    return None
                with self._lock:
                    self._make_room(size + more)
                self.root.mkdir(parents=True, exist_ok=True)
                try:
                    _move(file, reconstruction, part)
                except OSError as exc:
                    if exc.errno != errno.EXDEV:
                        raise
                    with _created(part) as copy:
                        shutil.copyfileobj(file, copy, COPY_BYTES)
        except OSError as exc:
            part.unlink(missing_ok=True)
            logs.event(log, "a reconstruction could not be kept", logging.WARNING, error=str(exc.strerror or exc))
            return None
        return part

    def _add(self, asset_id: str, kind: Kind, content: bytes) -> None:
        with self._lock:
            kept = self._is_kept(asset_id)
            if kind not in DERIVED_KINDS and not kept:
                self._make_room(len(content))
            elif not self._make_room(len(content), only=DERIVED_KINDS, kept=kept):
                raise StorageFull("There is no room for another file of this result.")
            self._find(asset_id, "glb")  # raises if the asset was removed to make room
            self._write(asset_id, kind, lambda file: file.write(content))

    def _write(self, asset_id: str, kind: Kind, fill: Callable[[BinaryIO], object]) -> None:
        part = self._part()
        self.root.mkdir(parents=True, exist_ok=True)
        try:
            with _created(part) as file:
                fill(file)
            part.replace(self._path(asset_id, kind))
        except OSError as exc:
            part.unlink(missing_ok=True)
            if exc.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull("The disk for results is full. Try again later.") from exc
            if exc.errno in (errno.EISDIR, errno.ENOTDIR):  # a folder has the file's name
                logs.event(log, "the name of a result's file is taken", logging.ERROR, error=str(exc.strerror))
                raise StorageUnavailable("The file's name in the folder for results is taken by a folder.") from exc
            raise

    def _found(self, asset_id: str, kinds: Iterable[Kind]) -> dict[Kind, Path]:
        """Return the paths of the asset's existing files of these kinds."""
        paths = {kind: self._path(asset_id, kind) for kind in kinds}
        return {kind: path for kind, path in paths.items() if _is_regular(path)}

    def _find(self, asset_id: str, kind: Kind) -> StoredFile:
        if ASSET_ID.fullmatch(asset_id):
            path = self._path(asset_id, kind)
            with contextlib.suppress(FileNotFoundError):
                left = self._time_left(asset_id)
                if left > 0:
                    return StoredFile(asset_id, path, stat_regular(path), min(left, self.ttl_seconds), self._threads)
        raise NotFound(GONE)

    def _time_left(self, asset_id: str) -> float:
        """Return for how many seconds the asset is served: without end if it is kept. Raises FileNotFoundError."""
        left = stat_regular(self._path(asset_id, "glb")).st_mtime + self.ttl_seconds - time.time()
        return math.inf if self._is_kept(asset_id) else left

    def _is_kept(self, asset_id: str) -> bool:
        return _is_regular(self._path(asset_id, KEPT))

    def _look_up(self, asset_id: str) -> Holding:
        with contextlib.suppress(FileNotFoundError):
            extras = download_name.extras_of_file(self._find(asset_id, "glb").path)
            left = self._time_left(asset_id)
            files = self._found(asset_id, KINDS).items()
            sizes = {kind: stat_regular(path).st_size for kind, path in files}
            return Holding(asset_id, sizes, extras, left if math.isfinite(left) else None)
        raise NotFound(GONE)

    def _keep(self, asset_id: str) -> None:
        if self.keep_max_bytes is None:
            raise NotFound(KEEPS_NOTHING)
        with self._lock:
            self._find(asset_id, "glb")
            if self._is_kept(asset_id):
                return
            size = sum(stat_regular(path).st_size for path in self._found(asset_id, KINDS).values())
            if not self._make_room(size, only=DERIVED_KINDS, kept=True):
                raise NoRoomToKeep(NO_ROOM_TO_KEEP)
            self._write(asset_id, KEPT, lambda file: None)

    def _name(self, asset_id: str) -> str:
        with contextlib.suppress(FileNotFoundError):
            return download_name.of_file(self._find(asset_id, "glb").path)
        raise NotFound(GONE)

    def sweep(self) -> int:
        """Remove expired assets and the files of dead processes; return the number of removed files."""
        removed = 0
        now = time.time()
        with self._lock:
            for asset in self._assets():
                if asset.since > now + self.ttl_seconds:  # the clock was set back, so the time to live begins again
                    with contextlib.suppress(OSError):
                        os.utime(self._path(asset.id, "glb"), (now, now), follow_symlinks=False)
                elif asset.whole and asset.kept:
                    continue
                elif asset.since + (self.ttl_seconds if asset.whole else PART_TTL_SECONDS) <= now:
                    removed += self._remove(asset.id, asset.sizes)
            for path, stat in self._parts():
                if stat.st_mtime + PART_TTL_SECONDS <= now:
                    path.unlink(missing_ok=True)
                    removed += 1
            self._make_room(0)
        return removed

    def _make_room(self, size: int, only: Iterable[Kind] | None = None, *, kept: bool = False) -> bool:
        """Remove the oldest files until `size` more bytes fit into the quota; return whether they fit.

        Files in other formats are removed first, then reconstructions, then whole assets. only: remove only these
        kinds. kept: whether the quota and the files are those of the results that are kept.
        """
        assets = sorted((asset for asset in self._assets() if asset.kept == kept), key=lambda asset: asset.since)
        excess = size + sum(sum(asset.sizes.values()) for asset in assets)
        if kept:
            excess -= self.keep_max_bytes or 0
        else:
            excess += sum(stat.st_size for _, stat in self._parts()) - self.max_bytes
        for kinds in (DERIVED_KINDS, ("npz",), KINDS) if only is None else (tuple(only),):
            for asset in assets:
                if excess <= 0:
                    return True
                going = asset.sizes.keys() & set(kinds)
                if asset.whole and going:
                    self._remove(asset.id, going)
                    excess -= sum(asset.sizes.pop(kind) for kind in going)
        return excess <= 0

    def _remove(self, asset_id: str, kinds: Iterable[Kind]) -> int:
        """Remove these files of the asset, and return their number. The GLB goes first: others are not served alone."""
        removed = 0
        for kind in sorted(kinds, key=KINDS.index):
            with contextlib.suppress(FileNotFoundError):
                self._path(asset_id, kind).unlink()
                removed += 1
        return removed

    def _part(self) -> Path:
        """Return a new path for an incomplete file."""
        return self.root / f".{secrets.token_hex(16)}.part"

    def _path(self, asset_id: str, kind: Kind) -> Path:
        return self.root / f"{asset_id}.{kind}"

    def _assets(self) -> list[_Held]:
        """Return the assets in the folder, also incomplete ones."""
        sizes: dict[str, dict[Kind, int]] = defaultdict(dict)
        times: dict[str, dict[Kind, float]] = defaultdict(dict)
        for path, stat in self._files(ASSET_NAME):
            asset_id, _, kind = path.name.partition(".")
            sizes[asset_id][kind] = stat.st_size
            times[asset_id][kind] = stat.st_mtime
        return [_Held(name, sizes[name], times[name].get("glb", min(times[name].values()))) for name in sizes]

    def _parts(self) -> Iterator[tuple[Path, os.stat_result]]:
        return self._files(PART_NAME)

    def _files(self, name: re.Pattern[str]) -> Iterator[tuple[Path, os.stat_result]]:
        """Yield the regular files whose names match, with their status. Files that disappear meanwhile are skipped."""
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self.root):
                if name.fullmatch(entry.name):
                    with contextlib.suppress(FileNotFoundError):
                        if entry.is_file(follow_symlinks=False):
                            yield Path(entry.path), entry.stat(follow_symlinks=False)


def _move(file: BinaryIO, source: Path, target: Path) -> None:
    """Rename the open file from `source` to `target`, with FILE_MODE. Raises OSError, also if it is not at `source`.

    The mode is set by the descriptor, because a name could be replaced by a symbolic link to another file.
    """
    os.fchmod(file.fileno(), FILE_MODE)
    source.replace(target)
    if not os.path.samestat(target.lstat(), os.fstat(file.fileno())):
        raise FileNotFoundError(f"not the file that was opened: {source.name}")


def _is_regular(path: Path) -> bool:
    try:
        stat_regular(path)
    except FileNotFoundError:
        return False
    return True


def _created(path: Path) -> BinaryIO:
    """Create a new file and open it for writing. Raises FileExistsError if the name exists, also as a link."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb")


@dataclass
class _Held:
    """Files of one asset in the folder. sizes: in bytes. since: beginning of the time to live (POSIX time)."""

    id: str
    sizes: dict[Kind, int]
    since: float

    @property
    def whole(self) -> bool:
        """Whether it can be fetched. Otherwise it is still being written, or its writer died."""
        return "glb" in self.sizes

    @property
    def kept(self) -> bool:
        """Whether a client keeps it."""
        return KEPT in self.sizes
