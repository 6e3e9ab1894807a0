"""Transfer functions: from the numbers in a file to linear light."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

import numpy as np

from sam3d_bento.arrays import Float32, Floats

PAPER_WHITE = 203.0  # cd/m2, the luminance of diffuse white in HDR pictures; ITU-R BT.2408, section 2
HLG_PEAK = 1000.0  # cd/m2, the nominal peak of a display for HLG; ITU-R BT.2100, table 5

# PNG's and EXIF's exponents this close to 1/2.2 are the usual way to write "as on any screen", which is sRGB.
_NEAR_SRGB = 0.011  # so that 45000 of PNG, which is 1 / 2.222, is one of them
_EXPONENTS = (0.1, 10.0)  # a wider one is no picture's; 1.0 is linear, the steepest known are 2.8


class Curve(Enum):
    """The families of transfer functions."""

    SRGB = auto()  # IEC 61966-2-1
    POWER = auto()  # light = value ** exponent
    LOG = auto()  # ITU-T H.273, 9 and 10: light = 10 ** (exponent * (value - 1))
    TABLE = auto()  # TIFF 6.0, TransferFunction: samples of the light at equal steps
    PQ = auto()  # SMPTE ST 2084
    HLG = auto()  # ITU-R BT.2100


@dataclass(frozen=True)
class Transfer:
    """A transfer function. exponent: of POWER and LOG; table: the bytes of float32 values 0..1, for TABLE."""

    curve: Curve = Curve.SRGB
    exponent: float = 1.0
    table: bytes = b""

    @property
    def is_hdr(self) -> bool:
        """Return whether values may be brighter than paper white."""
        return self.curve in (Curve.PQ, Curve.HLG)

    def to_linear(self, values: Floats) -> Float32:
        """Return the linear light of `values` (any shape, 0..1), as float32 of the same shape.

        1.0 is white. Of PQ it is PAPER_WHITE, and values go up to 49. HLG gives scene light 0..1: what a display makes
        of it depends on all three channels (`hlg_display_light`).
        """
        x = np.clip(values, 0.0, 1.0).astype(np.float64)
        match self.curve:
            case Curve.SRGB:
                linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
            case Curve.POWER:
                linear = x**self.exponent
            case Curve.LOG:
                linear = np.where(x > 0, 10.0 ** (self.exponent * (x - 1.0)), 0.0)
            case Curve.TABLE:
                levels = np.frombuffer(self.table, np.float32)
                linear = np.interp(x, np.linspace(0.0, 1.0, len(levels)), levels)
            case Curve.PQ:  # SMPTE ST 2084, equation 4.1
                root = x ** (1 / 78.84375)
                base = np.maximum(root - 0.8359375, 0.0) / (18.8515625 - 18.6875 * root)
                linear = 10_000.0 / PAPER_WHITE * base ** (1 / 0.1593017578125)
            case Curve.HLG:  # ITU-R BT.2100, table 5, the inverse OETF
                a, b, c = 0.17883277, 0.28466892, 0.55991073
                linear = np.where(x <= 0.5, x * x / 3.0, (np.exp((x - c) / a) + b) / 12.0)
        return linear.astype(np.float32)


SRGB = Transfer()


def power(exponent: float) -> Transfer | None:
    """Return light = value ** exponent; SRGB for about 2.2; None for an exponent that no picture has."""
    if not _EXPONENTS[0] <= exponent <= _EXPONENTS[1]:
        return None
    return SRGB if abs(exponent / 2.2 - 1) <= _NEAR_SRGB else Transfer(Curve.POWER, exponent)


def hlg_display_light(scene: Float32) -> Float32:
    """Return what a display of HLG_PEAK shows of `scene` (..., 3), BT.2020 scene light 0..1; 1.0 is PAPER_WHITE.

    ITU-R BT.2100, table 5: the OOTF, whose exponent at this peak is 1.2.
    """
    luminance = scene @ np.array([0.2627, 0.6780, 0.0593], np.float32)
    return np.float32(HLG_PEAK / PAPER_WHITE) * np.power(luminance, np.float32(0.2))[..., None] * scene
