"""ICC profiles: whether one can be used, and for which kind of colours."""

from __future__ import annotations

import io
from typing import Literal

from PIL import ImageCms

from sam3d_bento.photo.colour.spaces import ColourSpace, from_cicp

Model = Literal["GRAY", "RGB", "CMYK"]

MAX_PROFILE_BYTES = 4_000_000  # the largest common profiles, for printing presses, have 3 MB

_TAG_TABLE = 128  # ICC.1:2022, section 7: the header's length; the table of tags follows
_MAX_TAGS = 200  # profiles have some twenty


def usable(profile: object, models: tuple[Model, ...]) -> ImageCms.ImageCmsProfile | None:
    """Open a stranger's profile; None when it is broken, too large, or for none of the colour `models`.

    The risk is small: its size is bounded, it is read by a library that has been fuzzed for years, in a process that
    may die.
    """
    if not isinstance(profile, bytes) or len(profile) > MAX_PROFILE_BYTES:
        return None
    try:
        opened = ImageCms.getOpenProfile(io.BytesIO(profile))
        model = opened.profile.xcolor_space.strip()
    except (ImageCms.PyCMSError, ValueError, OSError):  # ValueError: Pillow decodes its names as ASCII
        return None
    return opened if model in models else None


def model_of(profile: ImageCms.ImageCmsProfile) -> str:
    """Return the kind of colours that `profile` is for: GRAY, RGB, CMYK."""
    return profile.profile.xcolor_space.strip()


def hdr_space(profile: object) -> ColourSpace | None:
    """Return the HDR space that the `cicp` tag of a profile names (ICC.1:2022, section 9.2.17); None for others.

    LittleCMS cannot show such a picture: it knows no brighter white than paper.
    """
    if not isinstance(profile, bytes):
        return None
    count = int.from_bytes(profile[_TAG_TABLE : _TAG_TABLE + 4])
    for n in range(min(count, _MAX_TAGS)):
        entry = profile[_TAG_TABLE + 4 + 12 * n :][:12]
        if entry[:4] == b"cicp":
            at = int.from_bytes(entry[4:8])
            body = profile[at : at + 12]
            space = from_cicp(body[8], body[9]) if len(body) == 12 else None
            return space if space is not None and space.transfer.is_hdr else None
    return None
