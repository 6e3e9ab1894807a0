"""Replace the colours that a picture hides under alpha 0, so that no network and no texture uses what nobody saw.

An erased background is often still in the file, like anything else that was there before. It is replaced by the colours
of the visible neighbourhood, by the pull-push method: S. J. Gortler, R. Grzeszczuk, R. Szeliski, M. F. Cohen, The
Lumigraph, SIGGRAPH 1996, section 3.4.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from sam3d_bento.arrays import Bool, Float32
from sam3d_bento.reconstruction import Photo


def without_hidden_colours(photo: Photo) -> Photo:
    """Return `photo` with the colours under alpha 0 replaced by those of the visible pixels around them.

    All other colours, and alpha, do not change. Alpha that is 0 everywhere shows nothing and so hides nothing: such a
    photo is returned as it is, like one without alpha or without a pixel of alpha 0.
    """
    alpha, visible = photo.alpha, visible_pixels(photo)
    if alpha is None or visible is None:
        return photo
    hidden = ~visible
    rgb = photo.rgb.copy()
    # In units of the largest alpha, so that a faint picture is treated like a solid one.
    weight: Float32 = (alpha / np.float32(alpha.max())).astype(np.float32)
    coarse = _filled(*_halved((rgb * weight[..., None]).astype(np.float32), weight))
    rgb[hidden] = np.rint(_doubled(coarse, alpha.shape)[hidden]).clip(0, 255)
    return replace(photo, rgb=rgb)


def visible_pixels(photo: Photo) -> Bool | None:
    """Return the pixels (H, W) of `photo` whose alpha is not 0; None if alpha hides no pixel, or all."""
    alpha = photo.alpha
    return None if alpha is None or alpha.all() or not alpha.any() else alpha > 0


def _filled(colours: Float32, weight: Float32) -> Float32:
    """Return colours (H, W, 3), mixed with those of a coarser picture where `weight` (H, W), 0..1, is below 1.

    colours: (H, W, 3), each multiplied by its weight.
    """
    if weight.min() >= 1 or weight.size == 1:
        return (colours / np.maximum(weight, np.finfo(np.float32).tiny)[..., None]).astype(np.float32)
    coarse = _filled(*_halved(colours, weight))
    mixed: Float32 = colours + (1 - weight[..., None]) * _doubled(coarse, weight.shape)
    return mixed


def _halved(colours: Float32, weight: Float32) -> tuple[Float32, Float32]:
    """Return weighted colours (H, W, 3) and weights (H, W) at half the size: sums of 2 x 2, weights at most 1."""
    sums, total = _sums(colours), _sums(weight)
    excess = np.maximum(total, np.float32(1))
    return (sums / excess[..., None]).astype(np.float32), (total / excess).astype(np.float32)


def _sums(values: Float32) -> Float32:
    """Return the sums of the 2 x 2 blocks of `values` (H, W, ...); beyond the edge there are zeros."""
    height, width = values.shape[:2]
    padded = np.pad(values, [(0, height % 2), (0, width % 2), *[(0, 0)] * (values.ndim - 2)])
    total: Float32 = padded[::2, ::2] + padded[::2, 1::2] + padded[1::2, ::2] + padded[1::2, 1::2]
    return total


def _doubled(colours: Float32, shape: tuple[int, ...]) -> Float32:
    """Return colours (h, w, 3) interpolated to twice the size, and cropped to `shape` (H, W)."""
    height, width = colours.shape[:2]
    channels = [
        Image.fromarray(np.ascontiguousarray(colours[..., channel])).resize(
            (2 * width, 2 * height), Image.Resampling.BILINEAR
        )
        for channel in range(3)
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)[: shape[0], : shape[1]]
