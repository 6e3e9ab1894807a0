"""Store for results in an object store, so that every service process can answer every link.

Owns `<folder>/<id>.glb` and the files beside it (`assets.KINDS`; id: 128 random bits in hex) and the `.probe` objects
of `claim`. Nothing else in the bucket is read or changed. The time to live begins at the object's time of writing in
the store, and any process may remove expired objects. Other files of a result expire with its GLB, and those of a
result that is kept do not expire. Only kept results have a byte quota, for which the folder is listed at each keeping;
two at the same time may go beyond it together. Clients fetch from the store itself, by signed links.

A call for a request ends within PATIENCE_SECONDS, even if the store hangs.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from logging import ERROR, getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import from_url

from sam3d_bento import logs
from sam3d_bento.errors import NoRoomToKeep, NotFound, StorageUnavailable
from sam3d_bento.serving.assets import (
    ASSET_ID,
    ASSET_NAME,
    DISPOSITIONS,
    GONE,
    KEEPS_NOTHING,
    KEPT,
    KINDS,
    MEDIA_TYPES,
    NO_ROOM_TO_KEEP,
    Holding,
    Kind,
    StoredObject,
    download_name,
)
from sam3d_bento.serving.assets.credentials import CredentialsFile
from sam3d_bento.serving.assets.regular_file import open_regular
from sam3d_bento.serving.assets.threads import StorageThreads

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta
    from obstore.store import AzureStore, ClientConfig, GCSStore, RetryConfig, S3Store

    SigningStore = AzureStore | GCSStore | S3Store

OWN_NAME = re.compile(rf"{ASSET_NAME.pattern}|[0-9a-f]{{32}}\.probe")
# Time to begin a download by a signed link. Clients keep the service's own link, which redirects to a new signed one.
LINK_LIFETIME = timedelta(minutes=5)
# Pause between two sweeps. Expired results are not served anyway, and every listing of the bucket costs money.
SWEEP_SECONDS = 600.0
# Objects that S3 lists or deletes in one request.
PAGE = 1000

# Longest call for a request.
PATIENCE_SECONDS = 30
# One attempt may take as long as 40 MB at 16 Mbit/s. An attempt that fails earlier is repeated while time is left.
CLIENT: ClientConfig = {"connect_timeout": timedelta(seconds=3), "timeout": timedelta(seconds=20)}
RETRY: RetryConfig = {"max_retries": 3, "retry_timeout": timedelta(seconds=8)}

log = getLogger("sam3d_bento.bucket")


class Bucket:
    """Store for results in an object store. `assets.Assets` describes the methods.

    url: `s3://bucket/folder`, or gs:// or az://. endpoint, region, credentials_file: for s3:// only.
    """

    setting = "SAM3D_OUTPUT_URL"
    sweep_seconds = SWEEP_SECONDS

    def __init__(
        self,
        url: str,
        ttl_seconds: float,
        *,
        keep_max_bytes: int | None = None,
        endpoint: str | None = None,
        region: str | None = None,
        credentials_file: Path | None = None,
    ) -> None:
        self.url = url
        self.ttl = timedelta(seconds=ttl_seconds)
        self.keep_max_bytes = keep_max_bytes
        self.origin: str | None = None
        self._endpoint = endpoint
        self._region = region
        self._credentials_file = credentials_file
        self._threads = StorageThreads("bucket-copies")

    @cached_property
    def _store(self) -> SigningStore:
        """Client of the object store, made at the first use, where an error of its settings is handled."""
        options: dict[str, Any] = {}
        if self._endpoint:
            options["endpoint"] = self._endpoint
        if self._region:
            options["region"] = self._region
        if self._credentials_file:
            options["credential_provider"] = CredentialsFile(self._credentials_file)
        # Keys are sent unencrypted only if the endpoint's address begins with http://.
        client: ClientConfig = {**CLIENT, "allow_http": (self._endpoint or "").startswith("http://")}
        store = from_url(self.url, client_options=client, retry_config=RETRY, **options)
        return cast("SigningStore", store)  # the setting allows no other schemes

    def claim(self) -> None:
        """Check that objects can be written, listed and removed. Raises StorageUnavailable if not."""
        probe = f"{secrets.token_hex(16)}.probe"
        with _answered_for("claim"):
            obstore.put(self._store, probe, b"", use_multipart=False)
            next(iter(obstore.list(self._store, chunk_size=1)), None)
            obstore.delete(self._store, probe)
            link = urlsplit(obstore.sign(self._store, "GET", probe, LINK_LIFETIME))
        self.origin = f"{link.scheme}://{link.netloc}"

    async def put(self, glb: bytes, reconstruction: Path | None = None) -> str:
        """Store a GLB and return the new asset's id. Raises StorageUnavailable.

        If the reconstruction cannot be stored, the asset is stored without it.
        """
        asset_id = secrets.token_hex(16)
        name = download_name.of_glb(glb[: download_name.HEAD_BYTES])
        companion = asyncio.ensure_future(self._put_reconstruction(asset_id, reconstruction, name))
        try:
            await self._put(asset_id, "glb", glb, name)
        finally:
            await companion
        return asset_id

    async def add(self, asset_id: str, kind: Kind, content: bytes) -> None:
        """Store another file of the asset. Raises like `get`."""
        await self._put(asset_id, kind, content, await self.name(asset_id))

    async def get(self, asset_id: str, kind: Kind = "glb", *, lifetime: timedelta = LINK_LIFETIME) -> StoredObject:
        """Return signed links to a file of the asset. Raises NotFound if it does not exist or has expired.

        lifetime: longest time for which the links work. They never outlive the asset.
        Raises StorageUnavailable too.
        """
        with _answered_for("get"):
            async with asyncio.timeout(PATIENCE_SECONDS):
                left = await self._time_left(asset_id, kind)
                lifetime = max(min(lifetime, left), timedelta(seconds=1))  # signatures use whole seconds
                name = f"{asset_id}.{kind}"
                return StoredObject(
                    asset_id,
                    {
                        "GET": await obstore.sign_async(self._store, "GET", name, lifetime),
                        "HEAD": await obstore.sign_async(self._store, "HEAD", name, lifetime),
                    },
                )

    async def name(self, asset_id: str) -> str:
        """Return what the result is called, from the beginning of its GLB. Raises like `get`."""
        with _answered_for("name"):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._time_left(asset_id, "glb")
                return download_name.of_glb(await self._head(asset_id))

    @contextlib.asynccontextmanager
    async def local(self, asset_id: str, *kinds: Kind) -> AsyncIterator[dict[Kind, Path]]:
        """Yield copies of the files, which are removed after the block. Raises like `get`, and OSError."""
        with tempfile.TemporaryDirectory() as folder:
            paths: dict[Kind, Path] = {}
            with _answered_for("local"):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._time_left(asset_id, "glb")
                    for kind in kinds:
                        with contextlib.suppress(FileNotFoundError):
                            paths[kind] = await self._copy(f"{asset_id}.{kind}", Path(folder))
            yield paths

    async def look_up(self, asset_id: str) -> Holding:
        """Return what the store has of the asset. Raises like `get`."""
        with _answered_for("look_up"):
            async with asyncio.timeout(PATIENCE_SECONDS):
                left = await self._time_left(asset_id, "glb")
                found = await asyncio.gather(*(self._size(asset_id, kind) for kind in KINDS))
                sizes = {kind: size for kind, size in zip(KINDS, found, strict=True) if size is not None}
                extras = download_name.extras_of_glb(await self._head(asset_id))
                return Holding(asset_id, sizes, extras, None if KEPT in sizes else left.total_seconds())

    async def keep(self, asset_id: str) -> None:
        """Mark the asset as kept. Raises NotFound, also where none can be kept, NoRoomToKeep and StorageUnavailable."""
        if self.keep_max_bytes is None:
            raise NotFound(KEEPS_NOTHING)
        with _answered_for("keep"):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._time_left(asset_id, "glb")
                if await self._size(asset_id, KEPT) is not None:
                    return
                sizes: defaultdict[str, int] = defaultdict(int)
                kept = {asset_id}
                async for page in obstore.list(self._store, chunk_size=PAGE):
                    for meta in page:
                        if OWN_NAME.fullmatch(meta["path"]):
                            owner, _, kind = meta["path"].partition(".")
                            sizes[owner] += meta["size"]
                            if kind == KEPT:
                                kept.add(owner)
        if sum(sizes[owner] for owner in kept) > self.keep_max_bytes:
            raise NoRoomToKeep(NO_ROOM_TO_KEEP)
        await self._put(asset_id, KEPT, b"", asset_id)

    async def release(self, asset_id: str) -> None:
        """Remove the mark of `keep`. Raises like `get`."""
        with _answered_for("release"):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._time_left(asset_id, "glb")
                with contextlib.suppress(FileNotFoundError):
                    await obstore.delete_async(self._store, f"{asset_id}.{KEPT}")

    async def delete(self, asset_id: str) -> None:
        """Remove the asset. Raises like `get`."""
        with _answered_for("delete"):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._time_left(asset_id, "glb")
                for kind in KINDS:
                    with contextlib.suppress(FileNotFoundError):
                        await obstore.delete_async(self._store, f"{asset_id}.{kind}")

    def sweep(self) -> int:
        """Remove expired objects, page by page; return their number. Raises StorageUnavailable.

        Whether a result is kept is known only at the end of the list, so nothing is removed before.
        """
        expired: list[str] = []
        ids: dict[Kind, set[str]] = {"glb": set(), KEPT: set()}
        with _answered_for("sweep"):
            for page in obstore.list(self._store, chunk_size=PAGE):
                own = [meta for meta in page if OWN_NAME.fullmatch(meta["path"])]
                expired += [meta["path"] for meta in own if not self._left(meta)]
                for owner, _, kind in (meta["path"].partition(".") for meta in own):
                    if kind in ids:
                        ids[kind].add(owner)
            kept = ids[KEPT] & ids["glb"]  # the files of a result without its GLB are left from a broken removal
            going = [path for path in expired if path.partition(".")[0] not in kept]
            for start in range(0, len(going), PAGE):
                # If another process sweeps at the same time, some stores report objects that are already gone.
                with contextlib.suppress(FileNotFoundError):
                    obstore.delete(self._store, going[start : start + PAGE])
        return len(going)

    async def _put(self, asset_id: str, kind: Kind, content: bytes | BinaryIO, name: str) -> None:
        # The signed links of obstore cannot set response headers, so the object carries them.
        attributes = {
            "Content-Type": MEDIA_TYPES[kind],
            "Content-Disposition": download_name.content_disposition(DISPOSITIONS[kind], name, kind),
            "Cache-Control": f"private, max-age={int(self.ttl.total_seconds())}, immutable",
        }
        with _answered_for("put"):
            async with asyncio.timeout(PATIENCE_SECONDS):
                # In one request if it fits, because an interrupted upload then leaves nothing behind.
                await obstore.put_async(
                    self._store, f"{asset_id}.{kind}", content, attributes=attributes, use_multipart=kind == "npz"
                )

    async def _head(self, asset_id: str) -> bytes:
        """Return the beginning of the asset's GLB. Raises FileNotFoundError."""
        options: GetOptions = {"range": (0, download_name.HEAD_BYTES)}
        found = await obstore.get_async(self._store, f"{asset_id}.glb", options=options)
        return bytes(await found.bytes_async())

    async def _size(self, asset_id: str, kind: Kind) -> int | None:
        """Return the bytes of a file of the asset; None if there is none."""
        with contextlib.suppress(FileNotFoundError):
            return (await obstore.head_async(self._store, f"{asset_id}.{kind}"))["size"]
        return None

    async def _put_reconstruction(self, asset_id: str, reconstruction: Path | None, name: str) -> None:
        if reconstruction is None:
            return
        # An error is in the log. The GLB is returned without its reconstruction.
        with contextlib.suppress(StorageUnavailable), open_regular(reconstruction) as file:
            await self._put(asset_id, "npz", file, name)

    async def _copy(self, name: str, folder: Path) -> Path:
        """Copy an object to a file of the same name in the folder, and return its path. Raises FileNotFoundError."""
        found = await obstore.get_async(self._store, name)
        path = folder / name
        with path.open("wb") as file:
            async for chunk in found.stream():
                await self._threads.run(file.write, chunk)
        return path

    async def _time_left(self, asset_id: str, kind: Kind) -> timedelta:
        """Return how long the asset is still served; the whole time to live if it is kept.

        Raises NotFound if it has no such file or has expired.
        """
        if ASSET_ID.fullmatch(asset_id):
            with contextlib.suppress(FileNotFoundError):
                left = self._left(await obstore.head_async(self._store, f"{asset_id}.glb"))
                if kind != "glb":
                    await obstore.head_async(self._store, f"{asset_id}.{kind}")
                if left:
                    return left
                if await self._size(asset_id, KEPT) is not None:
                    return self.ttl
        raise NotFound(GONE)

    def _left(self, meta: ObjectMeta) -> timedelta:
        """Return how long the object is still served; zero if it has expired."""
        return max(meta["last_modified"] + self.ttl - datetime.now(UTC), timedelta())


@contextlib.contextmanager
def _answered_for(action: str) -> Iterator[None]:
    """Turn errors of the client into StorageUnavailable. The log has the store's own message."""
    try:
        yield
    except (BaseError, OSError, ValueError) as exc:
        # The first line is enough; the others repeat it at length. It contains no key: requests are signed by header.
        words = (str(exc).splitlines() or [type(exc).__name__])[0]
        logs.event(log, "the object store failed", ERROR, action=action, kind=type(exc).__name__, error=words)
        raise StorageUnavailable(_sentence(exc), retry_after_seconds=5) from None


def _sentence(exc: Exception) -> str:
    if isinstance(exc, (PermissionDeniedError, UnauthenticatedError)):
        return "The object store for results refuses the service."
    if isinstance(exc, FileNotFoundError):
        return "The bucket for results does not exist."
    return "The object store for results does not respond, or responds with an error. Try again later."
