"""Read a picture of labels, in which each value above 0 is an object."""

from __future__ import annotations

import io
import warnings

import numpy as np
import numpy.typing as npt
from PIL import Image

from sam3d_bento.arrays import Bool
from sam3d_bento.errors import BadRequest, TooLarge, UnsupportedMedia
from sam3d_bento.photo.image_parts import refuse_excess

PNG = b"\x89PNG\r\n\x1a\n"
SEND = "Send a grey PNG of 8 or 16 bits, or one with a palette, in which each value above 0 is an object."
# What Pillow raises for hostile bytes.
UNREADABLE = (ValueError, TypeError, OSError, EOFError, KeyError, IndexError, SyntaxError, OverflowError, MemoryError)


def read_labels(data: bytes, size: tuple[int, int], *, max_pixels: int, max_objects: int) -> dict[int, Bool]:
    """Return the pixels (H, W) of each label, by its value, in ascending order.

    size: width and height of the upright photo. Raises BadRequest for a picture that is damaged, of another size or
    without a label; TooLarge; UnsupportedMedia for another kind of file.
    """
    if not data.startswith(PNG):
        raise UnsupportedMedia(f"The file in the field 'labels' is not a PNG. {SEND}")
    refuse_excess(data, "PNG")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about much in a stranger's file, which must not fill the log
        try:
            with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
                if image.width * image.height > max_pixels:
                    raise TooLarge(f"The picture in the field 'labels' has more than {max_pixels:,} pixels.")
                if image.size != size:
                    raise BadRequest(
                        f"The labels have {image.width} × {image.height} pixels, the photo {size[0]} × {size[1]}; they "
                        "must be equal. The photo is measured upright."
                    )
                if image.mode not in ("L", "P", "1") and not image.mode.startswith("I"):
                    raise BadRequest(f"The picture in the field 'labels' has colours. {SEND}")
                values = np.asarray(image)
        except Image.DecompressionBombError as exc:
            raise TooLarge(f"The picture in the field 'labels' has more than {max_pixels:,} pixels.") from exc
        except UNREADABLE as exc:
            raise BadRequest(f"The file in the field 'labels' is damaged or cut short. {SEND}") from exc
    return _split(values, max_objects)


def _split(values: npt.NDArray[np.generic], max_objects: int) -> dict[int, Bool]:
    found = [int(value) for value in np.unique(values) if value > 0]
    if not found:
        raise BadRequest(f"The picture in the field 'labels' has no value above 0. {SEND}")
    if len(found) > max_objects:
        raise BadRequest(
            f"The picture in the field 'labels' has {len(found)} values above 0; a scene has at most {max_objects} "
            "objects."
        )
    return {value: values == value for value in found}
