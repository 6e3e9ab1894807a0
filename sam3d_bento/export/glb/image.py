"""Encode a texture as a PNG, JPEG or WebP file."""

from __future__ import annotations

import io

from PIL import Image

from sam3d_bento.arrays import UInt8
from sam3d_bento.export.glb.webp import encode_webp

# Bytes of a PNG for each texel. The filtered bytes of a baked texture hardly ever repeat: searching for nothing but
# runs takes a third of the time of a full search, and the files are up to 8 % smaller. The exception is a texture whose
# colours have no noise at all. Its file is smaller than this; then the full search is tried too.
PNG_BYTES_A_TEXEL = 0.5

JPEG_QUALITY = 92  # of 100, with full chroma: 42 dB on textures of strong colours

# Budget of the whole file in bytes for each texel: 0.7 MB for 1024 x 1024 texels.
FILE_BYTES_A_TEXEL = 0.7e6 / 1024**2
LEAST_BYTES_A_TEXEL = 0.3  # minimum for the picture in bytes for each texel, where the geometry leaves less


def encode(texture: UInt8, texture_format: str, beside: int = 0) -> tuple[bytes, str]:
    """Encode a texture (S, S, 3) uint8 sRGB as png, jpeg or webp; return the file and its media type.

    beside: number of bytes that the GLB holds besides the picture; they reduce the budget of a WebP. Equal inputs give
    equal bytes.
    """
    if texture_format == "jpeg":
        return _saved(texture, "JPEG", quality=JPEG_QUALITY, subsampling=0), "image/jpeg"
    if texture_format == "webp":
        texels = texture.shape[0] * texture.shape[1]
        room = max(FILE_BYTES_A_TEXEL * texels - beside, LEAST_BYTES_A_TEXEL * texels)
        return encode_webp(texture, room), "image/webp"
    return _png(texture), "image/png"


def encode_exactly(texture: UInt8, texture_format: str) -> tuple[bytes, str]:
    """Encode a texture (S, S, 3) uint8 without loss: as WebP for `webp`, else as PNG. Returns as `encode`."""
    if texture_format == "webp":
        return _saved(texture, "WEBP", lossless=True, quality=40, method=2), "image/webp"
    return _png(texture), "image/png"


def _png(texture: UInt8) -> bytes:
    """Encode a PNG by searching for runs; if the file is small, also by a full search. Return the smaller file."""
    file = _saved(texture, "PNG", compress_type=Image.RLE)
    if len(file) > PNG_BYTES_A_TEXEL * texture.shape[0] * texture.shape[1]:
        return file
    return min(file, _saved(texture, "PNG"), key=len)


def _saved(texture: UInt8, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(texture).save(file, kind, **options)
    return file.getvalue()
