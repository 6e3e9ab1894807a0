"""`make samples`: make the sample photos, their results, and the pictures of both in the documentation.

The photos are what `serving/web/samples/samples.json` lists. Photos and results lie beside it, because the studio shows
them. Four photos are rendered, two are real photos that scikit-image ships. The pictures lie in docs/samples.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import skimage
from PIL import Image

from sam3d_bento.options import Options
from sam3d_bento.pipeline import Pipeline
from sam3d_bento.settings import Settings
from sam3d_bento.submission import Submission
from tools.render_glb import load, picture_row
from tools.sample_objects import OBJECTS
from tools.sample_photos import photograph

PROJECT = Path(__file__).parents[1]
SAMPLES = PROJECT / "sam3d_bento" / "serving" / "web" / "samples"
PICTURES = PROJECT / "docs" / "samples"
SKIMAGE = Path(skimage.__file__).parent / "data"

PHOTO_PIXELS = 640  # side of a rendered photo
JPEG_QUALITY = 88
# Real photos: the file, and the part of it in pixels (left, top, right, bottom); None: all of it.
REAL = {"coffee": ("coffee.png", None), "rocket": ("rocket.jpg", (180, 60, 460, 427))}
# Small files: a GLB of 0.3 to 0.4 MB instead of 1 to 2 MB.
OPTIONS = Options(seed=1, target_faces=6000, texture_size=1024, texture_format="jpeg")
VIEWS = (-30.0, 30.0, 90.0, 180.0)  # azimuths in degrees
VIEW_PIXELS = 200
HERO = ("mug", "duck", "crate")  # what the README shows


def samples() -> list[dict[str, str]]:
    """The samples, in the order in which they are offered."""
    return [dict(entry) for entry in json.loads((SAMPLES / "samples.json").read_text())]


def main() -> None:
    names = [Path(sample["file"]).stem for sample in samples()]
    for name in names:
        take(name).save(SAMPLES / f"{name}.jpg", quality=JPEG_QUALITY, optimize=True)
        print(f"photo   {name}.jpg", flush=True)
    pipeline = Pipeline.load(Settings(engine="preview", mask_dir=Settings.from_environ().mask_dir))
    PICTURES.mkdir(exist_ok=True)
    rows = {}
    for name in names:
        photo = SAMPLES / f"{name}.jpg"
        made = pipeline.run(Submission(photo.read_bytes(), None, OPTIONS), lambda stage, fraction: None)
        glb = SAMPLES / f"{name}.glb"
        glb.write_bytes(made.glb)
        rows[name] = picture_row(load(glb), VIEWS, 15.0, VIEW_PIXELS, photo)
        print(f"result  {name}.glb  {len(made.glb) / 1e3:.0f} kB", flush=True)
    for file, shown in (("sheet.jpg", names), ("hero.jpg", HERO)):
        picture = Image.fromarray(np.concatenate([rows[name] for name in shown]))
        picture.save(PICTURES / file, quality=JPEG_QUALITY, optimize=True)


def take(name: str) -> Image.Image:
    """The photo of this name: rendered, or from scikit-image."""
    if name in OBJECTS:
        return Image.fromarray(photograph(OBJECTS[name](), PHOTO_PIXELS))
    file, part = REAL[name]
    with Image.open(SKIMAGE / file) as picture:
        return picture.convert("RGB").crop(part) if part else picture.convert("RGB")


if __name__ == "__main__":
    main()
