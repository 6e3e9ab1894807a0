"""PNG: the chunks that matter of a file, and the pixels of 16 bits. W3C, Portable Network Graphics, third edition."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from sam3d_bento.arrays import UInt8
from sam3d_bento.errors import BadRequest
from sam3d_bento.photo.colour import srgb
from sam3d_bento.photo.colour.icc import MAX_PROFILE_BYTES
from sam3d_bento.photo.colour.spaces import BT709, SRGB, ColourSpace, from_chromaticities, from_cicp
from sam3d_bento.photo.colour.transfer import SRGB as SRGB_TRANSFER
from sam3d_bento.photo.colour.transfer import power
from sam3d_bento.photo.readers.inflated import Inflated
from sam3d_bento.photo.readers.picture import Picture, Size, exif_of, models_of, pillow_picture, with_8_bits

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_USED = (b"IHDR", b"PLTE", b"tRNS", b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"eXIf", b"acTL")
# Texts that hold metadata, by their keyword.
_TEXTS = {
    b"iTXt": b"XML:com.adobe.xmp\0",
    b"tEXt": b"Raw profile type exif\0",
    b"zTXt": b"Raw profile type exif\0",
}
_MAX_TEXT_BYTES = 1_000_000

_DAMAGED = "The PNG image is damaged or cut short; it could not be read."
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # by colour type; those that have 16 bits

# Adam7, section 8.1: first column, first row, columns apart, rows apart
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


@dataclass(frozen=True)
class Chunks:
    """The chunks of the still picture: those of _USED and _TEXTS, the first of each; and the IDAT stream.

    frames: of the animation, and the still picture where it is none of them.
    """

    header: bytes
    named: dict[bytes, bytes]
    idat: bytes
    frames: int

    @property
    def size(self) -> Size:
        """Return (width, height)."""
        width, height = struct.unpack(">II", self.header[:8])
        return width, height

    @property
    def depth(self) -> int:
        """Return the bits of a sample."""
        return self.header[8]

    @property
    def colour_type(self) -> int:
        """Return 0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGB with alpha; others are invalid."""
        return self.header[9]

    @property
    def is_interlaced(self) -> bool:
        """Return whether the rows come in Adam7's passes."""
        return self.header[12] != 0


def open_png(data: bytes) -> Picture:
    """Open a PNG. Raises BadRequest for one without a sound header; its pixels are not looked at."""
    chunks = read_chunks(data)
    # Made anew of what is needed: a reader refuses, or trips over, much in the rest that no picture depends on.
    image = pillow_picture(_file(chunks.header, chunks.named.get(b"PLTE"), chunks.idat), "PNG")

    def load(space: srgb.Space | None, _: Size) -> Image.Image:
        if chunks.depth == 16:
            return _load_16_bits(chunks, space)
        loaded = _loaded(image, chunks)
        transparent = _transparent(chunks)
        if transparent is not None:
            loaded.info["transparency"] = transparent
        return with_8_bits(loaded)

    return Picture(
        size=chunks.size,
        models=models_of(image.mode if chunks.colour_type not in (0, 4) else "L"),
        load=load,
        statements=_statements(chunks.named),
        exif=lambda: exif_of(_exif_block(chunks.named), _xmp(chunks.named)),
        several=chunks.frames > 1,
        in_srgb=chunks.depth == 16,
    )


def read_chunks(data: bytes) -> Chunks:
    """Collect the chunks up to the end of the still picture. Raises BadRequest when there is no sound header.

    Chunks after the picture count too, as far as they are whole; IEND may be missing. An ancillary chunk with a wrong
    checksum is left out, as libpng does; so is a palette that only suggests colours. A chunk that the file ends within
    is the last one.
    """
    named: dict[bytes, bytes] = {}
    idat: list[bytes] = []
    position, ended, is_first_frame = len(_SIGNATURE), False, False
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + length]
        checksum = data[position + 8 + length : position + 12 + length]
        position += 12 + length
        if name == b"IDAT" and not ended:
            idat.append(body)
            continue
        ended = ended or bool(idat)  # IDAT chunks are consecutive, section 5.6
        if name == b"IEND":
            break
        is_first_frame = is_first_frame or (name == b"fcTL" and not ended)
        is_used = name in _USED or (name in _TEXTS and body.startswith(_TEXTS[name]))
        if not is_used or name in named:
            continue
        if zlib.crc32(body, zlib.crc32(name)).to_bytes(4) == checksum:
            named[name] = body
        elif name == b"IHDR" or (name == b"PLTE" and named.get(b"IHDR", b"")[9:10] == b"\3"):
            raise BadRequest("The PNG image is damaged: its header or palette does not fit its checksum.")
    header = named.get(b"IHDR", b"")
    if len(header) < 13:
        raise BadRequest("The PNG image is damaged or cut short: it has no header.")
    frames = int.from_bytes(named.get(b"acTL", b"")[:4])
    return Chunks(header[:13], named, b"".join(idat), frames + (frames > 0 and not is_first_frame))


def _statements(named: dict[bytes, bytes]) -> Iterator[ColourSpace | bytes | None]:
    """Yield what the chunks say of the colour space, by priority: section 4.3."""
    cicp = named.get(b"cICP", b"")
    if len(cicp) == 4 and cicp[2] == 0:
        yield from_cicp(cicp[0], cicp[1], full_range=cicp[3] != 0)
    yield _profile(named.get(b"iCCP"))
    if b"sRGB" in named:
        yield SRGB
    gamma = int.from_bytes(named.get(b"gAMA", b"")[:4])
    transfer = power(100_000 / gamma) if gamma else None
    corners = named.get(b"cHRM", b"")
    chromaticities = None
    if len(corners) == 32:
        chromaticities = from_chromaticities(tuple(value / 100_000 for value in struct.unpack(">8i", corners)))
    if transfer is not None or chromaticities is not None:
        yield ColourSpace(chromaticities or BT709, transfer or SRGB_TRANSFER)


def _profile(chunk: bytes | None) -> bytes | None:
    """Unpack the profile of an iCCP chunk (section 11.3.2.3); None for none, a broken or a huge one."""
    _, nul, rest = (chunk or b"").partition(b"\0")
    if not nul or rest[:1] != b"\0":
        return None
    try:
        return zlib.decompressobj().decompress(rest[1:], MAX_PROFILE_BYTES + 1)
    except zlib.error:
        return None


def _exif_block(named: dict[bytes, bytes]) -> bytes:
    """Return the EXIF block: of its chunk, or as ImageMagick wrote it before there was one, in hexadecimal text."""
    if b"eXIf" in named:
        return b"Exif\0\0" + named[b"eXIf"]
    text = named.get(b"tEXt", b"")[len(_TEXTS[b"tEXt"]) :] or _inflated(
        named.get(b"zTXt", b"")[len(_TEXTS[b"zTXt"]) + 1 :]
    )
    try:
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    except ValueError:
        return b""


def _xmp(named: dict[bytes, bytes]) -> bytes:
    """Return the XMP packet of an iTXt chunk: section 11.3.3.4."""
    body = named.get(b"iTXt", b"")[len(_TEXTS[b"iTXt"]) :]
    text = body[2:].split(b"\0", 2)[-1]
    return _inflated(text) if body[:1] == b"\1" else text


def _inflated(packed: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, _MAX_TEXT_BYTES)
    except zlib.error:
        return b""


def _transparent(chunks: Chunks) -> bytes | int | tuple[int, ...] | None:
    """Return tRNS as Pillow takes it: an alpha for each colour of the palette, or the one transparent colour.

    Samples below 8 bits are spread over 0..255 as the decoder spreads them. Only the low bits count: section 11.3.1.
    """
    body = chunks.named.get(b"tRNS")
    if body is None:
        return None
    if chunks.colour_type == 3:
        return body[:256]
    samples = _CHANNELS[chunks.colour_type]
    if samples not in (1, 3) or len(body) < 2 * samples:
        return None
    top = 2**chunks.depth - 1
    values = tuple((value & top) * (255 // top or 1) for value in struct.unpack(f">{samples}H", body[: 2 * samples]))
    return values if samples == 3 else values[0]


def _file(header: bytes, palette: bytes | None, idat: bytes) -> bytes:
    chunks = [
        (b"IHDR", header),
        *([(b"PLTE", palette)] if palette is not None else []),
        (b"IDAT", idat),
        (b"IEND", b""),
    ]
    return _SIGNATURE + b"".join(
        len(body).to_bytes(4) + name + body + zlib.crc32(body, zlib.crc32(name)).to_bytes(4) for name, body in chunks
    )


def _loaded(image: Image.Image, chunks: Chunks) -> Image.Image:
    """Load `image`; when that fails although the rows are all there, for a checksum at their end, load them anew.

    Raises BadRequest when rows are missing.
    """
    try:
        image.load()
    except OSError:
        rows = Inflated(chunks.idat).read(_inflated_size(chunks))
        if rows is None:
            raise BadRequest(_DAMAGED) from None
        image = pillow_picture(_file(chunks.header, chunks.named.get(b"PLTE"), zlib.compress(rows, 0)), "PNG")
        image.load()
    return image


def _inflated_size(chunks: Chunks) -> int:
    """Return how many bytes all rows have, each with the byte that names its filter."""
    bits = chunks.depth * _CHANNELS.get(chunks.colour_type, 1)
    return sum(height * (1 + (width * bits + 7) // 8) for width, height in _pass_sizes(chunks) if width)


def _pass_sizes(chunks: Chunks) -> list[Size]:
    width, height = chunks.size
    if not chunks.is_interlaced:
        return [(width, height)]
    return [(-((left - width) // columns), -((top - height) // rows)) for left, top, columns, rows in _PASSES]


# --- 16 bits, which Pillow cuts to 8


def _load_16_bits(chunks: Chunks, space: srgb.Space | None) -> Image.Image:
    """Return the picture in sRGB: L, LA, RGB or RGBA, 8 bits. Raises BadRequest when pixels are missing."""
    width, height = chunks.size
    channels = _CHANNELS[chunks.colour_type]
    has_alpha = channels in (2, 4)
    transparent = _transparent_16(chunks, channels)
    grey = channels <= 2 and srgb.is_srgb(space)
    colours = 1 if grey else 3
    out = np.empty((height, width, colours + (has_alpha or transparent is not None)), np.uint8)
    convert = srgb.converter(space)
    for target, levels in _samples(chunks, channels, out):
        visible = levels[..., : channels - has_alpha]
        target[..., :colours] = srgb.to_8_bits(visible) if grey else convert(visible)
        if has_alpha:
            target[..., -1] = srgb.to_8_bits(levels[..., -1])
        elif transparent is not None:
            target[..., -1] = np.where((visible == transparent).all(axis=-1), 0, 255)
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[out.shape[2]]
    return Image.frombuffer(mode, (width, height), out, "raw", mode, 0, 1)


def _transparent_16(chunks: Chunks, channels: int) -> npt.NDArray[np.uint16] | None:
    body = chunks.named.get(b"tRNS")
    if body is None or channels not in (1, 3) or len(body) < 2 * channels:
        return None
    return np.frombuffer(body[: 2 * channels], ">u2").astype(np.uint16)


def _samples(chunks: Chunks, channels: int, out: UInt8) -> Iterator[tuple[UInt8, npt.NDArray[np.uint16]]]:
    """Yield (the part of `out` that they belong to, samples (h, w, channels) uint16), band by band."""
    stream = Inflated(chunks.idat)
    for left, top, columns, rows in _PASSES if chunks.is_interlaced else ((0, 0, 1, 1),):
        part = out[top::rows, left::columns]
        height, width = part.shape[:2]
        if not height or not width:
            continue
        above = bytes(2 * channels * width)
        for first, end in srgb.bands((width, height)):
            filtered = stream.read((end - first) * (1 + len(above)))
            if filtered is None:
                raise BadRequest(_DAMAGED)
            levels = _unfiltered(filtered, above, (width, end - first), channels)
            above = levels[-1].astype(">u2").tobytes()
            yield part[first:end], levels


def _unfiltered(filtered: bytes, above: bytes, size: Size, channels: int) -> npt.NDArray[np.uint16]:
    """Undo the row filters (section 9) of a band by Pillow's decoder. above: the samples of the row before it.

    The band becomes a PNG of its own whose bytes are samples of 8 bits. Filters work on bytes, at the distance of a
    pixel; so a pixel of 1, 2, 3 or 4 samples of 16 bits is read as what Pillow has of the same number of bytes.
    """
    width, height = size
    # The filter of the row that stands for `above` is 0: none.
    rows = zlib.compress(b"\0" + above + filtered, 0)
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height + 1, 16, colour_type, 0, 0, 0)
    data = _file(header, None, rows)
    if channels <= 2:  # two or four bytes: exactly a pixel of LA or RGBA at 8 bits
        mode = {1: "LA", 2: "RGBA"}[channels]
        header = struct.pack(">IIBBBBB", width, height + 1, 8, {1: 4, 2: 6}[channels], 0, 0, 0)
        raw = np.asarray(_decoded(_file(header, None, rows), mode, mode))
        pairs = raw.reshape(height + 1, width, channels, 2)
        return _joined(pairs[1:, ..., 0], pairs[1:, ..., 1])
    mode = {3: "RGB", 4: "RGBA"}[channels]
    high = np.asarray(_decoded(data, mode, f"{mode};16B"))
    low = np.asarray(
        _decoded(data, mode, f"{mode};16L")
    )  # taken for the other byte order, the low byte is the high one
    return _joined(high[1:], low[1:])


def _joined(high: npt.NDArray[Any], low: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    samples: npt.NDArray[np.uint16] = (high.astype(np.uint16) << 8) | low
    return samples


def _decoded(data: bytes, mode: str, raw_mode: str) -> Image.Image:
    image = pillow_picture(data, "PNG")
    assert image.mode == mode
    image.tile = [tile._replace(args=raw_mode) for tile in image.tile]  # type: ignore[attr-defined]
    image.load()
    return image
