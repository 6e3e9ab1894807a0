import numpy as np
import pytest

from sam3d_bento.export.texture.fill import MAX_MIP_LEVEL, fill

SIZE = 64


def mip(image: np.ndarray, level: int) -> np.ndarray:
    edge = 1 << level
    return image.reshape(SIZE // edge, edge, SIZE // edge, edge, 3).astype(float).mean(axis=(1, 3))


def two_charts() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make an image, a mask of its painted texels, and their charts: 1 a red disc, 2 a blue one, a few texels apart."""
    y, x = np.mgrid[:SIZE, :SIZE]
    chart = np.where((x - 17) ** 2 + (y - 30) ** 2 < 120, 1, 0) + np.where((x - 46) ** 2 + (y - 33) ** 2 < 200, 2, 0)
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    image[chart == 1], image[chart == 2] = (240, 10, 10), (10, 10, 240)
    return image, chart > 0, chart


def test_painted_texels_stay_and_all_others_get_a_painted_colour() -> None:
    image, painted, _ = two_charts()
    filled = fill(image, painted)
    np.testing.assert_array_equal(filled[painted], image[painted])
    assert (filled.reshape(-1, 3).min(axis=1) == 10).all()


@pytest.mark.parametrize("level", range(MAX_MIP_LEVEL + 1))
def test_a_mip_texel_over_one_chart_has_the_colour_of_the_chart(level: int) -> None:
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


def test_one_painted_texel_fills_the_image() -> None:
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    painted = np.zeros((SIZE, SIZE), dtype=bool)
    image[3, 50], painted[3, 50] = (1, 2, 3), True
    assert (fill(image, painted) == (1, 2, 3)).all()
