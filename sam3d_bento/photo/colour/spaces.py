"""Colour spaces by primaries and transfer function, and what the code points of ITU-T H.273 mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam3d_bento.arrays import Float64
from sam3d_bento.photo.colour.transfer import SRGB as SRGB_TRANSFER
from sam3d_bento.photo.colour.transfer import Curve, Transfer

Chromaticities = tuple[float, float, float, float, float, float, float, float]  # CIE 1931 x, y: white, red, green, blue

_D65 = (0.3127, 0.3290)
_C = (0.310, 0.316)
BT709: Chromaticities = (*_D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060)
BT2020: Chromaticities = (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046)
_SMPTE170M: Chromaticities = (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070)
_ADOBE: Chromaticities = (*_D65, 0.640, 0.330, 0.210, 0.710, 0.150, 0.060)

# ITU-T H.273, table 2. 2 means unspecified.
_PRIMARIES: dict[int, Chromaticities] = {
    1: BT709,
    4: (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: _SMPTE170M,
    7: _SMPTE170M,
    8: (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: BT2020,
    10: (1 / 3, 1 / 3, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (*_D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
# ITU-T H.273, table 3. The curves of cameras for television (1, 6, 7, 11, 12, 14, 15) are not there: such a picture is
# meant for a screen, where sRGB shows it as intended, and browsers take it so.
_TRANSFERS = {
    4: Transfer(Curve.POWER, 2.2),
    5: Transfer(Curve.POWER, 2.8),
    8: Transfer(Curve.POWER, 1.0),
    9: Transfer(Curve.LOG, 2.0),
    10: Transfer(Curve.LOG, 2.5),
    16: Transfer(Curve.PQ),
    17: Transfer(Curve.POWER, 2.6),
    18: Transfer(Curve.HLG),
}
_AS_ON_A_SCREEN = (1, 2, 6, 7, 11, 12, 13, 14, 15)

# Bradford's cone responses, of CIE XYZ; ICC.1:2022, annex E
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


@dataclass(frozen=True)
class ColourSpace:
    """An RGB space. full_range: False where 8-bit samples lie in 16..235, as in video."""

    primaries: Chromaticities = BT709
    transfer: Transfer = SRGB_TRANSFER
    full_range: bool = True

    @property
    def is_srgb(self) -> bool:
        """Return whether numbers in this space are sRGB's own, or differ by less than a level."""
        close = max(abs(a - b) for a, b in zip(self.primaries, BT709, strict=True)) <= 0.0011
        return close and self.transfer == SRGB_TRANSFER and self.full_range


SRGB = ColourSpace()
# Adobe RGB (1998) Color Image Encoding, sections 4.3.1 and 4.3.4: exponent 563/256
ADOBE_RGB = ColourSpace(_ADOBE, Transfer(Curve.POWER, 563 / 256))


def from_cicp(primaries: int, transfer: int, *, full_range: bool = True) -> ColourSpace | None:
    """Return the space of two code points of ITU-T H.273; None when neither says anything that is known."""
    if primaries not in _PRIMARIES and (transfer not in _TRANSFERS and transfer not in _AS_ON_A_SCREEN[2:]):
        return None
    if transfer not in _TRANSFERS and transfer not in _AS_ON_A_SCREEN:
        return None
    fallback = BT2020 if transfer in (16, 18) else BT709
    curve = _TRANSFERS.get(transfer, SRGB_TRANSFER)
    return ColourSpace(_PRIMARIES.get(primaries, fallback), curve, full_range)


def from_chromaticities(values: tuple[float, ...]) -> Chromaticities | None:
    """Return x, y of white, red, green, blue when they span a space; None for numbers that cannot be.

    Broken files hold zeros, or a white point outside the triangle of the primaries.
    """
    if len(values) != 8 or not np.isfinite(values).all() or any(not -1.0 <= value <= 2.0 for value in values):
        return None
    white, red, green, blue, *_ = (values[n : n + 2] for n in (0, 2, 4, 6))
    corners = np.array([red, green, blue])
    if white[1] <= 0.05 or abs(np.linalg.det(np.column_stack([corners, np.ones(3)]))) < 0.01:
        return None
    shares = np.linalg.solve(np.vstack([corners.T, np.ones(3)]), np.array([*white, 1.0]))
    return tuple(values) if shares.min() > 0.01 else None  # type: ignore[return-value]  # its length is checked above


def matrix_to_srgb(primaries: Chromaticities) -> Float64:
    """Return the (3, 3) matrix from linear RGB of `primaries` to linear sRGB, white to white.

    SMPTE RP 177 gives the matrix to CIE XYZ; white points are adapted by Bradford's method.
    """
    to_d65 = _adaptation(primaries[:2], BT709[:2])
    matrix: Float64 = np.linalg.inv(_matrix_to_xyz(BT709)) @ to_d65 @ _matrix_to_xyz(primaries)
    return matrix


def _matrix_to_xyz(primaries: Chromaticities) -> Float64:
    corners = np.array([[*primaries[n : n + 2], 1 - sum(primaries[n : n + 2])] for n in (2, 4, 6)]).T
    scale = np.linalg.solve(corners, _xyz(primaries[:2]))
    return corners * scale


def _adaptation(source: tuple[float, float], target: tuple[float, float]) -> Float64:
    ratio = (_BRADFORD @ _xyz(target)) / (_BRADFORD @ _xyz(source))
    matrix: Float64 = np.linalg.inv(_BRADFORD) @ np.diag(ratio) @ _BRADFORD
    return matrix


def _xyz(white: tuple[float, float]) -> Float64:
    x, y = white
    return np.array([x / y, 1.0, (1 - x - y) / y])
