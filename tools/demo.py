"""`make demo`: the whole service on a sample photo, as a client sees it. Exits non-zero when any step fails."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import skimage

if TYPE_CHECKING:
    import httpx
    import trimesh

FOLDER = Path(__file__).parents[1]
OUTPUT = FOLDER / "demo-output"
# A cup of coffee, by Rachel Michetti; public domain, shipped with scikit-image.
PHOTO = Path(skimage.__file__).parent / "data" / "coffee.png"
START_SECONDS = 120.0
RUN_SECONDS = 120.0


def main() -> None:
    OUTPUT.mkdir(exist_ok=True)
    photo = OUTPUT / PHOTO.name
    shutil.copyfile(PHOTO, photo)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="sam3d-demo-") as scratch, (OUTPUT / "server.log").open("w") as log:
        environment = os.environ | {
            "BENTOML_DO_NOT_TRACK": "True",
            "SAM3D_WORK_DIR": f"{scratch}/work",
            "SAM3D_OUTPUT_DIR": f"{scratch}/outputs",
        }
        command = [sys.executable, "-m", "bentoml", "serve", "--port", str(port), "--host", "127.0.0.1"]
        started = time.monotonic()
        server = subprocess.Popen(command, cwd=FOLDER, env=environment, stdout=log, stderr=log)
        try:
            import httpx
            import trimesh  # seconds of imports, while the service starts on another core

            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=RUN_SECONDS) as client:
                wait_until_ready(client, server)
                print(f"service ready      {time.monotonic() - started:.1f} s")
                glb, headers = reconstruct(client, photo)
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
    target = OUTPUT / "coffee.glb"
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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(client: httpx.Client, server: subprocess.Popen[bytes]) -> None:
    from httpx import TransportError

    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up:
        if server.poll() is not None:
            sys.exit("The service ended at its start; demo-output/server.log says why.")
        try:
            answer = client.get("/health")
        except TransportError:
            pass  # not listening yet
        else:
            if answer.status_code == 200:
                return
            if answer.headers["content-type"] == "application/json" and answer.json()["status"] == "failed":
                sys.exit(f"The engine cannot be loaded: {answer.json()['reason']}")
        time.sleep(0.1)
    sys.exit("The service was not ready in time; demo-output/server.log says why.")


def reconstruct(client: httpx.Client, photo: Path) -> tuple[bytes, httpx.Headers]:
    with photo.open("rb") as file:
        answer = client.post("/api/inference", files={"image": (photo.name, file, "image/png")}, data={"seed": "1"})
    if answer.status_code != 200:
        sys.exit(f"{answer.status_code}: {json.dumps(answer.json(), indent=2)}")
    return answer.content, answer.headers


def check(path: Path, mesh: trimesh.Trimesh) -> tuple[int, tuple[int, int]]:
    """What an independent reader found: the number of faces, and the size of the texture."""
    magic, version, _ = struct.unpack("<4sII", path.read_bytes()[:12])
    texture = mesh.visual.material.baseColorTexture
    if (magic, version) != (b"glTF", 2) or not len(mesh.faces) or texture is None:
        sys.exit("The GLB is not a textured mesh.")
    return len(mesh.faces), texture.size


if __name__ == "__main__":
    main()
