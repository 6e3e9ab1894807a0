"""TIFF: samples of any depth as a picture of 8 bits, band by band. Adobe, TIFF 6.0, and its Technical Notes 1 and 3."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from sam3d_bento.arrays import UInt8
from sam3d_bento.errors import BadRequest
from sam3d_bento.photo.colour import srgb
from sam3d_bento.photo.readers import tiff_layout as kinds
from sam3d_bento.photo.readers.inflated import Inflated
from sam3d_bento.photo.readers.picture import pillow_picture
from sam3d_bento.photo.readers.tiff_layout import Layout, Tags

Samples = npt.NDArray[Any]  # (rows, width, samples), in the depth of the file
Scale = Callable[[Samples], npt.NDArray[np.uint16]]

_DAMAGED = "The TIFF image is damaged or cut short; it could not be read."
_COLOUR_MAP = 320
_WITH_PREDICTOR = (kinds.LZW, kinds.DEFLATE, kinds.OLD_DEFLATE, 34925, 50000)
_REVERSED = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)[:, ::-1], axis=1)[:, 0]
_BAND_SAMPLES = 1 << 20  # unpacked at a time: each takes up to 40 bytes on the way
# Full scales that numbers of 32 bits and floats come in, smallest first.
_INTEGER_SCALES = (255.0, 65535.0)
_FLOAT_SCALES = (1.0, 255.0, 65535.0)


def load(data: bytes, tags: Tags, layout: Layout, space: srgb.Space | None) -> Image.Image:
    """Return the picture in sRGB: L, LA, RGB or RGBA, 8 bits. Raises BadRequest when pixels are missing."""
    blocks = _Blocks(data, tags.order, layout)
    scale, alpha_scale = _scales(blocks, layout)
    colours = _colours(tags, layout, space)
    width, height = layout.size
    channels = 1 if colours is None else 3
    out = np.empty((height, width, channels + (layout.alpha is not None)), np.uint8)
    for top, end, samples in blocks.bands():
        visible = samples[..., : layout.colours]
        levels = visible if layout.photometric == kinds.PALETTE else scale(visible)
        if layout.alpha is not None:
            alpha = alpha_scale(samples[..., layout.alpha[1]])
            if layout.alpha[0] == kinds.ASSOCIATED and layout.photometric != kinds.PALETTE:
                levels = _unmultiplied(levels, alpha)
            out[top:end, :, -1] = srgb.to_8_bits(alpha)
        if layout.photometric == kinds.WHITE_IS_ZERO:
            levels = np.uint16(65535) - levels
        out[top:end, :, :channels] = srgb.to_8_bits(levels) if colours is None else colours(levels)
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[out.shape[2]]
    return Image.frombuffer(mode, (width, height), out, "raw", mode, 0, 1)


def _colours(tags: Tags, layout: Layout, space: srgb.Space | None) -> Callable[[Samples], UInt8] | None:
    """Return the function from levels (h, w, C) to sRGB (h, w, 3); None for grey that stays as it is."""
    if layout.photometric == kinds.CIELAB:
        return _lab_to_srgb
    convert = srgb.converter(space)
    if layout.photometric == kinds.PALETTE:
        palette = _palette(tags, layout.bits)
        return lambda indices: convert(palette[indices[..., 0]])
    if layout.colours == 1 and srgb.is_srgb(space):
        return None
    return convert


def _palette(tags: Tags, bits: int) -> npt.NDArray[np.uint16]:
    """Return the (2 ** bits, 3) colours of a ColorMap: all reds, greens, then blues. 8-bit values are widened."""
    values = np.array(tags.numbers(_COLOUR_MAP), np.uint32)
    if len(values) != 3 << bits:
        raise BadRequest("The TIFF image is damaged: its palette has the wrong size.")
    wide = values * 257 if values.max() < 256 else values
    return np.ascontiguousarray(wide.reshape(3, -1).T.astype(np.uint16))


def _lab_to_srgb(levels: Samples) -> UInt8:
    """Convert CIELab (section 23), 16 bits: L* in 0..65535, a* and b* signed, in 1/256. White is D50."""
    stored = srgb.to_8_bits(np.ascontiguousarray(levels[..., :1]))
    signed = np.rint(levels[..., 1:].view(np.int16) / 256).clip(-128, 127).astype(np.int8).view(np.uint8)
    lab = np.concatenate([stored, signed], axis=-1)
    picture = Image.frombytes("LAB", lab.shape[1::-1], lab.tobytes())
    return np.asarray(picture.convert("RGB"))


def _unmultiplied(levels: Samples, alpha: Samples) -> npt.NDArray[np.uint16]:
    """Divide by alpha, which the samples were multiplied with (section 18). Where it is 0, nothing is left."""
    divisor = np.maximum(alpha, 1).astype(np.float32)[..., None]
    whole: npt.NDArray[np.uint16] = np.rint(np.minimum(levels / divisor, 1) * 65535).astype(np.uint16)
    return whole


# --- where white is


def _scales(blocks: _Blocks, layout: Layout) -> tuple[Scale, Scale]:
    """Return the functions that bring colours, and alpha, to 0..65535.

    Up to 16 bits white is full scale. Wider integers and floats do not say where it is: it is taken as the smallest
    usual full scale that holds the picture; of floats, half of it, because what is brighter than white is allowed.
    """
    full = 2**layout.bits - 1 if layout.sample_format == kinds.UNSIGNED else 2 ** (layout.bits - 1) - 1
    if layout.photometric == kinds.CIELAB:
        spread = {8: lambda samples: _widened_lab(samples), 16: lambda samples: samples.view(np.uint16)}[layout.bits]
        return spread, _to(full)
    if layout.photometric == kinds.PALETTE or (layout.sample_format == kinds.UNSIGNED and layout.bits <= 16):
        return _to(full), _to(full)
    if layout.sample_format == kinds.FLOAT:
        place = layout.alpha[1] if layout.alpha else layout.samples
        colours, alphas = _float_white(blocks, slice(0, layout.colours)), 1.0
        if place < layout.samples:
            alphas = _float_white(blocks, slice(place, place + 1))
        return _to(colours), _to(alphas)
    brightest = max((float(samples.max()) for _, _, samples in blocks.bands()), default=0.0)
    if layout.bits <= 16:  # signed
        white = full if layout.bits <= 8 or brightest > 255 else 255
    else:
        # A picture at full scale is not darker than a level of 8 bits throughout; numbers below that are counts.
        whites = (*_INTEGER_SCALES, brightest if brightest < full / 255 else full)
        white = next(scale for scale in whites if brightest <= scale)
    return _to(white), _to(white)


def _to(white: float) -> Scale:
    def scale(samples: Samples) -> npt.NDArray[np.uint16]:
        if samples.dtype == np.uint16 and white == 65535:
            return samples
        shares = np.nan_to_num(samples.astype(np.float64) / white, nan=0.0, posinf=1.0, neginf=0.0)
        levels: npt.NDArray[np.uint16] = np.rint(np.clip(shares, 0, 1) * 65535).astype(np.uint16)
        return levels

    return scale


def _widened_lab(samples: Samples) -> npt.NDArray[np.uint16]:
    """Bring CIELab of 8 bits to the form that it has with 16: L* over the whole range, a* and b* in 1/256."""
    wide = samples.astype(np.uint16)
    wide[..., 0] *= 257
    wide[..., 1:] <<= 8
    return wide


def _float_white(blocks: _Blocks, channels: slice) -> float:
    """Return the smallest usual full scale that at least half of the positive samples lie within."""
    counts = np.zeros(len(_FLOAT_SCALES), np.int64)
    positive, brightest = 0, 1.0
    for _, _, samples in blocks.bands():
        values = samples[..., channels]
        values = values[np.isfinite(values) & (values > 0)]
        positive += values.size
        brightest = max(brightest, float(values.max(initial=0)))
        counts += [np.count_nonzero(values <= scale) for scale in _FLOAT_SCALES]
    within = (scale for scale, count in zip(_FLOAT_SCALES, counts, strict=True) if 2 * count >= positive)
    return next(within, brightest)


# --- bytes to samples


class _Blocks:
    """The samples of a picture in strips or tiles, together or in planes."""

    def __init__(self, data: bytes, order: str, layout: Layout) -> None:
        self._data, self._order, self._layout = data, order, layout
        width, height = layout.size
        self._block_width, self._block_height = layout.tile
        if min(layout.tile) < 1 or max(layout.tile) > 2**20:
            raise BadRequest(_DAMAGED)
        self._across = -(-width // self._block_width)
        self._down = -(-height // self._block_height)
        self._planes = layout.samples if layout.planar else 1
        self._in_plane = 1 if layout.planar else layout.samples
        self._row_bytes = (self._block_width * self._in_plane * layout.bits + 7) // 8
        if len(layout.offsets) < self._planes * self._across * self._down:
            raise BadRequest(_DAMAGED)

    def bands(self) -> Iterator[tuple[int, int, Samples]]:
        """Yield (first row, end row, samples (rows, width, samples)). Raises BadRequest when bytes are missing."""
        readers = [self._rows(plane) for plane in range(self._planes)]
        for found in zip(*readers, strict=True):
            top, end, _ = found[0]
            planes = [self._unpacked(rows) for _, _, rows in found]
            yield top, end, planes[0] if len(planes) == 1 else np.concatenate(planes, axis=-1)

    def _rows(self, plane: int) -> Iterator[tuple[int, int, UInt8]]:
        """Yield bands of a plane as bytes (rows, blocks across, bytes of a block's row)."""
        layout = self._layout
        sequential = not layout.is_tiled and layout.compression in (kinds.NONE, kinds.DEFLATE, kinds.OLD_DEFLATE)
        step = max(1, _BAND_SAMPLES // (layout.size[0] * layout.samples))
        if not sequential:
            yield from self._from_blocks(plane, step)
            return
        strip = Inflated(b"")
        for top in range(0, layout.size[1], step):
            end = min(top + step, layout.size[1])
            pieces = []
            for row, stop in self._in_strips(top, end):
                if layout.compression == kinds.NONE:
                    pieces.append(self._stored(plane, row, stop))
                    continue
                if row % self._block_height == 0:
                    strip = Inflated(self._block(plane * self._down + row // self._block_height))
                pieces.append(strip.read((stop - row) * self._row_bytes))
            if None in pieces:
                raise BadRequest(_DAMAGED)
            joined = np.frombuffer(b"".join(piece for piece in pieces if piece), np.uint8)
            yield top, end, joined.reshape(end - top, 1, self._row_bytes)

    def _from_blocks(self, plane: int, step: int) -> Iterator[tuple[int, int, UInt8]]:
        """Yield bands of at most `step` rows of whole blocks, which have to be unpacked at once."""
        height = self._layout.size[1]
        whole = max(1, step // self._block_height) * self._block_height
        for top in range(0, height, whole):
            rows = self._by_libtiff(plane, top, min(top + whole, height))
            for first in range(0, len(rows), step):
                part = rows[first : first + step]
                yield top + first, top + first + len(part), part

    def _in_strips(self, top: int, end: int) -> Iterator[tuple[int, int]]:
        """Split rows where strips end."""
        while top < end:
            stop = min(end, (top // self._block_height + 1) * self._block_height)
            yield top, stop
            top = stop

    def _stored(self, plane: int, row: int, stop: int) -> bytes | None:
        """Return rows of a strip that is not compressed. How many bytes it says it has does not matter."""
        strip, first = divmod(row, self._block_height)
        start = self._layout.offsets[plane * self._down + strip] + first * self._row_bytes
        count = (stop - row) * self._row_bytes
        found = self._data[start : start + count]
        if len(found) < count:
            return None
        return _REVERSED[np.frombuffer(found, np.uint8)].tobytes() if self._layout.fill_order == 2 else found

    def _block(self, number: int) -> bytes:
        """Return the packed bytes of a strip or tile."""
        counts = self._layout.byte_counts
        start = self._layout.offsets[number]
        count = counts[number] if number < len(counts) and counts[number] else len(self._data)
        found = self._data[start : start + count]
        return _REVERSED[np.frombuffer(found, np.uint8)].tobytes() if self._layout.fill_order == 2 else found

    def _by_libtiff(self, plane: int, top: int, end: int) -> UInt8:
        """Unpack whole rows of blocks: as a grey picture of their bytes, written as a TIFF of its own."""
        first = (plane * self._down + top // self._block_height) * self._across
        number = -(-(end - top) // self._block_height) * self._across
        blocks = [self._block(n) for n in range(first, first + number)]
        width, height = self._across * self._row_bytes, end - top
        if self._layout.is_tiled:
            height = number // self._across * self._block_height
        picture = pillow_picture(self._bytes_as_tiff(blocks, width, height), "TIFF")
        picture.load()
        return np.asarray(picture)[: end - top].reshape(end - top, self._across, self._row_bytes)

    def _bytes_as_tiff(self, blocks: list[bytes], width: int, height: int) -> bytes:
        is_tiled, count = self._layout.is_tiled, len(blocks)
        lengths = [len(block) for block in blocks]
        tags = [
            (256, 1, width),
            (257, 1, height),
            (258, 1, 8),
            (259, 1, self._layout.compression),
            (262, 1, 1),
            (277, 1, 1),
        ]
        places = (324, 325) if is_tiled else (273, 279)
        if is_tiled:
            tags += [(322, 1, self._row_bytes), (323, 1, self._block_height)]
        else:
            tags.append((278, 1, self._block_height))
        lists = 8 + 2 + 12 * (len(tags) + 2) + 4
        start = lists + 8 * count if count > 1 else lists
        offsets = [start + sum_ for sum_ in np.cumsum([0, *lengths[:-1]]).tolist()]
        tags.append((places[0], count, lists if count > 1 else offsets[0]))
        tags.append((places[1], count, lists + 4 * count if count > 1 else lengths[0]))
        entries = b"".join(struct.pack("<HHII", tag, 4, number, value) for tag, number, value in sorted(tags))
        head = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4)
        values = struct.pack(f"<{2 * count}I", *offsets, *lengths) if count > 1 else b""
        return head + values + b"".join(blocks)

    def _unpacked(self, rows: UInt8) -> Samples:
        """Return the samples (rows, width, samples of the plane) of bytes (rows, blocks across, bytes)."""
        layout = self._layout
        predictor = layout.predictor if layout.compression in _WITH_PREDICTOR else 1
        values = self._block_width * self._in_plane
        if predictor == 3 and layout.sample_format == kinds.FLOAT:
            samples = self._floats(rows)
        elif layout.bits in (8, 16, 32, 64):
            code = {kinds.UNSIGNED: "u", kinds.SIGNED: "i", kinds.FLOAT: "f"}[layout.sample_format]
            stored = f"{self._order}{'u' if predictor == 2 else code}{layout.bits // 8}"
            samples = np.ascontiguousarray(rows).view(stored)
            samples = samples.astype(samples.dtype.newbyteorder("="))
            if predictor == 2:
                shape = (*rows.shape[:2], self._block_width, self._in_plane)
                summed = np.cumsum(samples.reshape(shape), axis=2, dtype=samples.dtype)
                samples = summed.view(f"{code}{layout.bits // 8}")
        else:
            samples = self._odd_bits(rows, values)
        whole = samples.reshape(rows.shape[0], self._across * self._block_width, self._in_plane)
        return whole[:, : layout.size[0]]

    def _odd_bits(self, rows: UInt8, values: int) -> Samples:
        """Return integers of a depth that no machine has, packed from the highest bit on; signed ones too."""
        bits = self._layout.bits
        if bits == 24:  # bytes in the order of the file, as libtiff has it
            three = rows.reshape(*rows.shape[:2], values, 3).astype(np.uint32)
            three = three if self._order == ">" else three[..., ::-1]
            found = three[..., 0] << 16 | three[..., 1] << 8 | three[..., 2]
        else:
            single = np.unpackbits(rows, axis=-1)[..., : values * bits].reshape(*rows.shape[:2], values, bits)
            found = np.zeros(single.shape[:-1], np.uint32)
            for n in range(bits):
                found = found << 1 | single[..., n]
        if self._layout.sample_format == kinds.SIGNED:
            return (found.astype(np.int64) ^ 1 << bits - 1) - (1 << bits - 1)
        return found

    def _floats(self, rows: UInt8) -> Samples:
        """Undo the floating-point predictor (Technical Note 3): differences of bytes, the highest bytes first."""
        size = self._layout.bits // 8
        steps = rows.reshape(*rows.shape[:2], -1, self._in_plane)
        summed = np.cumsum(steps, axis=2, dtype=np.uint8).reshape(*rows.shape[:2], size, -1)
        return np.ascontiguousarray(np.moveaxis(summed, 2, -1)).view(f">f{size}")[..., 0].astype(f"f{size}")
