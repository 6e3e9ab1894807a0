import numpy as np
import pytest

from sam3d_bento.export.uv.layout import UnwrappedMesh, find_fault, measure_texel_use
from tests.support.export_meshes import Floats

SIZE = 64
# Counter-clockwise in the image as it is viewed; its rows are counted from the top.
SQUARE = np.array([[0.25, 0.75], [0.75, 0.75], [0.75, 0.25], [0.25, 0.25]])
HALVES = [[0, 1, 2], [0, 2, 3]]


def found(uv: Floats, faces: list[list[int]]) -> str | None:
    layout = UnwrappedMesh(np.arange(len(uv), dtype=np.int32), np.array(faces, np.int32), uv.astype(np.float32))
    return find_fault(layout, SIZE)


def test_a_square_of_two_faces_has_no_fault() -> None:
    assert found(SQUARE, HALVES) is None
    square = UnwrappedMesh(np.arange(4, dtype=np.int32), np.array(HALVES, np.int32), SQUARE.astype(np.float32))
    assert measure_texel_use(square) == pytest.approx(0.25)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.01, 1.01])
def test_coordinates_outside_the_texture_are_a_fault(value: float) -> None:
    uv = SQUARE.copy()
    uv[2, 1] = value
    assert found(uv, HALVES) == "coordinates outside of the texture"


def test_mirrored_faces_are_a_fault() -> None:
    assert found(SQUARE[:, ::-1], HALVES) == "mirrored faces"


def test_a_needle_mirrored_by_rounding_is_not_a_fault() -> None:
    needle = np.array([[0.1, 0.9], [0.9, 0.9], [0.5, 0.9 + 1e-8]])
    assert found(np.concatenate([SQUARE, needle]), [*HALVES, [4, 5, 6]]) is None


def test_a_chart_on_top_of_another_is_a_fault() -> None:
    assert found(np.concatenate([SQUARE, SQUARE / 2 + 0.1]), [*HALVES, [4, 5, 6], [4, 6, 7]]) == (
        "faces on top of each other"
    )


def test_a_chart_folded_onto_itself_is_a_fault() -> None:
    # The fan goes one and a half times around its middle.
    angle = np.arange(7) * np.pi / 2
    fan = np.concatenate([[[0.5, 0.5]], 0.5 + 0.4 * np.stack([np.cos(angle), -np.sin(angle)], axis=1)])
    assert found(fan, [[0, i, i + 1] for i in range(1, 5)]) is None
    assert found(fan, [[0, i, i + 1] for i in range(1, 7)]) == "faces on top of each other"


def test_a_third_face_at_an_edge_is_found_on_top_of_the_second() -> None:
    # The first two make a square; the third begins at their common edge as well, on top of the second.
    flap = np.array([[0.3, 0.3]])
    assert found(np.concatenate([SQUARE, flap]), [*HALVES, [0, 2, 4]]) == "faces on top of each other"
