from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sam3d_bento.export.mesh import meshoptimizer
from sam3d_bento.export.mesh.meshoptimizer import SimplifierFailed, collapse_edges
from tests.support.export_meshes import Mesh, blob, grid_faces, unbalanced_edges

BLOB = blob(60)  # about 10,000 faces


def collapsed(mesh: Mesh, target: int, weight: float = 0.0) -> tuple[np.ndarray, ...]:
    vertices, faces = mesh
    return collapse_edges(vertices, faces, vertices, weight, target)


def test_a_closed_surface_keeps_its_shape() -> None:
    vertices, faces, _ = collapsed(BLOB, 2000)
    assert 1990 <= len(faces) <= 2000
    assert unbalanced_edges(faces) == 0
    used = np.unique(faces)
    assert (vertices[used] != BLOB[0][used]).any(), "vertices are moved to where the error is least"


def test_attributes_move_along() -> None:
    vertices, faces, attributes = collapsed(BLOB, 2000, weight=1.0)
    used = np.unique(faces)
    np.testing.assert_allclose(attributes[used], vertices[used], atol=5e-3)


def test_locked_vertices_keep_their_place() -> None:
    vertices, faces = BLOB
    locked = np.zeros(len(vertices), bool)
    locked[::50] = True
    moved, kept, _ = collapse_edges(vertices, faces, vertices, 0.0, 2000, locked)
    assert np.isin(np.flatnonzero(locked), kept).all()
    np.testing.assert_array_equal(moved[locked], vertices[locked])


def test_a_border_between_colours_keeps_vertices() -> None:
    axis = np.linspace(-0.5, 0.5, 61)
    x, y = (values.ravel() for values in np.meshgrid(axis, axis))
    vertices, step = np.stack([x, y, 0 * x], 1).astype(np.float32), (x > 0.1).astype(np.float32)[:, None]
    moved, kept, colours = collapse_edges(vertices, grid_faces(61), step, 0.02, 60)
    assert len(kept) <= 60
    assert (np.abs(moved[np.unique(kept), 0] - 0.108) < 0.02).sum() >= 8, "a row of vertices along the border"
    away = np.abs(moved[:, 0] - 0.108) > 0.02
    inner = np.unique(kept)[away[np.unique(kept)]]
    np.testing.assert_allclose(colours[inner, 0], moved[inner, 0] > 0.108, atol=0.01)


def test_equal_meshes_give_equal_results() -> None:
    for first, second in zip(collapsed(BLOB, 3000), collapsed(BLOB, 3000), strict=True):
        np.testing.assert_array_equal(first, second)


def test_what_the_program_cannot_do_is_an_error() -> None:
    vertices, faces = BLOB
    with pytest.raises(SimplifierFailed):
        collapse_edges(vertices, np.full_like(faces, 1 << 30), vertices, 0.0, 100)


def test_the_program_is_that_of_the_locked_package(node_tool: Callable[..., str], tmp_path: Path) -> None:
    node_tool("vendor_meshoptimizer", "build.mjs", str(tmp_path))
    licence = "meshopt_simplifier.LICENSE.txt"
    assert (tmp_path / meshoptimizer.PROGRAM.name).read_bytes() == meshoptimizer.PROGRAM.read_bytes()
    assert (tmp_path / licence).read_text() == meshoptimizer.PROGRAM.with_name(licence).read_text()
