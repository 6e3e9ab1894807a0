from dataclasses import replace

import numpy as np
import pytest

from sam3d_bento.camera import Camera
from sam3d_bento.errors import BadRequest
from sam3d_bento.reconstruction import ExactSurface, MeasuredScale, Pose, Reconstruction, Splats

FLOAT, INT, BYTE = np.float32, np.int32, np.uint8
CAMERA = {
    **{f"camera_{name}": np.float64(500) for name in ("fx", "fy", "cx", "cy")},
    **{f"camera_{name}": np.int64(1000) for name in ("width", "height")},
    "camera_source": np.str_("given"),
}

EXACT = {
    "exact_vertices": np.eye(3, dtype=FLOAT),
    "exact_faces": np.array([[0, 1, 2]], INT),
    "exact_normals": np.eye(3, dtype=FLOAT),
}


@pytest.fixture
def triangle():
    return Reconstruction(
        vertices=np.eye(3, dtype=FLOAT),
        faces=np.array([[0, 1, 2]], INT),
        colours=np.full((3, 3), 200, BYTE),
        splats=Splats(
            np.zeros((2, 3), FLOAT),
            np.zeros((2, 3), BYTE),
            np.ones(2, FLOAT),
            np.ones((2, 3), FLOAT),
            np.ones((2, 4), FLOAT),
        ),
        pose=Pose(np.array([1, 0, 0, 0], FLOAT), np.zeros(3, FLOAT), np.ones(3, FLOAT), "camera"),
        measured=MeasuredScale(0.25, "depth", 0.02),
        camera=Camera(520.1, 521.2, 240.0, 180.0, 480, 360, "given"),
    )


def test_a_saved_reconstruction_comes_back_as_it_was(triangle, tmp_path):
    path = tmp_path / "scan.npz"
    triangle.save(path)
    again = Reconstruction.load(path)
    for name in ("vertices", "faces", "colours"):
        np.testing.assert_array_equal(getattr(again, name), getattr(triangle, name))
        assert getattr(again, name).dtype == getattr(triangle, name).dtype
    np.testing.assert_array_equal(again.splats.opacity, triangle.splats.opacity)
    assert again.pose.frame == "camera"
    assert again.measured == triangle.measured
    assert again.camera == triangle.camera


@pytest.mark.parametrize("measured", [MeasuredScale(0.25, "depth"), MeasuredScale(0.1, "depth", 0.02)])
def test_a_measured_scale_comes_back_as_it_was(triangle, tmp_path, measured):
    replace(triangle, measured=measured).save(tmp_path / "scan.npz")
    assert Reconstruction.load(tmp_path / "scan.npz").measured == measured


def test_it_is_saved_under_exactly_the_name_given(triangle, tmp_path):
    triangle.save(tmp_path / "scan")
    assert [path.name for path in tmp_path.iterdir()] == ["scan"]


def test_an_exact_surface_is_kept(tmp_path):
    exact = ExactSurface(np.eye(3, dtype=FLOAT), np.array([[0, 1, 2]], INT), np.ones((3, 3), FLOAT))
    Reconstruction(np.eye(3, dtype=FLOAT), np.array([[0, 1, 2]], INT), exact=exact).save(tmp_path / "s.npz")
    again = Reconstruction.load(tmp_path / "s.npz").exact
    for name in ("vertices", "faces", "normals"):
        np.testing.assert_array_equal(getattr(again, name), getattr(exact, name))


def test_colours_splats_pose_and_camera_may_be_absent(tmp_path):
    Reconstruction(np.eye(3, dtype=FLOAT), np.array([[0, 1, 2]], INT)).save(tmp_path / "s.npz")
    again = Reconstruction.load(tmp_path / "s.npz")
    assert (again.colours, again.splats, again.pose, again.camera) == (None, None, None, None)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04broken", b"\x93NUMPY"])
def test_a_file_that_is_no_reconstruction_is_refused(tmp_path, content):
    (tmp_path / "s.npz").write_bytes(content)
    with pytest.raises(BadRequest):
        Reconstruction.load(tmp_path / "s.npz")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"vertices": None}, "no array 'vertices'"),
        ({"vertices": np.zeros((3, 2), FLOAT)}, "shape"),
        ({"faces": np.array([[0, 1, 3]], INT)}, "do not exist"),
        ({"faces": np.array([[0, 1, -1]], INT)}, "do not exist"),
        ({"faces": np.array([[0.5, 1, 2]], FLOAT)}, "dtype"),
        ({"colours": np.zeros((2, 3), BYTE)}, "shape"),
        ({"colours": np.zeros((3, 3), FLOAT)}, "dtype"),
        ({"splat_positions": np.zeros((1, 3), FLOAT)}, "splat_colours"),
        ({"camera_fx": np.float64(500)}, "camera_fy"),
        ({"exact_vertices": np.eye(3, dtype=FLOAT)}, "exact_faces"),
        ({**EXACT, "exact_faces": np.array([[0, 1, 3]], INT)}, "do not exist"),
        ({**EXACT, "exact_normals": np.full((3, 3), np.nan, FLOAT)}, "finite"),
        ({**EXACT, "exact_normals": np.eye(2, 3, dtype=FLOAT)}, "shape"),
        ({**CAMERA, "camera_fx": np.float64(np.nan)}, "camera"),
        ({**CAMERA, "camera_width": np.int64(0)}, "camera"),
        ({**CAMERA, "camera_source": np.str_("a guess")}, "camera"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused_with_their_name(change, said):
    arrays = {"vertices": np.eye(3, dtype=FLOAT), "faces": np.array([[0, 1, 2]], INT)} | change
    with pytest.raises(BadRequest, match=said):
        Reconstruction.from_arrays({name: array for name, array in arrays.items() if array is not None})


def test_a_pickle_inside_is_not_run(tmp_path):
    np.savez(tmp_path / "s.npz", vertices=np.array([{}], dtype=object))
    with pytest.raises(BadRequest):
        Reconstruction.load(tmp_path / "s.npz")
