import numpy as np
import pytest

from sam3d_bento.export.texture.fill import LEVEL, fill

SIZE = 64


def mip(image: np.ndarray, level: int) -> np.ndarray:
    edge = 1 << level
    return image.reshape(SIZE // edge, edge, SIZE // edge, edge, 3).astype(float).mean(axis=(1, 3))


def two_charts() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An image, what is painted of it, and of which chart: 1 a red disc, 2 a blue one, a few texels apart."""
    y, x = np.mgrid[:SIZE, :SIZE]
    chart = np.where((x - 17) ** 2 + (y - 30) ** 2 < 120, 1, 0) + np.where((x - 46) ** 2 + (y - 33) ** 2 < 200, 2, 0)
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    image[chart == 1], image[chart == 2] = (240, 10, 10), (10, 10, 240)
    return image, chart > 0, chart


def test_what_is_painted_stays_and_all_else_gets_a_colour_that_was_painted() -> None:
    image, painted, _ = two_charts()
    filled = fill(image, painted)
    np.testing.assert_array_equal(filled[painted], image[painted])
    assert (filled.reshape(-1, 3).min(axis=1) == 10).all()


@pytest.mark.parametrize("level", range(LEVEL + 1))
def test_a_texel_of_a_mip_level_over_one_chart_has_its_colour(level: int) -> None:
    image, painted, chart = two_charts()
    smaller = mip(fill(image, painted), level)
    edge = 1 << level
    blocks = (
        chart.reshape(SIZE // edge, edge, SIZE // edge, edge).transpose(0, 2, 1, 3).reshape(len(smaller), -1, edge**2)
    )
    for number, colour in ((1, (240, 10, 10)), (2, (10, 10, 240))):
        alone = (blocks == number).any(axis=2) & np.isin(blocks, (0, number)).all(axis=2)
        assert alone.any()
        np.testing.assert_array_equal(smaller[alone], np.broadcast_to(colour, (alone.sum(), 3)))


def test_one_painted_texel_colours_all() -> None:
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    painted = np.zeros((SIZE, SIZE), dtype=bool)
    image[3, 50], painted[3, 50] = (1, 2, 3), True
    assert (fill(image, painted) == (1, 2, 3)).all()
