import numpy as np
import pytest

from sam3d_bento.errors import BadResult
from sam3d_bento.export.mesh.clean import NEUTRAL_GREY, clean
from sam3d_bento.export.mesh.surface import Surface, face_areas
from sam3d_bento.reconstruction import Reconstruction
from tests.support.export_meshes import Mesh, blob, colour_at, joined, painted, soup, sphere, unbalanced_edges

BALL = sphere(20)


def reaches(surface: Surface, place: tuple[float, float, float]) -> bool:
    """Whether any vertex lies within 0.05 of the place."""
    return bool((np.linalg.norm(surface.vertices - np.float32(place), axis=1) < 0.05).any())


def test_a_sound_surface_is_left_alone() -> None:
    vertices, faces = BALL
    surface = clean(painted(BALL))
    np.testing.assert_array_equal(surface.vertices, vertices)
    np.testing.assert_array_equal(surface.faces, faces)


def test_every_vertex_keeps_its_own_colour() -> None:
    vertices, faces = joined(BALL, sphere(6, radius=0.005, centre=(0.5, 0.5, 0.5)), blob(40))
    surface = clean(painted((vertices, faces[::2])))
    np.testing.assert_array_equal(surface.colours, np.rint(colour_at(surface.vertices)).astype(np.uint8))


def test_without_colours_it_is_grey() -> None:
    assert (clean(Reconstruction(*BALL)).colours == NEUTRAL_GREY).all()


def test_degenerate_faces_and_unused_vertices_vanish() -> None:
    vertices, faces = BALL
    line = np.array([[0, 0, 0], [0.1, 0, 0], [0.2, 0, 0], [0.4, 0.4, 0.4]], np.float32)
    broken = np.array([[0, 1, 2], [3, 3, 0], [1, 0, 1]], np.int32) + len(vertices)
    surface = clean(Reconstruction(np.vstack([vertices, line]), np.vstack([faces, broken])))
    assert len(surface.faces) == len(faces)
    assert len(surface.vertices) == len(vertices)


def test_a_face_with_two_corners_at_one_place_leaves_no_hole() -> None:
    vertices, faces = BALL
    # Pull a vertex onto its neighbour: the two faces at their edge lose their area.
    vertices = vertices.copy()
    vertices[faces[700, 1]] = vertices[faces[700, 0]]
    surface = clean(Reconstruction(vertices, faces))
    assert len(surface.faces) == len(faces) - 2
    assert unbalanced_edges(surface.faces) == 0


def test_duplicates_vanish_and_the_two_sides_of_a_sheet_stay() -> None:
    vertices, faces = BALL
    again = np.roll(faces, 1, axis=1)
    assert len(clean(Reconstruction(vertices, np.vstack([faces, again, faces]))).faces) == len(faces)
    assert len(clean(Reconstruction(vertices, np.vstack([faces, faces[:, ::-1]]))).faces) == 2 * len(faces)


def test_vertices_at_one_place_are_welded() -> None:
    vertices, faces = BALL
    apart = vertices[faces].reshape(-1, 3)
    apart[apart == 0] = -0.0  # equal to zero, though not in every bit
    apart[::2] += np.float32(0)
    surface = clean(Reconstruction(apart, np.arange(len(apart), dtype=np.int32).reshape(-1, 3)))
    assert len(surface.vertices) == len(vertices)
    assert unbalanced_edges(surface.faces) == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_a_broken_vertex_costs_only_its_faces(bad: float) -> None:
    vertices, faces = BALL
    vertices = vertices.copy()
    vertices[50, 1] = bad
    surface = clean(Reconstruction(vertices, faces))
    left = faces[(faces != 50).all(axis=1)]
    assert (surface.holes_filled, surface.holes_kept) == (1, 0)
    assert len(left) < len(surface.faces) <= len(faces)
    assert np.isfinite(surface.vertices).all()


def test_faces_of_vertices_that_do_not_exist_vanish() -> None:
    vertices, faces = BALL
    bad = np.array([[0, 1, len(vertices)], [0, -1, 2]], np.int32)
    assert len(clean(Reconstruction(vertices, np.vstack([bad, faces]))).faces) == len(faces)


def test_floaters_vanish_and_small_parts_stay() -> None:
    speck, flake, eye = (0.5, 0.5, 0.5), (-0.5, 0.5, 0.5), (0.4, -0.4, 0.4)
    x = np.linspace(-0.2, 0.2, 80)
    corners = np.stack([np.stack([x, np.full_like(x, y), np.full_like(x, 0.47)], axis=1) for y in (-0.45, -0.449)])
    strip = np.arange(79)
    wire = np.vstack([np.stack([strip, strip + 1, strip + 80], 1), np.stack([strip + 1, strip + 81, strip + 80], 1)])
    surface = clean(
        painted(
            joined(
                BALL,
                sphere(10, radius=0.01, centre=speck),
                (np.float32(flake) + np.eye(3, dtype=np.float32) * 0.04, np.array([[0, 1, 2]], np.int32)),
                sphere(10, radius=0.03, centre=eye),
                (corners.reshape(-1, 3).astype(np.float32), wire.astype(np.int32)),
            )
        )
    )
    assert not reaches(surface, speck)
    assert not reaches(surface, flake)
    assert reaches(surface, eye)
    assert reaches(surface, (0.2, -0.45, 0.47)), "a long thin part is no floater"


def test_specks_beside_a_small_object_vanish_too() -> None:
    specks = [sphere(10, radius=0.01, centre=(0.3, 0.1 * k, 0)) for k in range(-3, 4)]
    surface = clean(painted(joined(sphere(20, radius=0.08), *specks)))
    assert len(surface.faces) == len(BALL[1])


def test_an_object_of_many_small_pieces_stays_whole() -> None:
    assert len(clean(Reconstruction(*soup(3000, 0.01))).faces) == 3000


def test_the_only_piece_stays_however_small() -> None:
    assert len(clean(Reconstruction(*sphere(20, radius=0.001))).faces) == len(BALL[1])


POINTS = np.zeros((10, 3), np.float32)
LINE = np.linspace(0, 1, 10, dtype=np.float32)[:, None].repeat(3, axis=1)
FACES = np.array([[0, 1, 2], [3, 4, 5], [7, 8, 9]], np.int32)


@pytest.mark.parametrize(
    "mesh",
    [
        (np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)),
        (np.zeros((0, 3), np.float32), FACES),
        (BALL[0], np.zeros((0, 3), np.int32)),
        (np.full((10, 3), np.nan, np.float32), FACES),
        (POINTS, FACES),
        (LINE, FACES),
        (BALL[0] * np.float32(1e-12), BALL[1]),
        (BALL[0] * np.float32(1e12), BALL[1]),
    ],
    ids=["empty", "no vertices", "no faces", "nan", "one point", "one line", "far too small", "far too large"],
)
def test_no_surface_is_a_bad_result(mesh: Mesh) -> None:
    with pytest.raises(BadResult, match="no surface"):
        clean(Reconstruction(*mesh))


def test_arrays_that_do_not_fit_are_a_bad_result() -> None:
    vertices, faces = BALL
    with pytest.raises(BadResult, match="triangle mesh"):
        clean(Reconstruction(np.zeros(0, np.float32), faces))
    with pytest.raises(BadResult, match="one colour for each vertex"):
        clean(Reconstruction(vertices, faces, np.zeros((3, 3), np.uint8)))


def test_the_area_stays() -> None:
    mesh = blob(60)
    surface = clean(painted(mesh))
    assert face_areas(surface.vertices, surface.faces).sum() == pytest.approx(face_areas(*mesh).sum(), rel=1e-6)
