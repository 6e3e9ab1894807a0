"""Bundle a model for a web page: a small GLB, a USDZ for iPhones, a picture, and a page that shows them."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from sam3d_bento.export.conversion import zipped

# The element that shows the model, as Google serves it. The version is pinned, so that the page stays the same.
MODEL_VIEWER = "https://ajax.googleapis.com/ajax/libs/model-viewer/4.4.0/model-viewer.min.js"

PAGE = """<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}</title>
<!-- Upload the files beside this one, and copy the two elements below into your page. -->
<script type="module" src="{viewer}"></script>
<model-viewer src="{file}.glb" ios-src="{file}.usdz" poster="{file}.webp" alt="{name}"
              ar camera-controls shadow-intensity="1" style="width: 100%; height: 80vh"></model-viewer>
"""


def to_web(glb: bytes, usdz: bytes, picture: bytes, name: str) -> bytes:
    """Return a zip archive of the files and of a page with a `<model-viewer>` element that shows them.

    glb: of few bytes, for viewers without a decoder. picture: a WebP. name: of the model, and of its files.
    """
    page = PAGE.format(viewer=MODEL_VIEWER, name=escape(name), file=escape(quote(name)))
    return zipped({"index.html": page.encode(), f"{name}.glb": glb, f"{name}.usdz": usdz, f"{name}.webp": picture})
