"""Finished GLBs on disk, behind links that cannot be guessed and that expire.

`Assets` is what the service asks of any place for results; `AssetStore` is a folder, `bucket.Bucket` an object store.

The folder owns `OUTPUT_DIR/<id>.glb` (id: 128 random bits in hex) and the `.part` files on their way there; nothing
else in it is touched. A file appears under its name only when it is whole. A link works for the time to live, over
restarts too; above the byte quota the oldest assets go first.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import anyio.to_thread

from sam3d_bento.errors import NotFound, StorageFull

GLB_MEDIA_TYPE = "model/gltf-binary"
ASSET_ID = re.compile(r"[0-9a-f]{32}")
ASSET_NAME = re.compile(r"[0-9a-f]{32}\.glb")
PART_NAME = re.compile(r"\.[0-9a-f]{32}\.part")
PART_TTL_SECONDS = 600  # a write takes milliseconds; what is older was left by a process that died


@dataclass(frozen=True)
class StoredFile:
    """An asset that can be fetched now, as a file of this machine."""

    id: str
    path: Path
    stat: os.stat_result
    expires_in_seconds: float


@dataclass(frozen=True)
class StoredObject:
    """An asset that can be fetched now, by whoever holds one of these links: one for GET, one for HEAD."""

    id: str
    links: dict[str, str]


class Assets(Protocol):
    """A place for results. `claim` and `sweep` block and are for threads; the others never hold up the event loop."""

    setting: str
    """The environment variable that names the place."""
    sweep_seconds: float
    """How long to wait from one sweep to the next."""

    def claim(self) -> None:
        """See that results can be kept here. Raises OSError or StorageUnavailable when they cannot."""

    def sweep(self) -> int:
        """Remove what has expired; the number removed. Raises OSError or StorageUnavailable."""

    async def put(self, glb: bytes) -> str:
        """Keep the bytes; the new asset's id. Raises StorageFull, StorageUnavailable or OSError."""

    async def get(self, asset_id: str) -> StoredFile | StoredObject:
        """The asset. Raises NotFound when there is none with this id, or its time is over, and StorageUnavailable."""

    async def delete(self, asset_id: str) -> None:
        """Remove the asset. Raises like `get`."""


class AssetStore:
    """The folder of results: of one process, or on a shared volume of several. For any thread and event loop."""

    setting = "SAM3D_OUTPUT_DIR"

    def __init__(self, root: Path, ttl_seconds: float, max_bytes: int) -> None:
        self.root = root
        self.ttl_seconds = ttl_seconds
        self.max_bytes = max_bytes
        # Often enough that an expired file does not lie for longer than a quarter of its time, but not idly.
        self.sweep_seconds = min(60.0, max(0.5, ttl_seconds / 4))
        self._lock = threading.Lock()

    def claim(self) -> None:
        """Make the folder, and see that it takes files. Raises OSError when it does not."""
        self.root.mkdir(parents=True, exist_ok=True)
        probe = self.root / f".{secrets.token_hex(16)}.part"
        probe.touch(mode=0o600)
        probe.unlink()

    async def put(self, glb: bytes) -> str:
        """Keep the bytes; the new asset's id. Raises StorageFull when there is no room for them."""
        return await anyio.to_thread.run_sync(self._write, glb)

    async def get(self, asset_id: str) -> StoredFile:
        """The asset's file. Raises NotFound when there is none with this id, or its time is over."""
        return await anyio.to_thread.run_sync(self._find, asset_id)

    async def delete(self, asset_id: str) -> None:
        """Remove the asset. Raises NotFound like `get`."""
        found = await self.get(asset_id)
        await anyio.to_thread.run_sync(lambda: found.path.unlink(missing_ok=True))

    def _write(self, glb: bytes) -> str:
        if len(glb) > self.max_bytes:
            raise StorageFull("The result is larger than all the room that is set aside for results.")
        asset_id = secrets.token_hex(16)
        part = self.root / f".{asset_id}.part"
        with self._lock:
            self.root.mkdir(parents=True, exist_ok=True)
            self._make_room(len(glb))
            try:
                descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(glb)
                part.replace(self.root / f"{asset_id}.glb")
            except OSError as exc:
                part.unlink(missing_ok=True)
                if exc.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise StorageFull("The disk for results is full.") from exc
                raise
        return asset_id

    def _find(self, asset_id: str) -> StoredFile:
        if ASSET_ID.fullmatch(asset_id):
            path = self.root / f"{asset_id}.glb"
            with contextlib.suppress(FileNotFoundError):
                stat = path.stat()
                left = stat.st_mtime + self.ttl_seconds - time.time()
                if left > 0:
                    return StoredFile(asset_id, path, stat, left)
        raise NotFound("There is no such result, or its link has expired.")

    def sweep(self) -> int:
        """Remove expired assets and parts of dead writers; the number removed."""
        removed = 0
        now = time.time()
        with self._lock:
            for path, stat in self._files():
                limit = PART_TTL_SECONDS if path.suffix == ".part" else self.ttl_seconds
                if stat.st_mtime + limit <= now:
                    path.unlink(missing_ok=True)
                    removed += 1
            self._make_room(0)
        return removed

    def _make_room(self, size: int) -> None:
        """Remove the oldest assets until `size` more bytes fit into the quota."""
        files = sorted(self._files(), key=lambda entry: entry[1].st_mtime)
        total = sum(stat.st_size for _, stat in files)
        for path, stat in files:
            if total + size <= self.max_bytes:
                return
            if path.suffix == ".glb":
                path.unlink(missing_ok=True)
                total -= stat.st_size

    def _files(self) -> list[tuple[Path, os.stat_result]]:
        """What is ours in the folder, with its stat; files that vanish meanwhile are left out."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self.root):
                if ASSET_NAME.fullmatch(entry.name) or PART_NAME.fullmatch(entry.name):
                    with contextlib.suppress(FileNotFoundError):
                        if entry.is_file(follow_symlinks=False):
                            found.append((Path(entry.path), entry.stat(follow_symlinks=False)))
        return found
