"""Finished results behind links that cannot be guessed and that expire: what every place for them is asked.

A result is a GLB, and beside it, where there are such, the reconstruction that it was exported from, its picture, and
the model in other formats: `<id>.glb`, `<id>.npz`, `<id>.webp`, `<id>.usdz`, `<id>.obj.zip` and so on (id: 128 random
bits in hex). They live equally long, as long as the GLB.

`Assets` is what the service asks of any place; `folder.AssetFolder` is a folder, `bucket.Bucket` an object store.
"""

from __future__ import annotations

import os
import re
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from sam3d_bento.formats import FILE_TYPES
from sam3d_bento.serving.assets.threads import StorageThreads

# A file of a result, named by its suffix: one of KINDS.
Kind = str
# The GLB in another format. Each can be made again, so these are the first to go when room is short.
DERIVED_KINDS: tuple[Kind, ...] = tuple(kind.suffix for name, kind in FILE_TYPES.items() if name != "glb")
# The model, the reconstruction that it was exported from, its picture, and the model in other formats. The GLB is the
# first: without it the others are not served.
KINDS: tuple[Kind, ...] = ("glb", "npz", "webp", *DERIVED_KINDS)

GLB_MEDIA_TYPE = FILE_TYPES["glb"].media_type
MEDIA_TYPES: dict[str, str] = {
    "npz": "application/octet-stream",
    "webp": "image/webp",
    **{kind.suffix: kind.media_type for kind in FILE_TYPES.values()},
}
# A browser shows a picture, and Quick Look a USDZ; the others are saved.
SHOWN_KINDS: frozenset[Kind] = frozenset({"webp", "usdz"})
Disposition = Literal["inline", "attachment"]
DISPOSITIONS: dict[Kind, Disposition] = {kind: "inline" if kind in SHOWN_KINDS else "attachment" for kind in KINDS}
# What a client hears of an id that is unknown, over, or none: nobody learns which.
GONE = "There is no such result, or its link has expired."

ASSET_ID = re.compile(r"[0-9a-f]{32}")
ASSET_NAME = re.compile(rf"[0-9a-f]{{32}}\.({'|'.join(map(re.escape, KINDS))})")


@dataclass(frozen=True)
class StoredFile:
    """A file of a result that can be fetched now, on this machine. threads: for whatever reads it."""

    id: str
    path: Path
    stat: os.stat_result
    expires_in_seconds: float
    threads: StorageThreads


@dataclass(frozen=True)
class StoredObject:
    """A file of a result that can be fetched now, by whoever holds one of these links: one for GET, one for HEAD."""

    id: str
    links: dict[str, str]


class Assets(Protocol):
    """A place for results. `claim` and `sweep` block and are for threads; the others never hold up the event loop."""

    setting: str
    """The environment variable that names the place."""
    sweep_seconds: float
    """How long to wait from one sweep to the next."""
    origin: str | None
    """Where links lead, as browsers compare it (scheme, host and port), once claimed; None: to this service."""

    def claim(self) -> None:
        """See that results can be kept here. Raises OSError or StorageUnavailable when they cannot."""

    def sweep(self) -> int:
        """Remove what has expired; the number removed. Raises OSError or StorageUnavailable."""

    async def put(self, glb: bytes, reconstruction: Path | None = None) -> str:
        """Keep the GLB, and the reconstruction if there is room; the new asset's id. The file stays the caller's.

        Raises StorageFull, StorageUnavailable or OSError.
        """

    async def add(self, asset_id: str, kind: Kind, content: bytes) -> None:
        """Keep another file with an asset, as long as the asset. Raises like `put`, and NotFound.

        A derived file takes no room from anything but other derived files. Raises StorageFull where it does not fit.
        """

    async def get(self, asset_id: str, kind: Kind = "glb") -> StoredFile | StoredObject:
        """A file of the asset. Raises NotFound when there is none, or its time is over, and StorageUnavailable."""

    async def name(self, asset_id: str) -> str:
        """What the result is called, read from its GLB. Raises like `get`."""

    def local(self, asset_id: str, *kinds: Kind) -> AbstractAsyncContextManager[dict[Kind, Path]]:
        """Those of the asset's files that there are, as files of this machine while the block lasts.

        Raises NotFound when the asset is gone, StorageUnavailable or OSError.
        """

    async def delete(self, asset_id: str) -> None:
        """Remove all files of the asset. Raises like `get`."""
