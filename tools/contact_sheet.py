"""`make contact-sheet`: show what the preview engine makes of twelve photos, from five sides, in one picture.

Six are real photos that scikit-image ships, whose licences allow it; six are rendered by tools/sample_photos.py. All go
the whole way: the mask network, the engine, the exporter; what is shown is the GLB.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
import skimage
from PIL import Image

from sam3d_bento.options import Options
from sam3d_bento.pipeline import Pipeline
from sam3d_bento.settings import Settings
from sam3d_bento.submission import Submission
from tools.render_glb import load, picture_row
from tools.sample_objects import MORE_OBJECTS, OBJECTS
from tools.sample_photos import photograph

SHEET = Path(__file__).parents[1] / "docs" / "samples" / "contact-sheet.jpg"
SKIMAGE = Path(skimage.__file__).parent / "data"

# Real photos: the file, and the part of it in pixels (left, top, right, bottom); None: all of it. Their licences as
# scikit-image's documentation of its data has them.
REAL = {
    "coffee": ("coffee.png", None),  # Rachel Michetti, CC0
    "rocket": ("rocket.jpg", (180, 60, 460, 427)),  # SpaceX, public domain
    "astronaut": ("astronaut.png", None),  # NASA, public domain
    "cat": ("chelsea.png", None),  # Stefan van der Walt, CC0
    "photographer": ("camera.png", None),  # Lav Varshney, CC0
    "clock": ("clock_motion.png", None),  # Stefan van der Walt, public domain; blurred by motion
}
RENDERED = OBJECTS | MORE_OBJECTS
PHOTO_PIXELS = 640  # side of a rendered photo
VIEWS = (0.0, 45.0, 90.0, 180.0, 300.0)  # azimuths in degrees
ELEVATION = 12.0  # degrees
VIEW_PIXELS = 150
COLUMNS = 2  # of rows beside each other
JPEG_QUALITY = 82  # keeps the file below 400 kB


def main() -> None:
    pipeline = Pipeline.load(Settings(engine="preview", mask_dir=Settings.from_environ().mask_dir))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in (*REAL, *RENDERED):
            photo, glb = Path(folder) / f"{name}.png", Path(folder) / f"{name}.glb"
            photo.write_bytes(take(name))
            made = pipeline.run(Submission(photo.read_bytes(), None, Options()), lambda stage, fraction: None)
            glb.write_bytes(made.glb)
            rows.append(picture_row(load(glb), VIEWS, ELEVATION, VIEW_PIXELS, photo))
            print(f"{name:14} {made.report['details']['shape']:20} {', '.join(made.report['warnings'])}", flush=True)
    height = -(-len(rows) // COLUMNS)
    columns = [np.concatenate(rows[start : start + height]) for start in range(0, len(rows), height)]
    Image.fromarray(np.concatenate(columns, axis=1)).save(SHEET, quality=JPEG_QUALITY, optimize=True)
    print(f"{SHEET.name}  {SHEET.stat().st_size / 1e3:.0f} kB")


def take(name: str) -> bytes:
    """Return the photo of this name as a PNG: rendered, or from scikit-image."""
    if name in REAL:
        file, part = REAL[name]
        with Image.open(SKIMAGE / file) as opened:
            picture = opened.convert("RGB").crop(part) if part else opened.convert("RGB")
    else:
        picture = Image.fromarray(photograph(RENDERED[name](), PHOTO_PIXELS))
    png = io.BytesIO()
    picture.save(png, "PNG")
    return png.getvalue()


if __name__ == "__main__":
    main()
