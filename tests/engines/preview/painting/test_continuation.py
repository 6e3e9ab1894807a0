import numpy as np
import numpy.typing as npt
import pytest

from sam3d_bento.arrays import Bool, Float32
from sam3d_bento.engines.preview.painting.continuation import continue_pattern

Array = npt.NDArray[np.float64]
ROWS = 60
SEEN = np.radians(70)
ANGLES = np.arange(900) / 900 * 2 * np.pi
TURN = (ANGLES + np.pi) % (2 * np.pi) - np.pi
KNOWN: Bool = np.broadcast_to(np.abs(TURN) < SEEN, (ROWS, len(ANGLES)))
MIRRORED = np.sign(TURN) * np.where(np.abs(TURN) < SEEN, np.abs(TURN), SEEN * (np.pi - np.abs(TURN)) / (np.pi - SEEN))


def wave(angle: Array, count: int = 9) -> Float32:
    height = np.arange(ROWS)[:, None]
    tone = 128 + 60 * np.sin(height / 6 + 2 * np.sin(count * angle))
    return tone[:, :, None].repeat(3, 2).astype(np.float32)


@pytest.mark.parametrize("light", [0.0, 0.25])
def test_a_wave_goes_on_all_around(light: float) -> None:
    shade = (1 + light * np.sin(MIRRORED)).astype(np.float32)[:, None]
    continued = continue_pattern(wave(MIRRORED) * shade, ANGLES, KNOWN)
    wrong = np.abs(continued - wave(TURN) * shade)
    assert np.array_equal(continued[KNOWN], (wave(MIRRORED) * shade)[KNOWN])
    assert wrong.mean() < 0.3 * np.abs(wave(MIRRORED) - wave(TURN)).mean()


def test_what_is_hidden_in_between_is_filled_too() -> None:
    covered = KNOWN & ((TURN > 0.9) & (TURN < 1.1)) & (np.arange(ROWS)[:, None] > 40)
    picture = np.where(covered[:, :, None], wave(1.8 - TURN), wave(MIRRORED))  # mirrored there too
    continued = continue_pattern(picture, ANGLES, KNOWN & ~covered)
    far = covered & (TURN > 1)
    assert np.abs(continued - wave(TURN))[far].mean() < 0.3 * np.abs(picture - wave(TURN))[far].mean()


def test_a_pattern_that_does_not_repeat_stays_mirrored() -> None:
    random = np.random.default_rng(1)
    plain, level = np.full((ROWS, len(ANGLES), 3), 90, np.float32), wave(np.zeros_like(TURN))
    noise = random.uniform(50, 200, (ROWS, 2000, 3)).astype(np.float32)
    speckled = noise[:, ((MIRRORED + np.pi) * 200).astype(int)]
    halves = np.where(MIRRORED[:, None] > 0, [200, 60, 180], [200, 60, 60]) + np.zeros((ROWS, 1, 1))
    for picture in (plain, level, speckled, halves.astype(np.float32), wave(MIRRORED, 1)):
        assert np.array_equal(continue_pattern(picture, ANGLES, KNOWN), picture)


@pytest.mark.parametrize("seen", [0.02, 0.35, 3.13])
def test_any_part_may_be_seen(seen: float) -> None:
    known = np.broadcast_to(np.abs(TURN) < seen, (ROWS, len(ANGLES)))
    continued = continue_pattern(wave(TURN), ANGLES, known)
    assert np.isfinite(continued).all()
    assert np.array_equal(continued[known], wave(TURN)[known])
