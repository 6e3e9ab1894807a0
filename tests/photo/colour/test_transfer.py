import numpy as np
import pytest

from sam3d_bento.photo.colour.transfer import PAPER_WHITE, SRGB, Curve, Transfer, hlg_display_light, power

ALL = [SRGB, *(Transfer(curve, 2.2) for curve in (Curve.POWER, Curve.PQ, Curve.HLG)), Transfer(Curve.LOG, 2.0)]


@pytest.mark.parametrize("transfer", ALL, ids=lambda transfer: transfer.curve.name)
def test_brighter_numbers_are_more_light(transfer):
    light = transfer.to_linear(np.linspace(0, 1, 1000))
    assert light.dtype == np.float32
    assert light[0] == 0
    assert (np.diff(light) >= 0).all()
    assert np.array_equal(transfer.to_linear(np.array([-1.0, 2.0])), light[[0, -1]])


@pytest.mark.parametrize(
    ("transfer", "value", "light"),
    [
        (SRGB, 0.5, 0.21404),
        (SRGB, 0.02, 0.02 / 12.92),
        (Transfer(Curve.POWER, 1.0), 0.5, 0.5),
        (Transfer(Curve.LOG, 2.0), 0.5, 0.1),
        # ITU-R BT.2408, tables 1 and 2
        (Transfer(Curve.PQ), 0.5807, 1.0),
        (Transfer(Curve.PQ), 1.0, 10_000 / PAPER_WHITE),
        (Transfer(Curve.PQ), 0.508, 100 / PAPER_WHITE),
        (Transfer(Curve.HLG), 0.5, 1 / 12),
        (Transfer(Curve.HLG), 1.0, 1.0),
        (Transfer(Curve.TABLE, table=np.array([0, 0.1, 1], np.float32).tobytes()), 0.75, 0.55),
    ],
)
def test_the_standards_own_numbers(transfer, value, light):
    assert transfer.to_linear(np.array([value]))[0] == pytest.approx(light, rel=0.01)


def test_hlg_at_three_quarters_is_paper_white():
    scene = Transfer(Curve.HLG).to_linear(np.full((1, 3), 0.75))
    assert hlg_display_light(scene) == pytest.approx(np.ones((1, 3)), rel=0.01)  # BT.2408, table 1


@pytest.mark.parametrize("exponent", [2.2, 1 / 0.45455, 1 / 0.45, 2.19])
def test_about_2_2_means_as_on_a_screen(exponent):
    assert power(exponent) == SRGB


def test_other_exponents_are_kept_and_absurd_ones_are_not():
    assert power(1.0) == Transfer(Curve.POWER, 1.0)
    assert power(1.8) == Transfer(Curve.POWER, 1.8)
    assert power(0.0) is None
    assert power(1e6) is None
    assert power(float("nan")) is None
