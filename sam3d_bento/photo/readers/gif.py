"""Read the first frame of a GIF, also of a file that ends within the frame's last bits. CompuServe, GIF89a."""

from __future__ import annotations

from PIL import Image

from sam3d_bento.errors import BadRequest
from sam3d_bento.photo.colour import srgb
from sam3d_bento.photo.readers.picture import Picture, Size, models_of, pillow_picture, whole_picture, with_8_bits

_IMAGE, _EXTENSION = 0x2C, 0x21  # first bytes of blocks; sections 20 and 23
_GRAPHIC_CONTROL = 0xF9  # section 23: which colour is transparent
_MAX_BLOCKS = 1_000_000  # blocks that are read; a picture of 64 million pixels in blocks of 255 bytes has 250,000


def open_gif(data: bytes) -> Picture:
    """Open a GIF. Raises BadRequest for missing pixels."""
    data, several = first_frame(data)
    image = pillow_picture(data, "GIF")

    def load(_: srgb.Space | None, size: Size) -> Image.Image:
        try:
            image.load()
        except OSError as exc:
            mended = _load_cut(data)
            if mended is None:
                raise BadRequest("The GIF image is damaged or cut short; it could not be read.") from exc
            return with_8_bits(mended)
        return with_8_bits(image)

    return Picture(image.size, models_of("RGB"), load, several=several)


def first_frame(data: bytes) -> tuple[bytes, bool]:
    """Return a file of the first frame alone, and whether there are more.

    Comments and the data of applications are left out: Pillow makes texts of them, of twenty times their size. A file
    that ends within the frame ends there, one without a frame is returned as it is.
    """
    kept = [data[: _palette_end(data)]]
    position = len(kept[0])
    controls: list[bytes] = []
    while position < len(data):
        if data[position] == _IMAGE:
            terminator = _terminator(data, position + 11 + _table_size(data[min(position + 9, len(data) - 1)]))
            is_whole = terminator < len(data)
            kept += [*controls, data[position : terminator + 1]]
            return b"".join([*kept, b"\x3b" if is_whole else b""]), _has_image(data, terminator + 1)
        if data[position] == _EXTENSION:
            end = _blocks_end(data, position + 2)
            if data[position + 1 : position + 2] == bytes([_GRAPHIC_CONTROL]):
                block = data[position:end]
                # The last counts, and the last that names a transparent colour.
                controls = [one for one in controls[-1:] if one[3:4] and one[3] & 1] + [block]
            position = end
        elif data[position : position + 1] == b"\x3b":
            break
        else:
            position += 1
    return data, False


def _has_image(data: bytes, position: int) -> bool:
    """Return whether an image begins at `position` or after it, before the file's end."""
    while position < len(data) and data[position] != 0x3B:
        if data[position] == _IMAGE:
            return True
        position = _blocks_end(data, position + 2) if data[position] == _EXTENSION else position + 1
    return False


def _blocks_end(data: bytes, position: int) -> int:
    """Return where a chain of blocks ends, its terminator included; at most the file's end."""
    return min(_terminator(data, position) + 1, len(data))


def _terminator(data: bytes, position: int) -> int:
    """Return the place of the empty block that ends a chain of blocks; the file's end where the chain is cut."""
    length = len(data)
    while position < length and data[position]:
        position += 1 + data[position]
    return min(position, length)


def _palette_end(data: bytes) -> int:
    return 13 + _table_size(data[10]) if len(data) > 13 else len(data)


def _load_cut(data: bytes) -> Image.Image | None:
    """Load the first frame of a file that ends within it, if no pixel is missing; else return None."""
    start = _last_block(data)
    if start is None:
        return None
    rest = data[start + 1 :]
    body = data[:start] + (bytes([len(rest)]) + rest if rest else b"")

    def with_more(filler: bytes) -> Image.Image:
        return pillow_picture(body + bytes([len(filler)]) + filler + b"\0\x3b", "GIF")

    try:
        return whole_picture(with_more)
    except OSError:
        return None


def _last_block(data: bytes) -> int | None:
    """Return the start of the block of the first frame's data within which the file ends; None if there is none."""
    position = _palette_end(data)
    blocks = 0
    while position < len(data) and data[position] in (_IMAGE, _EXTENSION):
        is_image = data[position] == _IMAGE
        if position + 10 > len(data):
            return None
        position += 11 + _table_size(data[position + 9]) if is_image else 2
        while position < len(data) and data[position] and blocks < _MAX_BLOCKS:
            blocks += 1
            if position + data[position] >= len(data) - 1 and is_image:
                return position if position + data[position] > len(data) - 1 else None
            position += 1 + data[position]
        position += 1
        if is_image:
            return None
    return None


def _table_size(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
