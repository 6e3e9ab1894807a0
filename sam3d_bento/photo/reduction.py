"""A picture made smaller without a copy of its full size."""

from __future__ import annotations

from PIL import Image

# Pixels of a band of rows that is converted at once.
BAND_PIXELS = 2_000_000
REDUCING_GAP = 2.0  # what the averaging leaves for the filter, times `size`; see Pillow's `Image.resize`
_PREMULTIPLIED = {"RGBA": "RGBa", "LA": "La"}


def reduce(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return `image` resized to `size` (width, height) by Pillow's Lanczos filter; colours are weighted by alpha.

    The pixels are those of `Image.resize`. With alpha, that makes a premultiplied copy of the whole first (256 MB of 64
    million pixels); here it is made and reduced in width band by band. The filter works on rows first, then on columns.
    A picture of four times the size or more is averaged before by Pillow, which is done as a whole.
    """
    premultiplied = _PREMULTIPLIED.get(image.mode)
    scale = max(image.width / size[0], image.height / size[1])
    if premultiplied is None or scale >= 2 * REDUCING_GAP:
        return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=REDUCING_GAP)
    narrow = Image.new(premultiplied, (size[0], image.height))
    rows = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height))).convert(premultiplied)
        narrow.paste(band.resize((size[0], band.height), Image.Resampling.LANCZOS), (0, top))
    return narrow.resize(size, Image.Resampling.LANCZOS).convert(image.mode)
