"""TIFF: which reader its pixels need, and what it says of colours. Adobe, TIFF 6.0."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import ExifTags, Image

from sam3d_bento.errors import BadRequest, UnsupportedMedia
from sam3d_bento.photo.colour.exif import from_exif
from sam3d_bento.photo.colour.spaces import BT709, ColourSpace, from_chromaticities
from sam3d_bento.photo.colour.srgb import Space
from sam3d_bento.photo.colour.transfer import SRGB as SRGB_TRANSFER
from sam3d_bento.photo.colour.transfer import Curve, Transfer
from sam3d_bento.photo.readers import tiff_samples
from sam3d_bento.photo.readers.picture import (
    Picture,
    Size,
    exif_of,
    models_of,
    pillow_picture,
    with_8_bits,
    xmp_orientation,
)
from sam3d_bento.photo.readers.tiff_layout import Layout, Tags, read_tags

_ORIENTATION, _TRANSFER_FUNCTION, _WHITE_POINT, _PRIMARIES, _COLOUR_MAP, _PROFILE = 274, 301, 318, 319, 320, 34675
_XMP = 700
_TURNED = (5, 6, 7, 8)  # orientations that swap width and height
_REDUCED = 1  # of NewSubfileType (254): a smaller copy of another picture in the file
_RAW = (32803, 34892)  # PhotometricInterpretation of a sensor's values: TIFF/EP and DNG
_ADVICE = "Send a TIFF of 8 or 16 bits a sample, or a PNG."


def open_tiff(data: bytes) -> Picture:
    """Open a TIFF's first page. Raises UnsupportedMedia for a kind that is not read, BadRequest for a broken file."""
    tags = read_tags(data)
    layout = Layout.of(tags)
    if tags.number(254, 0) & _REDUCED or layout.photometric in _RAW:
        raise UnsupportedMedia("This is a camera raw file, of which only the preview could be read. Send a JPEG.")
    image = None if layout.needs_own_reader else _by_pillow(data)
    if image is None:
        if tags.is_cut or not layout.is_possible:
            raise BadRequest("The TIFF image is damaged or cut short; its directory could not be read.")
        refusal = layout.refusal()
        if refusal:
            raise UnsupportedMedia(f"{refusal} {_ADVICE}")
        return _own_picture(data, tags, layout)

    def load(_: Space | None, size: Size) -> Image.Image:
        try:
            image.load()
        except OSError as exc:
            if layout.is_seldom_read:
                raise UnsupportedMedia(f"{layout.unreadable} {_ADVICE}") from exc
            raise
        colours = tags.numbers(_COLOUR_MAP)
        # TIFF 6.0 wants 16 bits a colour; programs that wrote 8 are older than that, and libtiff reads them too.
        if image.mode in ("P", "PA") and colours and max(colours) < 256:
            third = len(colours) // 3
            image.putpalette(bytes(int(value) for n in range(third) for value in colours[n::third]), "RGB")
        return with_8_bits(image)

    statements = _statements(data, tags, layout)
    # Pillow turns the picture itself while loading, and then reports no orientation. Of XMP's its size knows nothing.
    is_turned = _ORIENTATION not in tags and xmp_orientation(tags.bytes(_XMP)) in _TURNED
    size = image.size[::-1] if is_turned else image.size
    return Picture(size, models_of(image.mode), load, statements, image.getexif, tags.has_more_pages)


def _by_pillow(data: bytes) -> Image.Image | None:
    """Open by Pillow; None for a kind that it does not know, or tags that it trips over."""
    try:
        return pillow_picture(data, "TIFF")
    except (Image.DecompressionBombError, MemoryError):
        raise
    except Exception:  # noqa: BLE001  # what can be wrong in tags is endless; most of them are no matter for pixels
        return None


def _own_picture(data: bytes, tags: Tags, layout: Layout) -> Picture:
    """Return what Pillow does not read. Its orientation is left to the caller, unlike Pillow's."""

    def exif() -> Image.Exif:
        block = exif_of(data)
        from_xmp = xmp_orientation(tags.bytes(_XMP)) or 1
        block[ExifTags.Base.Orientation] = tags.number(_ORIENTATION, from_xmp)
        return block

    def load(space: Space | None, size: Size) -> Image.Image:
        return tiff_samples.load(data, tags, layout, space)

    return Picture(
        layout.size, layout.models, load, _statements(data, tags, layout), exif, tags.has_more_pages, in_srgb=True
    )


def _statements(data: bytes, tags: Tags, layout: Layout) -> Iterator[ColourSpace | bytes | None]:
    """Yield what the tags say of colours: a profile, then sections 20's chromaticities and curve, then EXIF."""
    yield tags.bytes(_PROFILE) or None
    corners = (*tags.numbers(_WHITE_POINT), *tags.numbers(_PRIMARIES))
    primaries = from_chromaticities(tuple(float(value) for value in corners))
    transfer = _curve(tags.numbers(_TRANSFER_FUNCTION), layout.bits)
    if primaries is not None or transfer is not None:
        yield ColourSpace(primaries or BT709, transfer or SRGB_TRANSFER)
    yield from_exif(lambda: exif_of(data))


def _curve(values: tuple[float, ...], bits: int) -> Transfer | None:
    """Return the curve of a TransferFunction: 2 ** bits numbers of 0..65535, once or for each of three channels."""
    steps = 2 ** min(bits, 16)
    if len(values) not in (steps, 3 * steps):
        return None
    table = np.array(values[:steps], np.float32) / 65535
    if (np.diff(table) < 0).any() or table[-1] <= table[0]:
        return None
    x = np.linspace(0, 1, steps)
    if np.abs(table - SRGB_TRANSFER.to_linear(x)).max() < 0.01 or np.abs(table - x**2.2).max() < 0.01:
        return SRGB_TRANSFER
    return Transfer(Curve.TABLE, table=table.tobytes())
