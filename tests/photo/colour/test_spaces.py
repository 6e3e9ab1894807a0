import numpy as np
import pytest

from sam3d_bento.photo.colour.spaces import (
    ADOBE_RGB,
    BT709,
    BT2020,
    SRGB,
    ColourSpace,
    from_chromaticities,
    from_cicp,
    matrix_to_srgb,
)
from sam3d_bento.photo.colour.transfer import SRGB as SRGB_TRANSFER
from sam3d_bento.photo.colour.transfer import Curve, Transfer


@pytest.mark.parametrize("primaries", [1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 22])
def test_white_stays_white(primaries):
    matrix = matrix_to_srgb(from_cicp(primaries, 13).primaries)
    assert matrix @ np.ones(3) == pytest.approx(np.ones(3), abs=1e-6)


def test_known_matrices():
    assert matrix_to_srgb(BT709) == pytest.approx(np.eye(3), abs=1e-9)
    # ITU-R BT.2087, section 2, the inverse of its matrix from BT.709 to BT.2020
    bt2020 = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
    assert matrix_to_srgb(BT2020) == pytest.approx(np.array(bt2020), abs=2e-4)


def test_code_points_that_say_nothing_are_nothing():
    for primaries, transfer in ((2, 2), (0, 0), (3, 13), (99, 13), (1, 0), (1, 99), (0, 2)):
        space = from_cicp(primaries, transfer)
        assert space is None or space.is_srgb
    assert from_cicp(2, 8) == ColourSpace(BT709, Transfer(Curve.POWER, 1.0))
    assert from_cicp(2, 16) == ColourSpace(BT2020, Transfer(Curve.PQ))
    assert from_cicp(12, 2).transfer == SRGB_TRANSFER


@pytest.mark.parametrize("transfer", [1, 2, 6, 7, 11, 12, 13, 14, 15])
def test_television_is_shown_as_it_is_on_screens(transfer):
    assert from_cicp(1, transfer).is_srgb


def test_only_srgb_is_srgb():
    assert SRGB.is_srgb
    assert ColourSpace((0.3127, 0.329, 0.6400, 0.3301, 0.3, 0.6, 0.15, 0.0599)).is_srgb
    for other in (ADOBE_RGB, ColourSpace(BT2020), ColourSpace(full_range=False), from_cicp(1, 8), from_cicp(12, 13)):
        assert not other.is_srgb


@pytest.mark.parametrize(
    "values",
    [
        (),
        (0.0,) * 8,
        (0.3127, 0.329),
        (0.3127, 0.329, 0.64, 0.33, 0.64, 0.33, 0.15, 0.06),  # two alike
        (0.3127, 0.329, 0.1, 0.1, 0.3, 0.3, 0.6, 0.6),  # on one line
        (0.8, 0.1, *BT709[2:]),  # white outside
        (0.3127, 0.0, *BT709[2:]),
        (float("nan"), *BT709[1:]),
        (float("inf"), *BT709[1:]),
        (21474.0, *BT709[1:]),
    ],
    ids=str,
)
def test_impossible_chromaticities_are_none(values):
    assert from_chromaticities(values) is None


def test_possible_chromaticities_are_kept():
    for values in (BT709, BT2020, (1 / 3, 1 / 3, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0), (0.3127, 0.329, 0.7347, 0.2653, 0.1596,
                   0.8404, 0.0366, 0.0001)):  # fmt: skip
        assert from_chromaticities(values) == values
