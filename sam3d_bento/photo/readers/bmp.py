"""Read the layouts of bits of a BMP that Pillow does not know, and the colours that its header states.

[MS-WMF] 2.2.2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from sam3d_bento.arrays import UInt8
from sam3d_bento.errors import BadRequest, UnsupportedMedia
from sam3d_bento.photo.colour import srgb
from sam3d_bento.photo.colour.spaces import BT709, SRGB, Chromaticities, ColourSpace, from_chromaticities
from sam3d_bento.photo.colour.transfer import SRGB as SRGB_TRANSFER
from sam3d_bento.photo.colour.transfer import power
from sam3d_bento.photo.readers import bmp_runs
from sam3d_bento.photo.readers.picture import Picture, Size, pillow_picture, with_8_bits

_CORE, _OS2, _V4, _V5 = 12, 64, 108, 124  # sizes of headers in bytes, by which they are identified
_RGB, _BITFIELDS, _ALPHA_BITFIELDS = 0, 3, 6  # compressions that are read here
_RUNS_8, _RUNS_4 = _RUNS = (1, 2)  # run-length encoded, of 8 and of 4 bits
# Compressions that are not read, by their code in a Windows header.
_OTHERS = {4: "JPEG", 5: "PNG", 11: "CMYK", 12: "run-length CMYK", 13: "run-length CMYK"}
_OS2_OTHERS = {3: "Huffman", 4: "run-length of 24 bits"}  # the same codes in an OS/2 header
_CALIBRATED, _EMBEDDED = 0, b"DEBM"  # values of LogicalColorSpace; the second is "MBED" as a little-endian number
_DEFAULT_MASKS = {16: (0x7C00, 0x3E0, 0x1F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}


@dataclass(frozen=True)
class Header:
    """Numbers of the file's and the picture's header.

    offset: first byte of the pixels. size: of the picture's header, in bytes. height: of the picture, positive. masks:
    of red, green, blue, alpha.
    """

    offset: int
    size: int
    width: int
    height: int
    top_down: bool
    bits: int
    compression: int
    colours: int
    masks: tuple[int, int, int, int]

    @property
    def stride(self) -> int:
        """Return the number of bytes of a row, padded to a multiple of four."""
        return (self.width * self.bits + 31) // 32 * 4


def open_bmp(data: bytes) -> Picture:
    """Open a BMP. Raises UnsupportedMedia for a kind that is not read."""
    header = _header(data)
    _refuse_kinds(header)
    if header.compression in (_RGB, _BITFIELDS, _ALPHA_BITFIELDS):
        data = _with_last_padding(data, header)
    if header.bits == 16 and header.masks[3]:  # Pillow ignores the alpha of 16 bits
        return _own_picture(data, header)
    try:
        image = pillow_picture(data, "BMP")
    except (OSError, UnidentifiedImageError):
        return _own_picture(data, header)

    def load(_: srgb.Space | None, size: Size) -> Image.Image:
        loaded = pillow_picture(_without_runs(data, header), "BMP") if header.compression in _RUNS else image
        loaded.load()
        return with_8_bits(loaded)

    return Picture(image.size, ("RGB",), load, _statements(data, header))


def _without_runs(data: bytes, header: Header) -> bytes:
    """Write a run-length encoded picture as a plain one of 8 bits. Raises BadRequest when pixels are missing."""
    size = (header.width, header.height)
    indices = bmp_runs.unpack(data, header.offset, size, four_bits=header.compression == _RUNS_4)
    if indices is None:
        raise BadRequest("The BMP image is damaged or cut short; it could not be read.")
    rows = np.zeros((header.height, (header.width + 3) // 4 * 4), np.uint8)
    rows[:, : header.width] = np.frombuffer(indices, np.uint8).reshape(header.height, header.width)
    end = 14 + header.size
    palette = data[end : end + 4 * (header.colours or 1 << header.bits)][:1024].ljust(1024, b"\0")
    head = bytearray(data[:end])
    struct.pack_into("<I", head, 10, end + len(palette))
    struct.pack_into("<HI", head, 28, 8, _RGB)
    struct.pack_into("<I", head, 46, 256)
    return bytes(head) + palette + rows.tobytes()


def _header(data: bytes) -> Header:
    try:
        offset, size = struct.unpack_from("<II", data, 10)
        if size == _CORE:
            width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
            return Header(offset, size, width, height, False, bits, _RGB, 0, (0, 0, 0, 0))
        width, height, _, bits, compression, _, _, _, colours, _ = struct.unpack_from("<iiHHIIiiII", data, 18)
        masks = (0, 0, 0, 0)
        if compression in (_BITFIELDS, _ALPHA_BITFIELDS) and size != _OS2:
            count = 4 if size >= 56 or compression == _ALPHA_BITFIELDS else 3
            red, green, blue, alpha = (*struct.unpack_from(f"<{count}I", data, 54), 0)[:4]
            masks = (red, green, blue, alpha)
    except struct.error as exc:
        raise BadRequest("The BMP image is damaged or cut short; it has no header.") from exc
    return Header(offset, size, width, abs(height), height < 0, bits, compression, colours, masks)


def _refuse_kinds(header: Header) -> None:
    names = _OS2_OTHERS if header.size == _OS2 else _OTHERS
    if header.compression in names:
        raise UnsupportedMedia(
            f"A BMP with {names[header.compression]} compression is not read. Send a PNG, or a plain BMP."
        )
    if header.bits == 64:
        raise UnsupportedMedia("A BMP of 64 bits a pixel is not read. Send a PNG, or a BMP of 24 or 32 bits.")


def _with_last_padding(data: bytes, header: Header) -> bytes:
    """Append the padding of the last row if a writer left it out; never append what could be a pixel."""
    padding = header.stride - (header.width * header.bits + 7) // 8
    missing = header.offset + header.stride * header.height - len(data)
    return data + bytes(missing) if 0 < missing <= padding else data


def _statements(data: bytes, header: Header) -> Iterator[ColourSpace | bytes | None]:
    """Yield what a header of version 4 or 5 states: [MS-WMF] 2.2.2.11 and 2.1.1.14."""
    if header.size not in (_V4, _V5) or len(data) < 14 + header.size:
        return
    kind = data[70:74]
    if header.size == _V5 and kind == _EMBEDDED:
        start, length = struct.unpack_from("<II", data, 14 + 112)
        yield data[14 + start : 14 + start + length]
    elif int.from_bytes(kind, "little") == _CALIBRATED:
        yield _calibrated(struct.unpack_from("<12I", data, 74))
    else:
        yield SRGB


def _calibrated(numbers: tuple[int, ...]) -> ColourSpace | None:
    """Read end points (CIE XYZ of red, green, blue as 2.30 fixed point) and gammas (16.16). Many files have zeros."""
    corners = [value / 2**30 for value in numbers[:9]]
    sums = [sum(corners[n : n + 3]) for n in (0, 3, 6)]
    gammas = [value / 65536 for value in numbers[9:]]
    primaries = _chromaticities(corners, sums) if min(sums) > 0.01 else None
    transfer = power(sum(gammas) / 3) if min(gammas) > 0 else None
    if primaries is None and transfer is None:
        return None
    return ColourSpace(primaries or BT709, transfer or SRGB_TRANSFER)


def _chromaticities(corners: list[float], sums: list[float]) -> Chromaticities | None:
    white = [sum(corners[n::3]) for n in range(3)]
    if max(sums) - min(sums) < 1e-6 and abs(sums[0] - 1) < 1e-6:  # some programs write x, y, z: white is D65
        points = [*BT709[:2], *(corners[n + k] for n in (0, 3, 6) for k in (0, 1))]
    else:
        points = [white[0] / sum(white), white[1] / sum(white)]
        points += [corners[n + k] / total for n, total in zip((0, 3, 6), sums, strict=True) for k in (0, 1)]
    return from_chromaticities(tuple(points))


# --- layouts of bits that Pillow does not know


def _own_picture(data: bytes, header: Header) -> Picture:
    if header.compression not in (_RGB, _BITFIELDS, _ALPHA_BITFIELDS) or header.bits not in (2, 16, 32):
        raise BadRequest("The BMP image is damaged or cut short; it could not be read.")
    if header.width < 1 or header.height < 1:
        raise BadRequest("The BMP image is damaged: it has no pixels.")

    def load(_: srgb.Space | None, size: Size) -> Image.Image:
        return _load(data, header)

    return Picture((header.width, header.height), ("RGB",), load, _statements(data, header))


def _load(data: bytes, header: Header) -> Image.Image:
    """Unpack rows band by band. Raises BadRequest if pixels are missing."""
    if header.offset + header.stride * header.height > len(data):
        raise BadRequest("The BMP image is damaged or cut short; it could not be read.")
    masks = header.masks if any(header.masks) else _DEFAULT_MASKS.get(header.bits, (0, 0, 0, 0))
    palette = _palette(data, header) if header.bits == 2 else None
    channels = 4 if masks[3] and palette is None else 3
    out = np.empty((header.height, header.width, channels), np.uint8)
    for top, end in srgb.bands((header.width, header.height)):
        stored = np.frombuffer(data, np.uint8, (end - top) * header.stride, header.offset + top * header.stride)
        rows = stored.reshape(end - top, header.stride)
        if palette is not None:
            shifted = rows[:, :, None] >> np.array([6, 4, 2, 0], np.uint8) & 3
            out[top:end] = palette[shifted.reshape(end - top, -1)[:, : header.width]]
        else:
            words = np.ascontiguousarray(rows[:, : header.width * header.bits // 8]).view(f"<u{header.bits // 8}")
            for n in range(channels):
                out[top:end, :, n] = _channel(words.astype(np.uint32), masks[n])
    return Image.fromarray(out if header.top_down else np.ascontiguousarray(out[::-1]))


def _channel(words: np.ndarray[tuple[int, ...], np.dtype[np.uint32]], mask: int) -> UInt8:
    """Return the bits of `mask` in each word, scaled to 0..255."""
    if not mask:
        return np.zeros(words.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    scaled: UInt8 = np.rint((words & np.uint32(mask)) / (1 << shift) * (255 / (mask >> shift))).astype(np.uint8)
    return scaled


def _palette(data: bytes, header: Header) -> UInt8:
    """Return the (4, 3) RGB colours of a palette of 2 bits; missing ones are black."""
    entry = 3 if header.size == _CORE else 4
    start = 14 + header.size
    body = data[start : start + min(header.colours or 4, 4) * entry].ljust(4 * entry, b"\0")
    return np.frombuffer(body, np.uint8).reshape(4, entry)[:, 2::-1].copy()
