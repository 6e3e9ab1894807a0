import time
from dataclasses import replace

import numpy as np
import pytest

from sam3d_bento.export.texture.splat_source import FAINT, SplatSource
from sam3d_bento.reconstruction import Splats

UP = np.array([[0, 0, 1]], np.float32)


def plane(count: int = 400, height: float = 0.0, colour: tuple[int, int, int] = (200, 100, 50)) -> Splats:
    """Discs spread evenly over the unit square, facing +z."""
    edge = int(np.sqrt(count))
    grid = (np.stack(np.meshgrid(np.arange(edge), np.arange(edge)), axis=-1).reshape(-1, 2) + 0.5) / edge
    ones = np.ones((len(grid), 1), np.float32)
    return Splats(
        positions=np.hstack([grid, height * ones]).astype(np.float32),
        colours=np.tile(np.uint8(colour), (len(grid), 1)),
        opacity=ones[:, 0],
        scale=ones * np.array([0.5, 0.5, 0.1], np.float32) / np.float32(edge),
        rotation=ones * np.array([1, 0, 0, 0], np.float32),
    )


def joined(one: Splats, other: Splats) -> Splats:
    return Splats(*(np.concatenate([getattr(part, name) for part in (one, other)]) for name in vars(one)))


def middle(splats: Splats) -> np.ndarray:
    """The colour at the middle of the square."""
    return SplatSource(splats).colours(np.array([[0.5, 0.5, 0]], np.float32), UP).colours[0]


def test_one_colour_stays_that_colour() -> None:
    random = np.random.default_rng(0)
    points = np.hstack([random.uniform(0, 1, (1000, 2)), np.zeros((1000, 1))]).astype(np.float32)
    found = SplatSource(plane()).colours(points, np.repeat(UP, 1000, axis=0))
    np.testing.assert_allclose(found.colours, np.broadcast_to((200, 100, 50), (1000, 3)), atol=1e-3)
    assert found.trust.min() > 0.8
    assert 1 <= found.count.min() <= found.count.max() <= 8


def test_an_opaque_splat_counts_more_than_a_faint_one() -> None:
    both = joined(plane(), replace(plane(colour=(0, 0, 0)), opacity=np.full(400, 0.1, np.float32)))
    assert middle(both)[0] == pytest.approx(200 / 1.1, abs=1)


def test_an_outlier_colours_nothing() -> None:
    splats = plane()
    colours = splats.colours.copy()
    places = splats.positions[:, :2]
    at = int(np.linalg.norm(places - 0.5, axis=1).argmin())
    colours[at] = (0, 250, 250)
    point, expected = splats.positions[[at]], np.float32([[190, 100, 50]])
    source = SplatSource(replace(splats, colours=colours))
    assert source.colours(point, UP).colours[0, 0] < 150
    np.testing.assert_allclose(source.colours(point, UP, expected).colours, [[200, 100, 50]], atol=1e-3)


def test_a_line_of_another_colour_is_no_outlier() -> None:
    splats = plane()
    colours = splats.colours.copy()
    column = np.abs(splats.positions[:, 0] - 0.5) < 0.03
    colours[column] = (0, 250, 250)
    points = splats.positions[column][2:-2]
    source = SplatSource(replace(splats, colours=colours))
    expected = np.broadcast_to(np.float32([200, 100, 50]), points.shape)
    plain, wary = (source.colours(points, np.repeat(UP, len(points), 0), *more).colours for more in ((), (expected,)))
    np.testing.assert_array_equal(plain, wary)


@pytest.mark.parametrize("changed", [{"opacity": 0.02}, {"scale": 0.4}], ids=["nearly clear", "huge"])
def test_what_is_far_fainter_or_larger_than_most_is_left_out(changed: dict[str, float]) -> None:
    odd = replace(plane(9), scale=plane().scale[:9])
    odd = replace(odd, **{name: np.full_like(getattr(odd, name), value) for name, value in changed.items()})
    assert len(SplatSource(joined(plane(), odd))) == 400


def test_a_footprint_reaches_along_its_long_axis() -> None:
    # Two long splats, equally far: one points at the point, the other past it. A quarter turn about z is (s, 0, 0, s).
    quarter = np.float32(np.sqrt(0.5))
    splats = Splats(
        positions=np.float32([[0.1, 0, 0], [0, 0.1, 0]]),
        colours=np.uint8([[250, 0, 0], [0, 0, 250]]),
        opacity=np.ones(2, np.float32),
        scale=np.float32([[0.1, 0.01, 0.01], [0.1, 0.01, 0.01]]),
        rotation=np.float32([[1, 0, 0, 0], [1, 0, 0, 0]]),
    )
    source = np.zeros((1, 3), np.float32)
    towards_first = SplatSource(splats).colours(source, UP).colours[0]
    turned = replace(splats, rotation=np.float32([[quarter, 0, 0, quarter]] * 2))
    towards_second = SplatSource(turned).colours(source, UP).colours[0]
    assert towards_first[0] > 140 > 110 > towards_first[2]
    assert towards_second[2] > 140 > 110 > towards_second[0]


def test_the_back_of_a_thin_part_does_not_come_through() -> None:
    thin = joined(plane(), plane(height=-0.12, colour=(0, 0, 255)))  # the spacing is 0.05
    np.testing.assert_allclose(middle(thin), (200, 100, 50), atol=1e-3)


def test_far_from_all_splats_there_is_no_trust() -> None:
    found = SplatSource(plane()).colours(np.array([[0.5, 0.5, 3]], np.float32), UP)
    assert found.trust[0] == 0
    assert np.isfinite(found.colours).all()
    assert 0 < FAINT < 1


@pytest.mark.parametrize("number", [np.nan, np.inf, 0.0, -1.0])
@pytest.mark.parametrize("what", ["opacity", "scale"])
def test_broken_splats_are_left_out(what: str, number: float) -> None:
    broken = plane(colour=(0, 255, 0))
    broken = replace(broken, **{what: np.full_like(getattr(broken, what), number)})
    assert not len(SplatSource(broken))
    np.testing.assert_allclose(middle(joined(plane(), broken)), (200, 100, 50), atol=1e-3)


@pytest.mark.parametrize("rotation", [(0, 0, 0, 0), (np.nan, 0, 0, 0)])
def test_a_splat_without_direction_is_left_out(rotation: tuple[float, ...]) -> None:
    broken = replace(plane(), rotation=np.tile(np.float32(rotation), (400, 1)))
    assert not len(SplatSource(broken))


@pytest.mark.parametrize("count", [1, 2, 7])
def test_few_splats_and_splats_in_one_place(count: int) -> None:
    splats = Splats(*(np.repeat(getattr(plane(1), name), count, axis=0) for name in vars(plane(1))))
    np.testing.assert_allclose(middle(splats), (200, 100, 50), atol=1e-3)


def test_no_splats_at_all() -> None:
    nothing = Splats(*(getattr(plane(), name)[:0] for name in vars(plane())))
    assert not len(SplatSource(nothing))


HEAPS = {
    "all in one place": lambda random, count: np.zeros((count, 3)),
    "in two places": lambda random, count: random.choice([-0.3, 0.3], (count, 3)),
    "different numbers, but one place": lambda random, count: random.normal(size=(count, 3)) * 1e-20,
    "the least numbers there are": lambda random, count: random.integers(0, 3, (count, 3)) * 1e-45,
    "one place that is not the origin": lambda random, count: 0.25 + random.normal(size=(count, 3)) * 1e-8,
    "twenty places": lambda random, count: random.uniform(-0.5, 0.5, (20, 3))[random.integers(0, 20, count)],
    "half of them": lambda random, count: random.uniform(-0.5, 0.5, (count, 3)) * (random.random((count, 1)) < 0.5),
    "a small ball": lambda random, count: random.normal(size=(count, 3)) * 1e-5,
    "on a line": lambda random, count: random.uniform(-0.5, 0.5, (count, 1)) * [1, 0, 0],
    "near and far": lambda random, count: random.normal(size=(count, 3)) * 10.0 ** random.uniform(-30, 30, (count, 1)),
}


@pytest.mark.slow
@pytest.mark.parametrize("heap", HEAPS)
def test_collapsed_splats_are_looked_up_in_seconds(heap: str) -> None:
    random, count = np.random.default_rng(0), 100_000
    places = HEAPS[heap](random, count).astype(np.float32)
    splats = Splats(
        positions=places,
        colours=random.integers(0, 256, (count, 3)).astype(np.uint8),
        opacity=random.uniform(0.3, 1, count).astype(np.float32),
        scale=np.full((count, 3), 0.004, np.float32),
        rotation=np.tile(np.float32([1, 0, 0, 0]), (count, 1)),
    )
    points = random.uniform(-0.5, 0.5, (50_000, 3)).astype(np.float32)
    start = time.perf_counter()
    source = SplatSource(splats)
    found = source.colours(points, np.repeat(UP, len(points), axis=0))
    source.colours_without_own(np.arange(min(4000, len(source))), np.repeat(UP, min(4000, len(source)), axis=0))
    assert time.perf_counter() - start < 10, "hours, where a search looks at all of them"
    assert np.isfinite(found.colours).all()
    assert found.colours.min() >= 0
    assert found.colours.max() <= 255.01


def test_most_opaque_splats_of_a_heap_and_all_others_stay() -> None:
    heap = Splats(*(np.repeat(getattr(plane(1), name), 50, axis=0) for name in vars(plane(1))))
    heap = replace(heap, opacity=np.linspace(0.01, 1, 50, dtype=np.float32), scale=plane().scale[:50])
    apart = replace(plane(), positions=plane().positions + np.float32([2, 0, 0]))
    kept = SplatSource(joined(heap, apart))
    assert len(kept) == 9 + 400
    assert sorted(kept._splats.opacity[:9]) == sorted(heap.opacity[-9:])


def test_no_splat_of_a_common_cloud_is_left_out() -> None:
    """32 splats in each voxel of a grid of 64, as SAM 3D gives them."""
    random = np.random.default_rng(0)
    voxels = random.integers(0, 64, (2000, 1, 3)) / 64 - 0.5
    places = (voxels + random.uniform(0, 1 / 64, (2000, 32, 3))).reshape(-1, 3).astype(np.float32)
    one = plane(1)
    splats = Splats(*(np.repeat(getattr(one, name), len(places), axis=0) for name in vars(one)))
    assert len(SplatSource(replace(splats, positions=places))) == len(places)
