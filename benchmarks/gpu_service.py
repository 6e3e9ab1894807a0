"""The real service on a GPU for the benchmarks: its engine in a process of its own, called without a socket."""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]


def photo_files() -> dict[str, tuple[str, bytes]]:
    """Return the gyroid's photo and its mask as the files of a form: name and PNG of `image` and `mask`."""
    from gyroid import photo
    from PIL import Image

    image, mask = photo()
    files = {}
    for name, pixels in (("image", image), ("mask", (mask * 255).astype("uint8"))):
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "PNG")
        files[name] = (f"{name}.png", content.getvalue())
    return files


@contextmanager
def running_service(engine_loader: str, checkpoints: Path, work: Path) -> Iterator[Any]:
    """Provide an HTTP client of the service, once it is ready; print the seconds until then, and the engine's facts.

    engine_loader: module and class of the engine process's Runner. work: a folder for everything that is written.
    """
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"  # read when bentoml is imported
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp(prefix="prometheus-"))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH", "")])
    from starlette.testclient import TestClient

    from sam3d_bento import service
    from sam3d_bento.serving import backend as backends
    from sam3d_bento.settings import Settings

    changes = {"engine": "sam3d", "checkpoint_dir": checkpoints}
    changes |= {"work_dir": work / "work", "output_dir": work / "outputs"}
    service.settings = Settings.from_environ().model_copy(update=changes)
    service.Backend = lambda settings, **wiring: backends.Backend(settings, engine_loader=engine_loader, **wiring)
    with TestClient(service.Sam3D.to_asgi()) as client:
        started = time.monotonic()
        while (health := client.get("/health")).status_code != 200:
            assert health.json()["status"] == "starting", health.json()
            threading.Event().wait(0.5)
        print(json.dumps({"ready_seconds": round(time.monotonic() - started, 1), **health.json()["engine_facts"]}))
        yield client
