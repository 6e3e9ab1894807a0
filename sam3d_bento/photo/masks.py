"""Find which pixels of a photo are the object, by an uploaded mask, the photo's alpha or rembg; or refuse the photo."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.morphology import remove_small_holes

from sam3d_bento.arrays import Bool, UInt8
from sam3d_bento.errors import BadRequest, NoObject
from sam3d_bento.photo import close_up, mask_values, weak_parts
from sam3d_bento.photo.cutout import CutOut, cut_out
from sam3d_bento.photo.hidden_colours import visible_pixels, without_hidden_colours
from sam3d_bento.photo.mask_model import MaskModel
from sam3d_bento.photo.touching import look_like_two
from sam3d_bento.photo.weak_parts import EIGHT_NEIGHBOURS
from sam3d_bento.reconstruction import Mask, MaskSource, Photo
from sam3d_bento.warning_codes import WarningCode

THRESHOLD = mask_values.THRESHOLD  # of 255; a pixel of a soft mask with at least this value belongs to the object
LEFT_OUT = 64  # of 255; value in the PNG of a mask for an object that was found, but not chosen

# Limits beyond which the model's answer is not an object, as shares of the picture. A pixel is certain from CERTAIN (of
# 255) on. Measured with u2netp: in photos of one thing, the share of certain pixels is 0.56 to 0.99; in grass, gravel,
# brick, noise and empty frames it is 0.00 to 0.38.
MIN_COVERAGE = 0.005  # below this, the network must be more certain (MIN_CERTAIN_SHARE_OF_SMALL)
MAX_COVERAGE = 0.97
MAX_BORDER_COVERAGE = 0.6  # on each of the four sides
CERTAIN, MIN_CERTAIN_SHARE = 230, 0.4

# Limits for a find that covers less than MIN_COVERAGE, or that became certain only close up. Measured as above: things
# of 20 to 120 pixels in a photo of 900 reach 0.6 to 0.97 close up. Textures in which the same was found again reach at
# most 0.5.
MIN_OBJECT_PIXELS = 64  # 8 x 8 pixels hardly have a shape
MIN_CERTAIN_SHARE_OF_SMALL = 0.6

# Limits for an uploaded mask, in pixels and as a share of the picture. The user wants this mask, so it is refused only
# when nothing can be done with it.
MIN_UPLOAD_PIXELS = 64
MAX_UPLOAD_COVERAGE = 0.995

HOLE_SHARE = 0.002  # of the object's area; a smaller hole is a flaw of the mask, a larger one may be a handle
RIVAL_SHARE = 0.1  # of the largest part's area; a smaller part is debris
NEAR = 0.02  # of the photo's long side; a rival within this distance belongs to the object
CUT_SHARE = 0.15  # of the object's size (the root of its area), along one side of the frame; a mere touch is shorter


@dataclass(frozen=True)
class _Find:
    """Find of the network: the object, and other objects that were left out, (H, W) bool each.

    sure: the share 0..1 of the object's likely pixels of which the network is certain. close_up: whether the find comes
    from a crop.
    """

    pixels: Bool
    others: Bool
    sure: float
    close_up: bool


def isolate(photo: Photo, uploaded: Photo | None, model: MaskModel) -> Mask:
    """Find the object in `photo`.

    In this order: `uploaded` when there is one, for an explicit wish goes before what the file happens to hold; the
    photo's alpha when it is a cut-out (the rule is in `cutout`); what `model` finds. The first two are used as they
    are. Of the third, specks and pinholes are removed, and of several objects the largest is kept
    (`WarningCode.SEVERAL_OBJECTS`); two that touch are kept together (`WarningCode.OBJECTS_TOUCH`).
    `WarningCode.CUT_BY_FRAME` is given when the object goes on beyond the photo. It is not given for a cut-out whose
    canvas was trimmed to it.

    Whatever the way, a pixel of alpha 0 is never object, and `model` never sees the colour under it; only where alpha
    is 0 everywhere it means nothing.

    `uploaded` is a mask as `images.decode` reads it: its alpha when that separates anything, else its brightness; light
    or opaque means object. A mask of two values that are both light or both dark means the higher one
    (`WarningCode.MASK_VALUES_STRETCHED`).

    Raises BadRequest for a mask of another size, NoObject when no object or no background is left.
    """
    cut = cut_out(photo.alpha)
    if uploaded is not None:
        pixels, warnings = _uploaded_pixels(photo, uploaded)
        return _mask(pixels, "upload", cut, *warnings)
    if cut is not None:
        return _mask(cut.pixels, "alpha", cut)
    find = _found(photo, model)
    warnings = [WarningCode.SEVERAL_OBJECTS] if find.others.any() else []
    if look_like_two(find.pixels):
        warnings.append(WarningCode.OBJECTS_TOUCH)
    mask = _mask(find.pixels, "rembg", None, *warnings)
    return replace(mask, others=find.others)


def as_mask(photo: Photo, pixels: Bool, source: MaskSource) -> Mask:
    """Return pixels (H, W), at least one, that were found in `photo` as its mask, with the warnings of `isolate`."""
    return _mask(pixels, source, cut_out(photo.alpha))


def clean(soft: UInt8) -> tuple[Bool, Bool]:
    """Find the object in a soft mask (H, W) uint8; return its pixels (H, W) bool, and those of objects left out.

    The object is the largest part, together with every part of at least RIVAL_SHARE of its area that nearly touches it.
    Its pinholes are filled, and threads of a pixel or two are cut.
    """
    long_side = max(soft.shape)
    radius = max(1, round(long_side / 1024))
    selected = weak_parts.select(soft)
    padded = np.pad(selected, radius, mode="edge")  # what the frame cuts continues beyond it
    if not padded.any():
        return selected, selected
    (window,) = ndimage.find_objects(padded.view(np.uint8))
    opened = ndimage.binary_opening(padded[window], iterations=radius)
    part, rivals = _main_part(opened, NEAR * long_side)
    # Pad with background, so that a corner of the window does not count as a hole.
    filled = remove_small_holes(np.pad(part, 1), max_size=int(HOLE_SHARE * np.count_nonzero(part)))
    padded[window] = filled[1:-1, 1:-1]
    others = np.zeros_like(padded)
    others[window] = rivals
    inner = slice(radius, -radius)
    return padded[inner, inner].copy(), others[inner, inner].copy()


def to_png(mask: Mask, size: tuple[int, int]) -> bytes:
    """Return the mask as a grey PNG of `size` (width, height).

    Its values are 255 for the object, LEFT_OUT for other objects, and 0 elsewhere. Uploaded as a mask, it means the
    same: LEFT_OUT counts as background. Where the mask has soft values, these are enlarged and not the mask, so that
    edges have no steps in a picture that was reduced.
    """
    file = io.BytesIO()
    if mask.soft is not None:
        enlarged = Image.fromarray(mask.soft).resize(size, Image.Resampling.BILINEAR)
        picture = enlarged.point(lambda value: 255 if value >= THRESHOLD else 0)
    else:
        grey = mask.pixels.astype(np.uint8) * np.uint8(255)
        if mask.others is not None:
            grey[mask.others & ~mask.pixels] = LEFT_OUT
        picture = Image.fromarray(grey).resize(size, Image.Resampling.NEAREST)
    picture.save(file, "PNG")
    return file.getvalue()


def _mask(pixels: Bool, source: MaskSource, cut: CutOut | None, *warnings: WarningCode) -> Mask:
    """Return the mask, with a warning if the frame cuts the object. cut: what the photo's alpha cuts out."""
    longest = max(np.count_nonzero(side) for side in _sides(pixels))
    trimmed = cut is not None and cut.trimmed
    if not trimmed and longest > CUT_SHARE * math.sqrt(np.count_nonzero(pixels)):
        warnings += (WarningCode.CUT_BY_FRAME,)
    return Mask(pixels=pixels, source=source, coverage=float(pixels.mean()), warnings=warnings)


def _sides(pixels: Bool) -> tuple[Bool, Bool, Bool, Bool]:
    return pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]


def _uploaded_pixels(photo: Photo, uploaded: Photo) -> tuple[Bool, list[WarningCode]]:
    """Return the pixels (H, W) that `uploaded` selects and `photo` shows, and the warnings about its values.

    Both pictures were reduced by the same rule, so equal original sizes give equal arrays.
    """
    if uploaded.original_size != photo.original_size:
        (mask_width, mask_height), (width, height) = uploaded.original_size, photo.original_size
        raise BadRequest(
            f"The mask has {mask_width} × {mask_height} pixels, the photo {width} × {height}; they must be equal. "
            "Both are measured upright, after their EXIF orientation is applied."
        )
    values, warnings = mask_values.values_of(uploaded), []
    pixels = values >= THRESHOLD
    selected = np.count_nonzero(pixels)
    if selected < MIN_UPLOAD_PIXELS or selected > MAX_UPLOAD_COVERAGE * pixels.size:
        higher = mask_values.higher_of_two(uploaded)
        if higher is not None and np.any(higher != pixels):
            pixels, warnings = higher, [WarningCode.MASK_VALUES_STRETCHED]
            selected = np.count_nonzero(pixels)
    if selected < MIN_UPLOAD_PIXELS:
        raise NoObject(
            f"The mask selects next to nothing ({selected} pixels); its brightest value is {values.max()} of 255. "
            f"The object must be white ({THRESHOLD} or more), the rest black."
        )
    return _shown(photo, pixels, values), warnings


def _shown(photo: Photo, pixels: Bool, values: UInt8) -> Bool:
    """Return the pixels (H, W) of an uploaded mask that alpha does not hide. Raises NoObject for none or all."""
    visible = visible_pixels(photo)
    if visible is not None:
        pixels = pixels & visible
        left = np.count_nonzero(pixels)
        if left < MIN_UPLOAD_PIXELS:
            raise NoObject(
                f"Of what the mask selects, the photo's alpha channel leaves next to nothing ({left} pixels): all else "
                "is fully transparent there. Send the photo without alpha, or a mask of what can be seen."
            )
    if np.count_nonzero(pixels) > MAX_UPLOAD_COVERAGE * pixels.size:
        raise NoObject(
            f"The mask selects the whole photo; its darkest value is {values.min()} of 255. The object must be white "
            f"({THRESHOLD} or more), the rest black."
        )
    return pixels


def _found(photo: Photo, model: MaskModel) -> _Find:
    """Return what `model` finds in the visible part of `photo`. Raises NoObject if that is not an object.

    A small find is looked at again close up. The answer of which the model is more certain is used.
    """
    rgb = without_hidden_colours(photo).rgb
    visible = visible_pixels(photo)
    find = _look(rgb, model)
    near = _look_close_up(rgb, find, model)
    if near is not None and near.sure > find.sure:
        near = replace(near, others=(find.others | near.others) & ~near.pixels)
        if _doubt(_cut(near, visible)) is None:
            return _cut(near, visible)
    find = _cut(find, visible)
    doubt = _doubt(find)
    if doubt is not None:
        raise NoObject(f"{doubt} Photograph one object before a plain background, or send a mask.")
    return find


def _cut(find: _Find, visible: Bool | None) -> _Find:
    """Return `find` restricted to the pixels `visible` (H, W); None restricts nothing."""
    if visible is None:
        return find
    return replace(find, pixels=find.pixels & visible, others=find.others & visible)


def _look(rgb: UInt8, model: MaskModel) -> _Find:
    """Return what `model` finds in the picture `rgb` (H, W, 3)."""
    soft = model.soft_mask(rgb)
    pixels, others = clean(soft)
    likely = soft[pixels & (soft >= THRESHOLD)]  # weak parts may well be uncertain
    sure = float((likely >= CERTAIN).mean()) if likely.size else 0.0
    return _Find(pixels, others, sure, close_up=False)


def _look_close_up(rgb: UInt8, first: _Find, model: MaskModel) -> _Find | None:
    """Return what `model` finds in a crop of `rgb` (H, W, 3) around a small find; None if it is not confirmed."""
    window = close_up.window(first.pixels)
    if window is None:
        return None
    cropped = _look(np.ascontiguousarray(rgb[window]), model)
    pixels, others = np.zeros_like(first.pixels), np.zeros_like(first.pixels)
    pixels[window], others[window] = cropped.pixels, cropped.others
    if not close_up.is_confirmed(first.pixels, pixels, cropped.sure):
        return None
    return _Find(pixels, others, cropped.sure, close_up=True)


def _main_part(pixels: Bool, near: float) -> tuple[Bool, Bool]:
    """Return the largest connected part with its rivals at most `near` pixels away, and the rivals left out."""
    labels, _ = ndimage.label(pixels, EIGHT_NEIGHBOURS)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    largest = sizes.argmax()
    kept = np.zeros(len(sizes), bool)
    kept[largest] = sizes[largest] > 0
    rivals = np.setdiff1d(np.flatnonzero(sizes >= max(1, RIVAL_SHARE * sizes[largest])), largest)
    if len(rivals):
        # Distances at this resolution, within a few pixels, suffice and cost a sixteenth.
        step = max(1, max(pixels.shape) // 512)
        coarse = labels[::step, ::step]
        distance = step * ndimage.distance_transform_edt(coarse != largest)
        kept[rivals] = ndimage.minimum(distance, coarse, rivals) <= near
    left_out = np.zeros(len(sizes), bool)
    left_out[rivals] = ~kept[rivals]
    return kept[labels], left_out[labels]


def _doubt(find: _Find) -> str | None:
    """Return why a find is not an object before a background, as a sentence; None if it is one."""
    coverage = find.pixels.mean()
    small = coverage < MIN_COVERAGE
    if small and (np.count_nonzero(find.pixels) < MIN_OBJECT_PIXELS or find.sure < MIN_CERTAIN_SHARE_OF_SMALL):
        return "No object stands out in this photo."
    if coverage > MAX_COVERAGE or min(side.mean() for side in _sides(find.pixels)) > MAX_BORDER_COVERAGE:
        return "The object fills the whole frame, so it cannot be told from its background."
    if find.sure < (MIN_CERTAIN_SHARE_OF_SMALL if find.close_up else MIN_CERTAIN_SHARE):
        return "It is not clear what the object in this photo is."
    return None
