from collections.abc import Callable

import numpy as np
import pytest

from sam3d_bento.arrays import Bool
from sam3d_bento.engines.preview.painting.base import compute_base, inpaint_back

Disc = Callable[[int, float], Bool]


def test_the_back_has_the_rims_colours_and_no_spot_of_the_front(disc: Disc) -> None:
    inside = disc(300, 120)
    front = np.full((300, 300, 3), 200, np.float32)
    front[disc(300, 40)] = 20
    back = inpaint_back(front, inside)
    assert back.shape == front.shape
    assert back[inside].min() > 110, "the spot fades"
    rim = inside & ~disc(300, 114)
    np.testing.assert_allclose(back[rim], 200, atol=8)


def test_a_stripe_that_reaches_the_rim_goes_on_from_there(disc: Disc) -> None:
    front = np.full((300, 300, 3), 200, np.float32)
    front[120:180] = 20
    back = inpaint_back(front, disc(300, 120))
    assert back[150, 50].max() < 110
    assert back[150, 150].max() < back[60, 150].min() - 10


@pytest.mark.parametrize("inside", [np.ones((1, 1), bool), np.ones((2, 300), bool), np.eye(40, dtype=bool)])
def test_an_object_without_an_inside_keeps_its_colours(inside: Bool) -> None:
    front = np.full((*inside.shape, 3), 77, np.float32)
    np.testing.assert_allclose(inpaint_back(compute_base(front, inside), inside), 77, atol=1e-3)
