"""A picture made smaller without a copy of its full size."""

from __future__ import annotations

from PIL import Image

# Pixels of a band of rows that is converted at once.
BAND_PIXELS = 2_000_000
_PREMULTIPLIED = {"RGBA": "RGBa", "LA": "La"}


def reduce(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return `image` resized to `size` (width, height) by Pillow's Lanczos filter; colours are weighted by alpha.

    The pixels are those of `Image.resize`. With alpha, that makes a premultiplied copy of the whole first (256 MB of 64
    million pixels); here it is made and reduced in width band by band. The filter works on rows first, then on columns.
    """
    premultiplied = _PREMULTIPLIED.get(image.mode)
    if premultiplied is None:
        return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    narrow = Image.new(premultiplied, (size[0], image.height))
    rows = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height))).convert(premultiplied)
        narrow.paste(band.resize((size[0], band.height), Image.Resampling.LANCZOS), (0, top))
    return narrow.resize(size, Image.Resampling.LANCZOS).convert(image.mode)
