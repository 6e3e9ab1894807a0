"""TIFF: the directory of tags, and what they say of how pixels lie in the file. Adobe, TIFF 6.0; BigTIFF."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from sam3d_bento.errors import BadRequest
from sam3d_bento.photo.colour.icc import Model
from sam3d_bento.photo.image_parts import MAX_TIFF_VALUES

# section 2; 13: offset of a directory, 16 to 18: BigTIFF's integers of 64 bits
_TYPES = {
    1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 6: "b", 7: "s", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d", 13: "I",
    16: "Q", 17: "q", 18: "Q",
}  # fmt: skip
_RATIONALS = (5, 10)

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, SEPARATED, YCBCR, CIELAB = 0, 1, 2, 3, 5, 6, 8  # PhotometricInterpretation
_PHOTOMETRIC_NAMES = {
    WHITE_IS_ZERO: "grey", BLACK_IS_ZERO: "grey", RGB: "RGB", PALETTE: "palette", 4: "transparency mask",
    SEPARATED: "CMYK", YCBCR: "YCbCr", CIELAB: "CIELab", 9: "ICCLab", 10: "ITULab", 32844: "LogL", 32845: "LogLuv",
}  # fmt: skip
_COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, SEPARATED: 4, YCBCR: 3, CIELAB: 3, 9: 3, 10: 3}

UNSIGNED, SIGNED, FLOAT, UNDEFINED = 1, 2, 3, 4  # SampleFormat, section 19
_FORMAT_NAMES = {UNSIGNED: "", SIGNED: " signed", FLOAT: " floating-point", 5: " complex", 6: " complex"}

NONE, LZW, DEFLATE, OLD_DEFLATE, PACKBITS = 1, 5, 8, 32946, 32773
# These give bytes back, whatever the bytes mean; others know pixels, and Pillow reads what it can of them.
_OF_BYTES = (NONE, LZW, DEFLATE, OLD_DEFLATE, PACKBITS, 34925, 50000)
_SELDOM_BUILT = (32809, 34676, 34677, 50001)  # that libtiff knows, but few builds of it have
_COMPRESSION_NAMES = {
    2: "CCITT", 3: "CCITT", 4: "CCITT", 6: "old JPEG", 7: "JPEG", 33003: "JPEG 2000", 33005: "JPEG 2000",
    34676: "LogLuv", 34677: "LogLuv", 34712: "JPEG 2000", 34887: "LERC", 50001: "WebP", 50002: "JPEG XL",
    52546: "JPEG XL",
}  # fmt: skip

MAX_SAMPLES = 64  # of a pixel; pictures have at most some extra ones
MAX_BITS = 128  # of a sample; complex numbers of two doubles have most
ASSOCIATED, UNASSOCIATED, COREL = 1, 2, 999  # ExtraSamples; the last is CorelDraw's

Entries = dict[int, tuple[int, int, int]]  # by tag: type, number of values, where they are in the file


class Tags:
    """The first directory. Values are read on access; a broken one counts as absent."""

    def __init__(self, data: bytes, order: str, entries: Entries, *, has_more_pages: bool, is_cut: bool) -> None:
        self._data, self._order, self._entries = data, order, entries
        self.has_more_pages = has_more_pages
        self.is_cut = is_cut  # the file ends within the directory

    @property
    def order(self) -> str:
        """Return the byte order as `struct` and numpy spell it: < or >."""
        return self._order

    @property
    def file_size(self) -> int:
        """Return the bytes of the whole file."""
        return len(self._data)

    def __contains__(self, tag: int) -> bool:
        return tag in self._entries

    def numbers(self, tag: int) -> tuple[float, ...]:
        """Return the values of `tag`; integers stay so, rationals become floats."""
        type_, count, at = self._entries.get(tag, (0, 0, 0))
        code = _TYPES.get(type_)
        if code is None or code == "s" or not 1 <= count <= MAX_TIFF_VALUES:
            return ()
        pieces = count * len(code)
        try:
            values = struct.unpack_from(f"{self._order}{pieces}{code[0]}", self._data, at)
        except (struct.error, OverflowError):
            return ()
        if type_ in _RATIONALS:
            return tuple(a / b if b else 0.0 for a, b in zip(values[::2], values[1::2], strict=True))
        return values

    def number(self, tag: int, default: int) -> int:
        """Return the first value of `tag` as an integer."""
        values = self.numbers(tag)
        return int(values[0]) if values and values[0] == values[0] and abs(values[0]) < 2**63 else default

    def bytes(self, tag: int) -> bytes:
        """Return the bytes of `tag`, whatever their type; none when it is absent, or not in the file."""
        type_, count, at = self._entries.get(tag, (0, 0, 0))
        if type_ not in (1, 2, 6, 7):
            return b""
        found = self._data[at : at + count]
        return found if len(found) == count else b""


def read_tags(data: bytes) -> Tags:
    """Read the first directory. Raises BadRequest when there is none."""
    order = "<" if data[:2] == b"II" else ">"
    big = 43 in data[2:4]  # BigTIFF
    head = struct.Struct(order + ("HHQ" if big else "HHI"))
    number = "Q" if big else "I"
    room = 8 if big else 4
    try:
        (start,) = struct.unpack_from(order + number, data, 8 if big else 4)
        (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, start)
        start += 8 if big else 2
        entries: Entries = {}
        for n in range(min(count, (len(data) - start) // (head.size + room))):
            at = start + n * (head.size + room)
            tag, type_, values = head.unpack_from(data, at)
            at += head.size
            size = struct.calcsize("=" + _TYPES.get(type_, "B")) * values
            place = struct.unpack_from(order + number, data, at)[0] if size > room else at
            entries.setdefault(tag, (type_, values, place))
    except (struct.error, OverflowError) as exc:
        raise BadRequest("The TIFF image is damaged or cut short; its directory could not be read.") from exc
    end = start + count * (head.size + room)
    return Tags(data, order, entries, has_more_pages=any(data[end : end + room]), is_cut=end > len(data))


@dataclass(frozen=True)
class Layout:
    """How pixels lie in the file. bits: of each sample, the largest; samples: of a pixel, `colours` of them colours.

    tile: width and height of a block; a strip is as wide as the picture. alpha: which ExtraSamples value the alpha
    channel has, with its place among the samples; None when there is none.
    """

    size: tuple[int, int]
    photometric: int
    bits: int
    sample_format: int
    samples: int
    colours: int
    alpha: tuple[int, int] | None
    planar: bool
    mended: bool  # the tags contradict the one strip or plane that is there
    tile: tuple[int, int]
    is_tiled: bool
    offsets: tuple[int, ...]
    byte_counts: tuple[int, ...]
    compression: int
    predictor: int
    fill_order: int
    uniform: bool  # all samples have the same bits and format
    inks: int

    @classmethod
    def of(cls, tags: Tags) -> Layout:
        """Interpret the tags, with the defaults of TIFF 6.0."""
        width, height = tags.number(256, 0), tags.number(257, 0)
        bits = tuple(int(value) for value in tags.numbers(258)) or (1,)
        photometric = tags.number(262, WHITE_IS_ZERO)
        colours = _COLOURS.get(photometric, 1)
        extra = tuple(int(value) for value in tags.numbers(338))
        samples = tags.number(277, max(len(bits), 1))
        formats = tuple(int(value) for value in tags.numbers(339)) or (UNSIGNED,)
        is_tiled = 324 in tags
        offsets = tuple(int(value) for value in tags.numbers(324 if is_tiled else 273))
        planar, rows, mended = _strips(tags, (width, height), samples, max(bits), offsets)
        tile = (tags.number(322, 0), tags.number(323, 0)) if is_tiled else (width, rows)
        return cls(
            size=(width, height),
            photometric=photometric,
            bits=max(bits[: max(samples, 1)]),
            sample_format=UNSIGNED if formats[0] == UNDEFINED else formats[0],
            samples=samples,
            colours=colours,
            alpha=_alpha(colours, samples, extra),
            planar=planar,
            mended=mended,
            tile=tile,
            is_tiled=is_tiled,
            offsets=offsets,
            byte_counts=tuple(int(value) for value in tags.numbers(325 if is_tiled else 279)),
            compression=tags.number(259, NONE),
            predictor=tags.number(317, 1),
            fill_order=tags.number(266, 1),
            uniform=len(set(bits[: max(samples, 1)])) == 1 and len(set(formats)) == 1,
            inks=tags.number(332, 1),
        )

    @property
    def needs_own_reader(self) -> bool:
        """Return whether Pillow would cut, invert or misread the samples, so that it is not to be tried first."""
        misread = self.bits > 8 or self.sample_format != UNSIGNED or self.planar or self.mended
        return misread and self.compression in _OF_BYTES and self.refusal() is None

    @property
    def is_possible(self) -> bool:
        """Return whether the numbers are those of any picture, rather than of a damaged directory."""
        return min(self.size) > 0 and self.colours <= self.samples and 0 < self.bits <= MAX_BITS

    @property
    def is_seldom_read(self) -> bool:
        """Return whether a failure of libtiff is one of the kind, not of the file."""
        return self.compression in _SELDOM_BUILT or (self.bits > 8 and self.compression not in _OF_BYTES)

    @property
    def models(self) -> tuple[Model, ...]:
        """Return which ICC profiles fit. CIELab needs none."""
        if self.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO):
            return ("GRAY", "RGB")
        if self.photometric == CIELAB:
            return ()
        return ("CMYK",) if self.photometric == SEPARATED else ("RGB",)

    @property
    def description(self) -> str:
        """Name the kind for people."""
        name = _PHOTOMETRIC_NAMES.get(self.photometric, f"photometric {self.photometric}")
        format_ = _FORMAT_NAMES.get(self.sample_format, f" format {self.sample_format}")
        alpha = " with alpha" if self.alpha else ""
        packed = _COMPRESSION_NAMES.get(self.compression)
        return f"{name}{alpha}, {self.bits}{format_} bits a sample" + (f", {packed} compression" if packed else "")

    @property
    def unreadable(self) -> str:
        """Say for people that this kind is not read."""
        return f"This kind of TIFF is not read: {self.description}."

    def refusal(self) -> str | None:
        """Return why this kind cannot be read by `tiff_samples`, as a sentence; None when it can."""
        known = self.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, SEPARATED, CIELAB)
        if not known or self.compression not in _OF_BYTES or not self.uniform or self.inks == 2:
            return self.unreadable
        whole = self.sample_format in (UNSIGNED, SIGNED) and 1 <= self.bits <= 32
        if not whole and not (self.sample_format == FLOAT and self.bits in (16, 32, 64)):
            return self.unreadable
        if self.photometric == PALETTE and (self.sample_format != UNSIGNED or self.bits > 16):
            return self.unreadable
        if self.photometric == CIELAB and (self.sample_format == FLOAT or self.bits not in (8, 16)):
            return self.unreadable
        if not self.colours <= self.samples <= MAX_SAMPLES or self.predictor not in (1, 2, 3):
            return f"This kind of TIFF is not read: {self.description}, {self.samples} samples a pixel."
        if self.predictor == 2 and self.bits not in (8, 16, 32, 64):
            return f"This kind of TIFF is not read: {self.description}, with differences."
        return None


def _strips(
    tags: Tags, size: tuple[int, int], samples: int, bits: int, offsets: tuple[int, ...]
) -> tuple[bool, int, bool]:
    """Return whether samples lie in planes, the rows of a strip, and whether the tags for that were not believed.

    One strip that is long enough to hold all does so, whatever the tags say of rows and planes.
    """
    width, height = size
    planar = tags.number(284, 1) == 2 and samples > 1
    rows = min(tags.number(278, height), height)
    whole = height * -(-width * samples * bits // 8)
    is_plain = len(offsets) == 1 and tags.number(259, NONE) == NONE
    if is_plain and (planar or rows < height) and offsets[0] + whole <= tags.file_size:
        return False, height, True
    return planar, rows, tags.number(284, 1) == 2 and samples == 1  # Pillow misreads a plane alone


def _alpha(colours: int, samples: int, extra: tuple[int, ...]) -> tuple[int, int] | None:
    """Return (ExtraSamples value, place) of the alpha channel. A single extra sample without ExtraSamples is alpha."""
    if samples <= colours:
        return None
    if not extra:
        return (UNASSOCIATED, colours) if samples == colours + 1 else None
    for n, value in enumerate(extra[: samples - colours]):
        if value in (ASSOCIATED, UNASSOCIATED, COREL):
            return (ASSOCIATED if value == ASSOCIATED else UNASSOCIATED, colours + n)
    return None
