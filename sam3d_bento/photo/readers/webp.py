"""Read the first frame of a WebP as a separate file. Google, WebP Container Specification; RFC 9649."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from PIL import Image

from sam3d_bento.errors import BadRequest
from sam3d_bento.photo.colour import srgb
from sam3d_bento.photo.colour.exif import from_exif
from sam3d_bento.photo.colour.spaces import ColourSpace
from sam3d_bento.photo.readers.picture import Picture, Size, exif_of, pillow_picture, whole_picture, with_8_bits

_MAX_CHUNKS = 10_000  # chunks that are read; an animation may have thousands of frames, of which only the first is used
_ALPHA_FLAG = 0x10  # bit of VP8X's flags


@dataclass(frozen=True)
class Chunk:
    """Body of a chunk. is_cut: whether the file ends within it."""

    body: bytes = b""
    is_cut: bool = False


@dataclass(frozen=True)
class Frame:
    """Frame of a picture and its place on the canvas. chunks: ALPH, VP8 and VP8L, by name."""

    chunks: dict[bytes, Chunk]
    offset: tuple[int, int] = (0, 0)


def open_webp(data: bytes) -> Picture:
    """Open a WebP. Raises BadRequest for one without a picture.

    The sizes in the container's header are ignored, and so are chunks that hold no picture. The part of the canvas that
    an animation's first frame does not cover is transparent, as in browsers.
    """
    chunks = list(_chunks(data, 12))
    frames = [chunk for name, chunk in chunks if name == b"ANMF"]
    named = dict(reversed(chunks))  # the first of each
    frame = _frame(frames[0].body) if frames else Frame(named)
    image = pillow_picture(_file(frame.chunks), "WEBP")
    is_cut = any(chunk.is_cut for chunk in frame.chunks.values())
    canvas = _canvas(named.get(b"VP8X", Chunk()).body) if frames else image.size
    right, bottom = (frame.offset[n] + image.size[n] for n in (0, 1))
    if right > canvas[0] or bottom > canvas[1]:
        raise BadRequest("The WebP image is damaged: its first frame does not lie on its canvas.")

    def load(_: srgb.Space | None, size: Size) -> Image.Image:
        loaded = _load_cut(frame.chunks) if is_cut else image
        _load(loaded)
        if loaded.size == canvas:
            return with_8_bits(loaded)
        whole = Image.new("RGBA", canvas)
        whole.paste(loaded.convert("RGBA"), frame.offset)
        return whole

    def exif() -> Image.Exif:
        return exif_of(*(named.get(name, Chunk()).body for name in (b"EXIF", b"XMP ")))

    def statements() -> Iterator[ColourSpace | bytes | None]:
        yield named.get(b"ICCP", Chunk()).body or None
        yield from_exif(exif)

    return Picture(canvas, ("RGB",), load, statements(), exif, several=len(frames) > 1)


def _load(image: Any) -> None:
    """Load the pixels. The decoder goes before Pillow makes its copy of them: it has two canvases, 8 bytes a pixel."""
    if hasattr(image, "_get_next") and hasattr(image, "_decoder"):
        get_next = image._get_next

        def get_only() -> Any:
            found = get_next()
            image._decoder = None
            return found

        image._get_next = get_only
    image.load()


def _chunks(data: bytes, position: int) -> Iterator[tuple[bytes, Chunk]]:
    """Yield (name, chunk). A chunk whose stated length exceeds the file ends with the file."""
    for _ in range(_MAX_CHUNKS):
        if position + 8 > len(data):
            return
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        body = data[position + 8 : position + 8 + size]
        yield data[position : position + 4], Chunk(body, len(body) < size)
        position += 8 + size + size % 2


def _frame(body: bytes) -> Frame:
    """Read an ANMF chunk: a header of 16 bytes, then the chunks of the picture."""
    left, top = (2 * int.from_bytes(body[at : at + 3], "little") for at in (0, 3))
    return Frame(dict(reversed(list(_chunks(body, 16)))), (left, top))


def _canvas(body: bytes) -> Size:
    return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1


def _load_cut(chunks: dict[bytes, Chunk]) -> Image.Image:
    """Load a picture within which the file ends, if no pixel is missing; else raise BadRequest."""

    def with_more(filler: bytes) -> Image.Image:
        more = {name: Chunk(chunk.body + filler if chunk.is_cut else chunk.body) for name, chunk in chunks.items()}
        return pillow_picture(_file(more), "WEBP")

    picture = whole_picture(with_more)
    if picture is None:
        raise BadRequest("The WEBP image is damaged or cut short; it could not be read.")
    return picture


def _file(chunks: dict[bytes, Chunk]) -> bytes:
    """Write a WebP of the picture in `chunks`. Raises BadRequest if there is none."""
    name = next((name for name in (b"VP8 ", b"VP8L") if name in chunks), None)
    if name is None:
        raise BadRequest("The WEBP image is damaged or cut short; it has no picture.")
    picture = chunks[name].body
    parts: list[tuple[bytes, bytes]] = [(name, picture)]
    if name == b"VP8 " and b"ALPH" in chunks:
        size = (int.from_bytes(picture[at : at + 2], "little") & 0x3FFF for at in (6, 8))
        head = bytes([_ALPHA_FLAG, 0, 0, 0]) + b"".join(max(side - 1, 0).to_bytes(3, "little") for side in size)
        parts = [(b"VP8X", head), (b"ALPH", chunks[b"ALPH"].body), *parts]
    body = b"WEBP" + b"".join(
        name + len(part).to_bytes(4, "little") + part + bytes(len(part) % 2) for name, part in parts
    )
    return b"RIFF" + len(body).to_bytes(4, "little") + body
