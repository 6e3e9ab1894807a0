"""The size model, with a small network of the same inputs and outputs that knows one scene."""

import numpy as np
import pytest

from sam3d_bento.errors import NotReady
from sam3d_bento.photo.size import model as size_model
from sam3d_bento.photo.size.model import SizeModel
from tests.photo.size.test_shift import HEIGHT, WIDTH, depth_map, points_of
from tests.support.onnx_files import install_size_model, size_network

FOCAL = 150.0
METRES = 0.25  # of the network's unit
PICTURE = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A size model of a network, by its arguments after the points."""

    def make(points=None, **rest):
        scene = points_of(depth_map(), FOCAL) if points is None else points
        install_size_model(tmp_path, size_network(scene, METRES, **rest), monkeypatch)
        return SizeModel(tmp_path)

    return make


@pytest.mark.parametrize("name", ["scale", "metric_scale"])
@pytest.mark.parametrize("focal", [None, FOCAL])
def test_each_pixel_spans_its_depth_in_metres_by_the_focal_length(made, focal, name):
    model = made(shift=0.4, scale_name=name)
    assert model.is_available
    expected = depth_map() * METRES / FOCAL
    assert model.measure_pixels(PICTURE, focal) == pytest.approx(expected, rel=1e-3)


def test_the_network_sees_red_green_and_blue_as_0_to_1(made):
    """It multiplies the points by the red."""
    model = made(by_red=True)
    whole = model.measure_pixels(PICTURE)
    red = np.zeros_like(PICTURE)
    red[..., 0] = 51
    assert model.measure_pixels(red) == pytest.approx(whole / 5, rel=1e-3)


def test_a_pixel_that_the_network_is_not_certain_of_spans_nothing(made):
    certain = np.linspace(0, 1, HEIGHT)[:, None] * np.ones(WIDTH)
    found = made(certain=certain).measure_pixels(PICTURE)
    assert np.isnan(found[: HEIGHT // 2 - 1]).all()
    assert np.isfinite(found[HEIGHT // 2 + 1 :]).all()


def test_a_larger_photo_is_reduced_and_its_pixels_span_less(made, monkeypatch):
    model = made()
    monkeypatch.setattr(size_model, "TOKENS", WIDTH * HEIGHT / size_model.PATCH_PIXELS**2)
    whole, double = model.measure_pixels(PICTURE), model.measure_pixels(PICTURE.repeat(2, 0).repeat(2, 1), 2 * FOCAL)
    factor = int(size_model.TOKENS) / 1800  # what the network makes of another number of tokens
    assert whole == pytest.approx(depth_map() * METRES / FOCAL * factor, rel=1e-3)
    assert double.shape == (2 * HEIGHT, 2 * WIDTH)
    assert double[::2, ::2] == pytest.approx(whole / 2, rel=1e-3)


def test_points_that_fit_to_no_camera_give_nothing(made):
    assert made(np.zeros((HEIGHT, WIDTH, 3))).measure_pixels(PICTURE) is None


def test_without_its_file_the_model_is_not_available(tmp_path):
    assert not SizeModel(tmp_path).is_available


def test_a_damaged_file_is_refused_with_the_command_that_helps(tmp_path, monkeypatch):
    content = size_network(points_of(depth_map(), FOCAL), METRES)
    path = install_size_model(tmp_path, content, monkeypatch)
    path.write_bytes(content[:-1] + b"?")
    with pytest.raises(NotReady, match="weights fetch --set size"):
        SizeModel(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no network", "damaged or of another kind"),
        (size_network(points_of(depth_map(), FOCAL), METRES, scale_name="size"), "another network"),
    ],
)
def test_another_network_is_refused_when_it_is_loaded(tmp_path, monkeypatch, content, said):
    install_size_model(tmp_path, content, monkeypatch)
    model = SizeModel(tmp_path)
    with pytest.raises(NotReady, match=said):
        model.measure_pixels(PICTURE)
