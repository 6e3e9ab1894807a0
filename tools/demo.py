"""`make demo`: the whole service on a sample photo, as a client sees it. Exits non-zero when any step fails."""

from __future__ import annotations

import json
import shutil
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sam3d_bento.cli import local_service
from sam3d_bento.cli.doctor import SAMPLE
from sam3d_bento.errors import NotReady

if TYPE_CHECKING:
    import httpx
    import trimesh

FOLDER = Path(__file__).parents[1]
OUTPUT = FOLDER / "demo-output"
PHOTO = FOLDER.joinpath("sam3d_bento", *SAMPLE)
START_SECONDS = 120.0
RUN_SECONDS = 120.0


def main() -> None:
    OUTPUT.mkdir(exist_ok=True)
    photo = OUTPUT / PHOTO.name
    shutil.copyfile(PHOTO, photo)
    started = time.monotonic()
    with local_service.started() as service:
        import httpx
        import trimesh  # seconds of imports, while the service starts on another core

        service.wait_until_ready(START_SECONDS)
        print(f"service ready      {time.monotonic() - started:.1f} s")
        with httpx.Client(base_url=service.url, timeout=RUN_SECONDS) as client:
            glb, headers = reconstruct(client, photo)
    target = OUTPUT / f"{PHOTO.stem}.glb"
    target.write_bytes(glb)
    faces, texture = check(target, trimesh.load_mesh(target))
    print(f"photo              {photo.relative_to(FOLDER)}")
    print(f"GLB                {target.relative_to(FOLDER)}  ({len(glb) / 1e6:.2f} MB)")
    print(f"faces              {faces}")
    print(f"texture            {texture[0]} x {texture[1]}")
    print(f"engine             {headers['X-Engine']}, seed {headers['X-Seed']}")
    print(f"mask               {headers['X-Mask-Source']}, covers {float(headers['X-Mask-Coverage']):.1%}")
    print(f"warnings           {headers['X-Warnings'] or 'none'}")
    for stage in headers["Server-Timing"].split(", "):
        name, _, milliseconds = stage.partition(";dur=")
        print(f"  {name:<16} {float(milliseconds) / 1000:6.2f} s")


def reconstruct(client: httpx.Client, photo: Path) -> tuple[bytes, httpx.Headers]:
    with photo.open("rb") as file:
        answer = client.post("/api/inference", files={"image": (photo.name, file, "image/jpeg")}, data={"seed": "1"})
    if answer.status_code != 200:
        sys.exit(f"{answer.status_code}: {json.dumps(answer.json(), indent=2)}")
    return answer.content, answer.headers


def check(path: Path, mesh: trimesh.Trimesh) -> tuple[int, tuple[int, int]]:
    """Return the number of faces and the size of the texture, as trimesh reads them."""
    magic, version, _ = struct.unpack("<4sII", path.read_bytes()[:12])
    texture = mesh.visual.material.baseColorTexture
    if (magic, version) != (b"glTF", 2) or not len(mesh.faces) or texture is None:
        sys.exit("The GLB is not a textured mesh.")
    return len(mesh.faces), texture.size


if __name__ == "__main__":
    try:
        main()
    except NotReady as exc:
        sys.exit(str(exc))
