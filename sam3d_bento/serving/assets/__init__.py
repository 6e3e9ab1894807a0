"""Interface of the stores for finished results, which are served by links that cannot be guessed and that expire.

A result consists of a GLB and optional further files: the reconstruction that it was exported from, its picture, and
the model in other formats. They are named `<id>.glb`, `<id>.npz`, `<id>.webp`, `<id>.usdz`, `<id>.obj.zip` and so on
(id: 128 random bits in hex). All expire with the GLB.

An empty file `<id>.kept` marks a result that a client keeps: it does not expire, and counts in a quota of its own. The
mark lies beside the files, so it holds after a restart and in every process that uses the store.

`Assets` is the interface. `folder.AssetFolder` stores results in a folder, `bucket.Bucket` in an object store.
"""

from __future__ import annotations

import os
import re
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from sam3d_bento.formats import FILE_TYPES
from sam3d_bento.serving.assets.threads import StorageThreads

# Kind of a result's file, named by its suffix: one of KINDS.
Kind = str
# The model in other formats. Each can be made again, so these are the first to be removed when room is short.
DERIVED_KINDS: tuple[Kind, ...] = tuple(kind.suffix for name, kind in FILE_TYPES.items() if name != "glb")
# The mark of a result that is kept. No link leads to it.
KEPT: Kind = "kept"
# The model, the reconstruction that it was exported from, its picture, the model in other formats, and the mark. The
# GLB is the first: without it the others are not served.
KINDS: tuple[Kind, ...] = ("glb", "npz", "webp", *DERIVED_KINDS, KEPT)
# Kinds that a link can name, as an id is as good as a key for reading.
LINKED_KINDS: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind not in ("npz", KEPT))

GLB_MEDIA_TYPE = FILE_TYPES["glb"].media_type
MEDIA_TYPES: dict[str, str] = {
    "npz": "application/octet-stream",
    KEPT: "application/octet-stream",
    "webp": "image/webp",
    **{kind.suffix: kind.media_type for kind in FILE_TYPES.values()},
}
# Kinds that a browser shows instead of saving: pictures, and USDZ for Quick Look.
SHOWN_KINDS: frozenset[Kind] = frozenset({"webp", "usdz"})
Disposition = Literal["inline", "attachment"]
DISPOSITIONS: dict[Kind, Disposition] = {kind: "inline" if kind in SHOWN_KINDS else "attachment" for kind in KINDS}
# Message for an id that is unknown, expired or invalid. It is the same for all, so that ids cannot be probed.
GONE = "There is no such result, or its link has expired."
KEEPS_NOTHING = "This service keeps no results: download the files instead. Its operator can set SAM3D_KEEP_MAX_BYTES."
NO_ROOM_TO_KEEP = (
    "The kept results fill their quota. Delete one of them, or end its keeping with DELETE to /api/assets/ID/keep, and"
    " try again."
)

ASSET_ID = re.compile(r"[0-9a-f]{32}")
ASSET_NAME = re.compile(rf"[0-9a-f]{{32}}\.({'|'.join(map(re.escape, KINDS))})")


@dataclass(frozen=True)
class Holding:
    """What the store has of a result.

    sizes: bytes of its files by their kinds. extras: what its GLB says of itself; empty if it cannot be read.
    expires_in_seconds: None for a result that is kept.
    """

    id: str
    sizes: dict[Kind, int]
    extras: dict[str, Any]
    expires_in_seconds: float | None


@dataclass(frozen=True)
class StoredFile:
    """Available file of a result on this machine. threads: pool in which to read it.

    expires_in_seconds: how long a copy of it may be used; the whole time to live for a result that is kept.
    """

    id: str
    path: Path
    stat: os.stat_result
    expires_in_seconds: float
    threads: StorageThreads


@dataclass(frozen=True)
class StoredObject:
    """Available file of a result in an object store. links: signed links by method, GET and HEAD."""

    id: str
    links: dict[str, str]


class Assets(Protocol):
    """Store for results. `claim` and `sweep` block, so call them in threads. The other methods never block the loop."""

    setting: str
    """Environment variable that selects the store."""
    sweep_seconds: float
    """Pause between two sweeps."""
    keep_max_bytes: int | None
    """Quota of the assets that are kept; None where none can be kept."""
    origin: str | None
    """Origin of the links (scheme, host and port), known after `claim`. None: the links lead to this service."""

    def claim(self) -> None:
        """Check that results can be stored. Raises OSError or StorageUnavailable if not."""

    def sweep(self) -> int:
        """Remove expired files; return their number. Raises OSError or StorageUnavailable."""

    async def put(self, glb: bytes, reconstruction: Path | None = None) -> str:
        """Store a GLB, and its reconstruction if there is room; return the new asset's id.

        The caller removes the file of the reconstruction if it still exists. Raises StorageFull, StorageUnavailable or
        OSError.
        """

    async def add(self, asset_id: str, kind: Kind, content: bytes) -> None:
        """Store another file of an asset, for as long as the asset. Raises like `put`, and NotFound.

        For a derived file, only other derived files are removed to make room. Raises StorageFull if it does not fit.
        """

    async def get(self, asset_id: str, kind: Kind = "glb") -> StoredFile | StoredObject:
        """Return a file of the asset. Raises NotFound if it does not exist or has expired, and StorageUnavailable."""

    async def name(self, asset_id: str) -> str:
        """Read the name of the result from its GLB; return it. Raises like `get`."""

    def local(self, asset_id: str, *kinds: Kind) -> AbstractAsyncContextManager[dict[Kind, Path]]:
        """Provide the asset's existing files of these kinds as local files during the block.

        Raises NotFound if the asset does not exist, StorageUnavailable or OSError.
        """

    async def look_up(self, asset_id: str) -> Holding:
        """Return what the store has of the asset. Raises like `get`."""

    async def keep(self, asset_id: str) -> None:
        """Mark the asset as kept, so that it does not expire. Has no effect on one that is kept already.

        Raises NotFound where the store keeps nothing, NoRoomToKeep above the quota of kept assets, and like `get`.
        """

    async def release(self, asset_id: str) -> None:
        """Remove the mark of `keep`: the asset expires as if it had never been kept. Raises like `get`."""

    async def delete(self, asset_id: str) -> None:
        """Remove all files of the asset, kept or not. Raises like `get`."""
