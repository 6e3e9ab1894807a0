"""Finished GLBs on disk, behind links that cannot be guessed and that expire.

Owns `OUTPUT_DIR/<id>.glb` (id: 128 random bits in hex) and the `.part` files on their way there; nothing else in the
folder is touched. A file appears under its name only when it is whole. A link works for the time to live, over
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

from sam3d_bento.errors import NotFound, StorageFull

ASSET_ID = re.compile(r"[0-9a-f]{32}")
ASSET_NAME = re.compile(r"[0-9a-f]{32}\.glb")
PART_NAME = re.compile(r"\.[0-9a-f]{32}\.part")
PART_TTL_SECONDS = 600  # a write takes milliseconds; what is older was left by a process that died


@dataclass(frozen=True)
class StoredAsset:
    """An asset that can be fetched now."""

    id: str
    path: Path
    stat: os.stat_result
    expires_in_seconds: float


class AssetStore:
    """The folder of results. All methods may be called from any thread."""

    def __init__(self, root: Path, ttl_seconds: float, max_bytes: int) -> None:
        self.root = root
        self.ttl_seconds = ttl_seconds
        self.max_bytes = max_bytes
        self._lock = threading.Lock()

    def claim(self) -> None:
        """Make the folder, and see that it takes files. Raises OSError when it does not."""
        self.root.mkdir(parents=True, exist_ok=True)
        probe = self.root / f".{secrets.token_hex(16)}.part"
        probe.touch(mode=0o600)
        probe.unlink()

    def put(self, glb: bytes) -> str:
        """Keep the bytes; the new asset's id. Raises StorageFull when there is no room for them."""
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

    def get(self, asset_id: str) -> StoredAsset:
        """The asset's file. Raises NotFound when there is none with this id, or its time is over."""
        if ASSET_ID.fullmatch(asset_id):
            path = self.root / f"{asset_id}.glb"
            with contextlib.suppress(FileNotFoundError):
                stat = path.stat()
                left = stat.st_mtime + self.ttl_seconds - time.time()
                if left > 0:
                    return StoredAsset(asset_id, path, stat, left)
        raise NotFound("There is no such result, or its link has expired.")

    def delete(self, asset_id: str) -> None:
        """Remove the asset. Raises NotFound like `get`."""
        self.get(asset_id).path.unlink(missing_ok=True)

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
