"""Which pixels of a photo are the object: an uploaded mask, the photo's own alpha, or rembg; or a clear refusal."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.morphology import remove_small_holes

from sam3d_bento.arrays import Bool, UInt8
from sam3d_bento.errors import BadRequest, NoObject
from sam3d_bento.photo.mask_model import MaskModel
from sam3d_bento.reconstruction import Mask, MaskSource, Photo
from sam3d_bento.warning_codes import WarningCode

THRESHOLD = 128  # of 255; from here on a pixel belongs to the object
LEFT_OUT = 64  # in a picture of a mask: an object that was found, but not chosen

# When the model's answer is no object. Measured with u2netp: photos of one thing reach a certain share of 0.56 to
# 0.99, grass, gravel, brick, noise and empty frames 0.00 to 0.38.
MIN_COVERAGE = 0.005
MAX_COVERAGE = 0.97
MAX_BORDER_COVERAGE = 0.6  # on all four sides
CERTAIN, MIN_CERTAIN_SHARE = 230, 0.4

# Alpha is a cut-out only when it leaves something away, and something over.
ALPHA_COVERAGE = (0.005, 0.995)
# An uploaded mask is somebody's wish: refused only when there is nothing to do with it.
MIN_UPLOAD_PIXELS = 64
MAX_UPLOAD_COVERAGE = 0.995

HOLE_SHARE = 0.002  # of the object; a smaller hole is a flaw of the mask, a larger one may be a handle
RIVAL_SHARE = 0.1  # of the largest part; a smaller part is debris
NEAR = 0.02  # of the photo's long side; a rival as near as this belongs to the object
CUT_SHARE = 0.15  # of the object's own size (the root of its area) on one side of the frame; a mere touch is less

_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


def isolate(photo: Photo, uploaded: Photo | None, model: MaskModel) -> Mask:
    """Find the object in `photo`.

    In this order: `uploaded` when there is one, for an explicit wish goes before what the file happens to hold; the
    photo's alpha when it is a cut-out; what `model` finds. The first two are used as they are. Of the third, specks
    and pinholes are removed, and of several objects the largest is kept (`WarningCode.SEVERAL_OBJECTS`).
    `WarningCode.CUT_BY_FRAME` is given when the object goes on beyond the photo.

    `uploaded` is a mask as `images.decode` reads it: its alpha when that separates anything, else its brightness; light
    or opaque means object.

    Raises BadRequest for a mask of another size, NoObject when no object or no background is left.
    """
    if uploaded is not None:
        return _mask(_uploaded_pixels(photo, uploaded), "upload")
    pixels = _cut_out(photo.alpha)
    if pixels is not None:
        return _mask(pixels, "alpha")
    soft = model.soft_mask(photo.rgb)
    pixels, others = clean(soft)
    _refuse_doubtful(soft, pixels)
    mask = _mask(pixels, "rembg", *([WarningCode.SEVERAL_OBJECTS] if others.any() else []))
    return replace(mask, others=others)


def clean(soft: UInt8) -> tuple[Bool, Bool]:
    """The object in a soft mask (H, W): its pixels (H, W), and those of other objects that were left out.

    The object is the largest part, with every part of at least RIVAL_SHARE of it that is nearly touching. Its
    pinholes are filled, threads of a pixel or two are cut.
    """
    long_side = max(soft.shape)
    radius = max(1, round(long_side / 1024))
    padded = np.pad(soft >= THRESHOLD, radius, mode="edge")  # what the frame cuts goes on beyond it
    if not padded.any():
        return soft >= THRESHOLD, soft >= THRESHOLD
    (window,) = ndimage.find_objects(padded.view(np.uint8))
    opened = ndimage.binary_opening(padded[window], iterations=radius)
    part, rivals = _main_part(opened, NEAR * long_side)
    # in a ring of background, lest a corner of the window count as a hole
    filled = remove_small_holes(np.pad(part, 1), max_size=int(HOLE_SHARE * np.count_nonzero(part)))
    padded[window] = filled[1:-1, 1:-1]
    others = np.zeros_like(padded)
    others[window] = rivals
    inner = slice(radius, -radius)
    return padded[inner, inner].copy(), others[inner, inner].copy()


def to_png(mask: Mask, size: tuple[int, int]) -> bytes:
    """The mask as a grey PNG of `size` (width, height): 255 where the object is, LEFT_OUT where others are, else 0.

    Sent back as a mask, it means the same: LEFT_OUT counts as background.
    """
    file = io.BytesIO()
    grey = mask.pixels.astype(np.uint8) * np.uint8(255)
    if mask.others is not None:
        grey[mask.others & ~mask.pixels] = LEFT_OUT
    picture = Image.fromarray(grey)
    picture.resize(size, Image.Resampling.NEAREST).save(file, "PNG")
    return file.getvalue()


def _mask(pixels: Bool, source: MaskSource, *warnings: WarningCode) -> Mask:
    longest = max(np.count_nonzero(side) for side in _sides(pixels))
    if longest > CUT_SHARE * math.sqrt(np.count_nonzero(pixels)):
        warnings += (WarningCode.CUT_BY_FRAME,)
    return Mask(pixels=pixels, source=source, coverage=float(pixels.mean()), warnings=warnings)


def _sides(pixels: Bool) -> tuple[Bool, Bool, Bool, Bool]:
    return pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]


def _uploaded_pixels(photo: Photo, uploaded: Photo) -> Bool:
    """Both pictures were reduced by the same rule, so equal original sizes give equal arrays."""
    if uploaded.original_size != photo.original_size:
        (mask_width, mask_height), (width, height) = uploaded.original_size, photo.original_size
        raise BadRequest(
            f"The mask has {mask_width} × {mask_height} pixels, the photo {width} × {height}; they must be equal. "
            "Both are measured upright, after their EXIF orientation is applied."
        )
    if uploaded.alpha is not None and uploaded.alpha.min() < THRESHOLD <= uploaded.alpha.max():
        values = uploaded.alpha
    else:
        values = np.asarray(Image.fromarray(uploaded.rgb).convert("L"))
    pixels = values >= THRESHOLD
    count = np.count_nonzero(pixels)
    if count < MIN_UPLOAD_PIXELS:
        raise NoObject(f"The mask selects next to nothing ({count} pixels). The object must be white, the rest black.")
    if count > MAX_UPLOAD_COVERAGE * pixels.size:
        raise NoObject("The mask selects the whole photo. The object must be white, the rest black.")
    return pixels


def _cut_out(alpha: UInt8 | None) -> Bool | None:
    """The opaque pixels when `alpha` cuts an object out; None when there is none, or it only decorates the frame."""
    if alpha is None:
        return None
    pixels = alpha >= THRESHOLD
    low, high = ALPHA_COVERAGE
    if not low < pixels.mean() < high:
        return None
    labels, _ = ndimage.label(pixels, _EIGHT_NEIGHBOURS)
    largest = np.bincount(labels.ravel())[1:].argmax() + 1
    corners = labels[[0, 0, -1, -1], [0, -1, 0, -1]]
    return None if (corners == largest).all() else pixels


def _main_part(pixels: Bool, near: float) -> tuple[Bool, Bool]:
    """The largest connected part with its rivals at most `near` pixels away; and the rivals that were left out."""
    labels, _ = ndimage.label(pixels, _EIGHT_NEIGHBOURS)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    largest = sizes.argmax()
    kept = np.zeros(len(sizes), bool)
    kept[largest] = sizes[largest] > 0
    rivals = np.setdiff1d(np.flatnonzero(sizes >= max(1, RIVAL_SHARE * sizes[largest])), largest)
    if len(rivals):
        step = max(1, max(pixels.shape) // 512)  # distances to a few pixels suffice, and cost a sixteenth
        coarse = labels[::step, ::step]
        distance = step * ndimage.distance_transform_edt(coarse != largest)
        kept[rivals] = ndimage.minimum(distance, coarse, rivals) <= near
    left_out = np.zeros(len(sizes), bool)
    left_out[rivals] = ~kept[rivals]
    return kept[labels], left_out[labels]


def _refuse_doubtful(soft: UInt8, pixels: Bool) -> None:
    """Raise NoObject when what the model found is not an object before a background."""
    advice = "Photograph one object before a plain background, or send a mask."
    coverage = pixels.mean()
    if coverage < MIN_COVERAGE:
        raise NoObject(f"No object stands out in this photo. {advice}")
    if coverage > MAX_COVERAGE or min(side.mean() for side in _sides(pixels)) > MAX_BORDER_COVERAGE:
        raise NoObject(f"The object fills the whole frame, so it cannot be told from its background. {advice}")
    if (soft[pixels] >= CERTAIN).mean() < MIN_CERTAIN_SHARE:
        raise NoObject(f"It is not clear what the object in this photo is. {advice}")
