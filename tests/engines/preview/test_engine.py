import json
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import trimesh
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from sam3d_bento.arrays import Bool, Float32, Int32
from sam3d_bento.engines.preview.engine import PreviewEngine
from sam3d_bento.errors import Cancelled, NoObject
from sam3d_bento.options import Options
from sam3d_bento.progress import silent
from sam3d_bento.reconstruction import Mask, Photo, Reconstruction
from sam3d_bento.warning_codes import WarningCode

Closed = Callable[[Float32, Int32], None]
Disc = Callable[[int, float], Bool]
Photographed = Callable[..., tuple[Photo, Mask]]
Reconstruct = Callable[..., Reconstruction]


def only(shape: tuple[int, int], *true: tuple[slice | int, slice | int]) -> Bool:
    pixels = np.zeros(shape, bool)
    for place in true:
        pixels[place] = True
    return pixels


def text(size: int) -> Bool:
    image = Image.new("1", (600, 300))
    ImageDraw.Draw(image).text((10, 10), "Ag&%8@\nij;:#", fill=1, font=ImageFont.load_default(size))
    return np.asarray(image)


def hostile_masks() -> Iterator[tuple[str, Bool]]:
    every = slice(None)
    yield "one pixel", only((64, 64), (30, 30))
    yield "one pixel in the corner", only((64, 64), (0, 0))
    yield "a frame of one pixel", np.ones((1, 1), bool)
    yield "two far specks", only((700, 700), (slice(0, 2), slice(0, 2)), (slice(698, 700), slice(698, 700)))
    yield "row", only((500, 700), (250, slice(50, 650)))
    yield "column through the frame", only((2048, 300), (every, 100))
    yield "diagonal", np.eye(300, dtype=bool)
    yield "3 x 2000", np.ones((3, 2000), bool)
    yield "line with a knob", only((20, 4000), (10, every), (slice(5, 15), slice(2000, 2010)))
    yield "stripes askew", np.indices((200, 200)).sum(0) % 14 < 7
    for edge, field in ((64, 1), (64, 2), (300, 7), (150, 30)):
        yield f"chessboard of {field}", (np.indices((edge, edge)) // field).sum(0) % 2 == 0
    yield "corners touch", only((150, 150), (slice(25, 75), slice(25, 75)), (slice(75, 125), slice(75, 125)))
    yield "all but the border", only((120, 150), (slice(1, -1), slice(1, -1)))
    yield "everything", np.ones((80, 120), bool)
    row, column = np.ogrid[-150:150, -150:150]
    radius = np.hypot(row, column)
    yield "ring", (radius < 140) & (radius > 80)
    yield "hairline ring", (radius < 140) & (radius > 138.5)
    yield "target", radius.astype(int) // 5 % 2 == 0
    yield "small print", text(16)
    yield "large print", text(110)
    random = np.random.default_rng(0)
    for edge, sigma in ((20, 2.0), (34, 7.0), (120, 0.6), (120, 3.0), (200, 9.0)):
        yield f"blobs {edge}/{sigma}", ndimage.gaussian_filter(random.normal(size=(edge, edge + 7)), sigma) > 0
    for share in (0.02, 0.3, 0.9):
        yield f"noise {share}", random.random((300, 300)) < share


@pytest.mark.slow
@pytest.mark.parametrize("pixels", [pytest.param(pixels, id=name) for name, pixels in hostile_masks()])
def test_any_mask_gives_a_closed_mesh_that_fills_the_unit_cube(
    reconstruct: Reconstruct, assert_closed: Closed, pixels: Bool
) -> None:
    result = reconstruct(pixels)
    assert (result.vertices.dtype, result.faces.dtype) == (np.float32, np.int32)
    assert np.isfinite(result.vertices).all()
    assert_closed(result.vertices, result.faces)
    assert trimesh.Trimesh(result.vertices, result.faces, process=False).volume > 0  # counter-clockwise from outside
    low, high = result.vertices.min(0), result.vertices.max(0)
    assert (high - low).max() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose((low + high) / 2, 0, atol=1e-6)
    assert result.colours is not None
    assert (result.colours.shape, result.colours.dtype) == (result.vertices.shape, np.uint8)


@pytest.mark.properties
def test_random_small_masks_are_closed(reconstruct: Reconstruct, assert_closed: Closed) -> None:
    random = np.random.default_rng(3)
    for _ in range(60):
        pixels = random.random(random.integers(1, 13, 2)) < random.uniform(0.1, 0.95)
        if pixels.any():
            result = reconstruct(pixels)
            assert_closed(result.vertices, result.faces)


def test_the_photo_faces_plus_z_and_stands_upright(reconstruct: Reconstruct) -> None:
    pixels = only((200, 200), (slice(20, 180), slice(60, 140)), (slice(140, 180), slice(20, 180)))  # wide at the foot
    rgb = np.zeros((200, 200, 3), np.uint8)
    rgb[:, :100, 0] = 255  # red on the left
    result = reconstruct(pixels, rgb)
    assert result.colours is not None
    x, y, z = result.vertices.T
    assert np.ptp(x[y < -0.4]) > 1.5 * np.ptp(x[y > 0.3])
    assert result.colours[(z > 0.1) & (x < -0.1), 0].min() > 200
    assert result.colours[(z > 0.1) & (x > 0.1), 0].max() < 50


def test_a_disc_becomes_a_slightly_deep_ball_and_not_a_pear(reconstruct: Reconstruct, disc: Disc) -> None:
    vertices = reconstruct(disc(400, 180), shape="puff").vertices
    width, height, depth = np.ptp(vertices, axis=0)
    assert width == pytest.approx(height, rel=0.02)
    assert 1.15 < depth / width < 1.4
    around = np.hypot(vertices[:, 0], vertices[:, 1])
    near, far = (around[np.abs(vertices[:, 2] - z) < 0.02].max() for z in (0.3, -0.3))
    assert near == pytest.approx(far, rel=0.03)


def test_an_object_off_the_middle_is_not_cropped(reconstruct: Reconstruct) -> None:
    vertices = reconstruct(only((400, 600), (slice(0, 100), slice(500, 600)))).vertices
    assert np.ptp(vertices[:, 0]) == pytest.approx(np.ptp(vertices[:, 1]), rel=0.1)


@pytest.mark.slow
def test_holes_stay_open_and_components_stay_apart(reconstruct: Reconstruct, disc: Disc) -> None:
    ring = disc(200, 80) & ~disc(200, 40)
    pixels = np.hstack([ring, ring, disc(200, 60)])
    result = reconstruct(pixels)
    parts = trimesh.Trimesh(result.vertices, result.faces, process=False).split()
    assert sorted(part.euler_number for part in parts) == [0, 0, 2]  # two rings and a ball


@pytest.mark.slow
@pytest.mark.parametrize("edge", [1024, 2048])
def test_large_photos_give_a_bounded_number_of_faces(reconstruct: Reconstruct, disc: Disc, edge: int) -> None:
    assert 300_000 < len(reconstruct(disc(edge, edge * 0.48), shape="puff").faces) < 600_000


@pytest.mark.slow
def test_equal_inputs_give_equal_arrays_for_any_seed(photographed: Photographed, disc: Disc) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (150, 150, 3), dtype=np.uint8)
    photo, mask = photographed(disc(150, 60), rgb)
    first, second = (PreviewEngine().reconstruct(photo, mask, Options(), seed, silent) for seed in (1, 2))
    for name in ("vertices", "faces", "colours"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert first.details == second.details


def test_the_result_reports_how_much_was_guessed(reconstruct: Reconstruct, disc: Disc) -> None:
    result = reconstruct(disc(200, 50), shape="puff")
    assert result.warnings == (WarningCode.SHAPE_GUESSED,)
    assert json.loads(json.dumps(result.details)) == result.details
    assert result.details["shape"] == "puff"
    assert 0.3 < result.details["observed_fraction"] < 0.5  # a camera sees less than half of a ball
    assert result.details["fov_degrees"] == pytest.approx(39.308, abs=1e-3)
    assert result.details["fov_source"] == "assumed"
    assert result.details["grid"] == [208, 208]  # 100 pixels of two cells each, and the padding


@pytest.mark.parametrize("quality", ["draft", "high"])
def test_quality_is_reported_as_ignored(photographed: Photographed, disc: Disc, quality: str) -> None:
    photo, mask = photographed(disc(64, 20))
    options = Options.model_validate({"quality": quality})
    result = PreviewEngine().reconstruct(photo, mask, options, 0, silent)
    assert result.warnings == (WarningCode.SHAPE_GUESSED, WarningCode.QUALITY_IGNORED)


def test_a_given_seed_is_reported_as_ignored(photographed: Photographed, disc: Disc) -> None:
    engine = PreviewEngine()
    result = engine.reconstruct(*photographed(disc(64, 20)), Options(seed=7), 7, silent)
    assert result.warnings == (WarningCode.SHAPE_GUESSED, WarningCode.SEED_IGNORED)
    assert engine.facts["seeded"] is False


def test_the_options_that_the_engine_says_it_ignores_change_nothing(photographed: Photographed, disc: Disc) -> None:
    photo, mask = photographed(disc(64, 20))
    engine = PreviewEngine()
    usual = engine.reconstruct(photo, mask, Options(), 0, silent)
    others = {"seed": 7, "quality": "high", "colour_source": "splats"}
    assert set(engine.facts["ignores"]) == set(others)
    other = engine.reconstruct(photo, mask, Options.model_validate(others), 7, silent)
    assert np.array_equal(other.vertices, usual.vertices)
    assert np.array_equal(other.colours, usual.colours)


def test_an_empty_mask_raises_no_object(reconstruct: Reconstruct) -> None:
    with pytest.raises(NoObject):
        reconstruct(np.zeros((30, 30), bool))


def test_progress_rises_from_0_to_1(photographed: Photographed, disc: Disc) -> None:
    ticks: list[float] = []
    PreviewEngine().reconstruct(*photographed(disc(64, 20)), Options(), 0, ticks.append)
    assert ticks == sorted(ticks)
    assert (ticks[0], ticks[-1]) == (0, 1)
    assert len(ticks) > 4


def test_a_cancelled_run_ends_at_the_next_progress_call(photographed: Photographed, disc: Disc) -> None:
    seen: list[float] = []

    def cancel_soon(fraction: float) -> None:
        seen.append(fraction)
        if fraction > 0.15:
            raise Cancelled("The job was cancelled.")

    with pytest.raises(Cancelled):
        PreviewEngine().reconstruct(*photographed(disc(64, 20)), Options(), 0, cancel_soon)
    assert seen[-1] < 0.5


def test_load_succeeds_and_names_the_device() -> None:
    engine = PreviewEngine()
    engine.load()
    assert (engine.name, engine.device) == ("preview", "cpu")
