"""Somebody's service that depends on ours: in its process group, and by its address with and without the type.

SAM3D_TESTS_URL: where the service by its address runs.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import bentoml
import httpx
from bentoml.exceptions import BentoMLException
from PIL import Image

from sam3d_bento import Sam3D

ELSEWHERE = os.environ.get("SAM3D_TESTS_URL", "http://127.0.0.1:1")
SMALL = {"target_faces": 1000, "texture_size": 512, "seed": 7}


def as_given(photo: Path, kind: str) -> Any:
    """The photo, as a program may have it."""
    content = photo.read_bytes()
    kinds = {
        "path": lambda: photo,
        "bytes": lambda: content,
        "open file": lambda: photo.open("rb"),
        "image": lambda: Image.open(io.BytesIO(content)),
        "new image": lambda: Image.open(io.BytesIO(content)).copy(),
    }
    return kinds[kind]()


def mask_of(photo: Path) -> bytes:
    """A mask for the tests' disc: its upper half."""
    alpha = Image.open(photo).getchannel("A")
    alpha.paste(0, (0, alpha.height // 2, alpha.width, alpha.height))
    file = io.BytesIO()
    alpha.save(file, "PNG")
    return file.getvalue()


def photo_and_mask(photo: Path, kind: str, masked: bool) -> dict[str, Any]:
    return {"image": as_given(photo, kind), "mask": mask_of(photo) if masked else None}


def socket_in(url: str) -> str:
    """The path of the socket in a `file://` address of BentoML's."""
    return url2pathname(urlsplit(url).path)


def http(url: str) -> httpx.AsyncClient:
    """A client for what no API method does."""
    if url.startswith("file:"):
        transport = httpx.AsyncHTTPTransport(uds=socket_in(url))
        return httpx.AsyncClient(transport=transport, base_url="http://sam3d", timeout=60)
    return httpx.AsyncClient(base_url=url, timeout=60)


@bentoml.service(name="caller", traffic={"timeout": 300})
class Caller:
    near = bentoml.depends(Sam3D)
    far = bentoml.depends(Sam3D, url=ELSEWHERE)
    untyped = bentoml.depends(url=ELSEWHERE)

    def of(self, which: str) -> Any:
        return {"near": self.near, "far": self.far}[which]

    @bentoml.api
    async def make(self, image: Path, which: str, kind: str, masked: bool) -> Path:
        made: Path = await self.of(which).inference(**photo_and_mask(image, kind, masked), **SMALL)
        return made

    @bentoml.api
    async def make_async(self, image: Path, which: str, kind: str, masked: bool) -> Path:
        made: Path = await self.of(which).to_async.inference(*photo_and_mask(image, kind, masked).values(), **SMALL)
        return made

    @bentoml.api
    def make_sync(self, image: Path, which: str, kind: str, masked: bool) -> Path:
        made: Path = self.of(which).to_sync.inference(**photo_and_mask(image, kind, masked), **SMALL)
        return made

    @bentoml.api
    async def make_plain(self, image: Path, which: str) -> Path:
        made: Path = await self.of(which).inference(image)
        return made

    @bentoml.api
    async def make_untyped(self, image: Path) -> Path:
        made: Path = await self.untyped.to_async.inference(image=image, **SMALL)
        return made

    @bentoml.api
    async def link(self, image: Path, which: str) -> dict[str, Any]:
        report: dict[str, Any] = await self.of(which).inference_link(image=image, **SMALL)
        return report

    @bentoml.api
    async def mask(self, image: Path, which: str) -> Path:
        mask: Path = await self.of(which).mask(image=image)
        return mask

    @bentoml.api
    async def job(self, image: Path, which: str) -> dict[str, Any]:
        job: dict[str, Any] = await self.of(which).jobs(image=image, **SMALL)
        async with http(Sam3D.url if which == "near" else ELSEWHERE) as client:
            while job["state"] in ("queued", "running"):
                job = (await client.get(job["links"]["self"])).json()
        return job

    @bentoml.api
    async def refusal(self, image: Path, which: str, faces: int) -> str:
        try:
            await self.of(which).inference(image=image, target_faces=faces)
        except BentoMLException as error:
            return f"{error.error_code.value} {error}"
        return "taken"

    @bentoml.api
    def socket_of_near(self) -> str:
        return socket_in(Sam3D.url)
