import numpy as np

from sam3d_bento.arrays import Bool, Float32
from sam3d_bento.engines.preview.painting.quilt import MAX_GAIN, synthesise_detail

SHAPE = (160, 200)


def everywhere() -> Bool:
    return np.ones(SHAPE, bool)


def noise(strength: float = 20) -> Float32:
    return np.random.default_rng(0).normal(0, strength, (*SHAPE, 3)).astype(np.float32)


def plain(level: float = 0) -> Float32:
    return np.full((*SHAPE, 3), level, np.float32)


def test_detail_moves_but_keeps_its_contrast() -> None:
    detail = noise()
    made = synthesise_detail(detail, plain(), plain(), everywhere(), everywhere())
    assert made.shape == detail.shape
    assert abs(np.corrcoef(made.ravel(), detail.ravel())[0, 1]) < 0.1
    assert 0.6 < made.std() / detail.std() < 1
    again = synthesise_detail(detail, plain(), plain(), everywhere(), everywhere())
    np.testing.assert_array_equal(made, again)


def test_detail_comes_from_places_of_the_wanted_colour() -> None:
    detail, colour = noise(), plain(200)
    detail[:, 100:] = 0
    colour[:, 100:] = 50
    made = synthesise_detail(detail, colour, colour[:, ::-1], everywhere(), everywhere())
    assert made[:, 120:].std() > 10
    assert made[:, :80].std() < 1


def test_what_stands_out_is_not_used() -> None:
    detail = noise(5)
    detail[70:90, 90:110] += 150
    made = synthesise_detail(detail, plain(), plain(), everywhere(), everywhere())
    assert np.abs(made).max() < 5 * 5 * MAX_GAIN


def test_only_the_needed_part_is_made() -> None:
    needed = everywhere()
    needed[:, 60:] = False
    made = synthesise_detail(noise(), plain(), plain(), everywhere(), needed)
    assert made[:, :60].std() > 10
    assert not made[:, 120:].any()


def test_an_object_too_small_for_a_texture_gets_none() -> None:
    core = ~everywhere()
    core[50:54, 60:64] = True
    assert not synthesise_detail(noise(), plain(), plain(), core, everywhere()).any()
    assert not synthesise_detail(plain(), plain(), plain(), everywhere(), everywhere()).any()
