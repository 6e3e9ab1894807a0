import logging
import sys

import numpy as np
import pytest

from sam3d_bento.arrays import Indices
from sam3d_bento.export import raster
from sam3d_bento.export.mesh.simplify import simplify
from sam3d_bento.export.mesh.surface import face_areas
from sam3d_bento.export.uv.layout import find_fault, measure_texel_use
from sam3d_bento.export.uv.unwrap import UnwrappedMesh, unwrap
from tests.support.export_meshes import Floats, Mesh, blob, joined, soup, sphere, surface, tangle
from tests.support.unwrap_checks import canonical, chart_of_faces, flat_areas

SIZE = 1024


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return simplify(surface(*blob(100)), 11_000)


@pytest.fixture(scope="module")
def unwrapped(mesh: Mesh) -> UnwrappedMesh:
    return unwrap(*mesh, SIZE)


def owners(result: UnwrappedMesh, size: int) -> tuple[Indices, Indices]:
    """Return (texel, face) for every face that clearly contains the centre of a texel."""
    batches = list(raster.rasterize(result.uv, result.faces, size))
    weights = np.concatenate([batch.weights for batch in batches])
    clear = weights.min(axis=1) > 1e-3
    texel, face = (np.concatenate([getattr(b, name) for b in batches])[clear] for name in ("index", "faces"))
    return texel, face


def signed_areas(result: UnwrappedMesh) -> Floats:
    """Compute the signed areas in the image as it is viewed, y up."""
    (ax, ay), (bx, by), (cx, cy) = np.moveaxis(result.uv[result.faces].astype(float) * [1, -1], 0, 2)
    return ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)) / 2


def test_every_face_keeps_its_place_and_winding(mesh: Mesh, unwrapped: UnwrappedMesh) -> None:
    np.testing.assert_array_equal(unwrapped.vertex_map[unwrapped.faces], mesh[1])


def test_vertices_are_split_only_along_seams(mesh: Mesh, unwrapped: UnwrappedMesh) -> None:
    pairs = np.stack([unwrapped.vertex_map[unwrapped.faces].ravel(), np.repeat(chart_of_faces(unwrapped), 3)], axis=1)
    assert len(np.unique(pairs, axis=0)) == len(unwrapped.uv)
    assert len(unwrapped.uv) < 1.5 * len(mesh[0])


def test_arrays_have_their_types_and_range(unwrapped: UnwrappedMesh) -> None:
    assert [a.dtype for a in (unwrapped.vertex_map, unwrapped.faces, unwrapped.uv)] == [np.int32, np.int32, np.float32]
    assert unwrapped.uv.min() >= 0
    assert unwrapped.uv.max() <= 1


def test_most_of_the_texture_is_used(unwrapped: UnwrappedMesh) -> None:
    assert measure_texel_use(unwrapped) > 0.5


def test_texels_are_spread_evenly(mesh: Mesh, unwrapped: UnwrappedMesh) -> None:
    density = np.sqrt(flat_areas(unwrapped.uv, unwrapped.faces) / face_areas(*mesh))
    low, middle, high = np.percentile(density, [1, 50, 99])
    assert low > 0.7 * middle
    assert high < 1.5 * middle


def test_no_face_is_mirrored(unwrapped: UnwrappedMesh) -> None:
    assert signed_areas(unwrapped).min() > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "tangled",
    [blob(60), tangle(300, 40), joined(sphere(12), sphere(12, 0.3)), soup(2000, 0.1)],
    ids=["blob", "tangle", "nested", "soup"],
)
@pytest.mark.parametrize("size", [512, 1024])
def test_no_texel_belongs_to_two_faces(tangled: Mesh, size: int) -> None:
    result = unwrap(*tangled, size)
    texel, _ = owners(result, size)
    assert len(np.unique(texel)) == len(texel)
    covered = np.unique(np.concatenate([batch.index for batch in raster.rasterize(result.uv, result.faces, size)]))
    assert len(covered) == pytest.approx(measure_texel_use(result) * size**2, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("size", [512, 1024, 2048])
def test_gutters_hold_at_mip_level_two(mesh: Mesh, size: int) -> None:
    """Check that no texel of level 2 that a bilinear sample of one chart reads contains another chart."""
    result = unwrap(*mesh, size)
    chart = chart_of_faces(result)
    small = size // 4
    # The charts that a texel of level 2 contains: all that is painted, including the border that the bake paints.
    covered = np.zeros(size * size, dtype=bool)
    painted = [(batch.index, chart[batch.faces]) for batch in raster.rasterize(result.uv, result.faces, size)]
    for index, _ in painted:
        covered[index] = True
    painted += [
        (batch.index, chart[batch.faces]) for batch in raster.rasterize_borders(result.uv, result.faces, size, covered)
    ]
    texel, owner = (np.concatenate(part) for part in zip(*painted, strict=True))
    made_of = np.unique(np.stack([texel // size // 4 * small + texel % size // 4, owner], axis=1), axis=0)
    assert len(np.unique(made_of[:, 0])) == len(made_of)
    owner_of = np.full(small * small, -1)
    owner_of[made_of[:, 0]] = made_of[:, 1]

    random = np.random.default_rng(0)
    weights = random.dirichlet([0.3, 0.3, 0.3], (20, len(result.faces)))  # many close to edges and corners
    places = np.einsum("sfk,fkj->sfj", weights, result.uv[result.faces].astype(float)).reshape(-1, 2) * small
    low = np.floor(places - 0.5).astype(int)
    for step in ([0, 0], [0, 1], [1, 0], [1, 1]):
        column, row = (low + step).clip(0, small - 1).T
        read = owner_of[row * small + column]
        assert ((read == np.tile(chart, 20)) | (read == -1)).all()


def test_a_needle_does_not_waste_the_texture(mesh: Mesh) -> None:
    needle = np.array([[-0.5, 0.5, 0.5], [0.5, 0.5, 0.5], [0, 0.5, 0.50001]], np.float32)
    result = unwrap(*joined(mesh, (needle, np.array([[0, 1, 2]], np.int32))), SIZE)
    assert measure_texel_use(result) > 0.5


TRIANGLE = np.array([[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]], np.float32)
BALL = sphere(12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("odd", "least_use"),
    [
        ((TRIANGLE, np.array([[0, 1, 2]], np.int32)), 0.4),
        ((TRIANGLE, np.array([[0, 1, 2], [0, 2, 1]], np.int32)), 0.4),
        ((TRIANGLE, np.array([[0, 1, 2], [0, 1, 3], [0, 2, 3]], np.int32)), 0.4),
        ((TRIANGLE * np.array([1, 1e-5, 1], np.float32), np.array([[0, 1, 2]], np.int32)), 0),
        ((BALL[0], np.vstack([BALL[1], BALL[1][:, ::-1]])), 0.4),
        ((BALL[0] * np.float32(1e-3), BALL[1]), 0.5),
        ((BALL[0] * np.float32(100), BALL[1]), 0.5),
        ((BALL[0] * np.array([1, 1, 1e-6], np.float32), BALL[1]), 0.4),
        (soup(3, 0.2), 0.3),
        (soup(6000, 0.05), 0.1),
        (tangle(4000, 600), 0.1),
        (joined(*[sphere(3, 0.02, (x / 12 - 0.5, y / 12 - 0.5, 0)) for x in range(12) for y in range(12)]), 0.35),
    ],
    ids=[
        "one face",
        "one face from both sides",
        "three faces on an edge",
        "one needle",
        "both sides",
        "tiny",
        "huge",
        "flattened",
        "three loose faces",
        "loose faces",
        "tangle",
        "many pieces",
    ],
)
def test_odd_meshes_are_laid_out_without_xatlas(odd: Mesh, least_use: float, caplog: pytest.LogCaptureFixture) -> None:
    result = unwrap(*odd, 512)
    assert not caplog.records
    assert find_fault(result, 512) is None
    np.testing.assert_array_equal(result.vertex_map[result.faces], odd[1])
    assert measure_texel_use(result) > least_use


def test_xatlas_takes_over_when_no_layout_is_found(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        sys.modules[unwrap.__module__], "MIN_CELLS_PER_CHART", 0
    )  # cells are never halved to make room for the charts
    vertices, faces = soup(300, 0.1)
    with caplog.at_level(logging.WARNING):
        result = unwrap(vertices, faces, 32)
    assert caplog.messages == ["Unwrapping 300 faces by xatlas: no room."]
    np.testing.assert_array_equal(canonical(result.vertex_map[result.faces]), canonical(faces))


def test_a_side_with_detail_gets_more_texels(mesh: Mesh) -> None:
    vertices, faces = mesh
    right = vertices[faces][:, :, 0].mean(axis=1) > 0
    result = unwrap(vertices, faces, SIZE, np.where(right, 160.0, 1.0))
    assert find_fault(result, SIZE) is None
    density = np.abs(signed_areas(result)) / face_areas(vertices[result.vertex_map], result.faces)
    side = vertices[result.vertex_map][result.faces][:, :, 0].mean(axis=1)
    assert np.median(density[side > 0.1]) > 2 * np.median(density[side < -0.1])


def test_equal_meshes_are_unwrapped_equally(mesh: Mesh, unwrapped: UnwrappedMesh) -> None:
    again = unwrap(*mesh, SIZE)
    np.testing.assert_array_equal(again.uv, unwrapped.uv)
    np.testing.assert_array_equal(again.faces, unwrapped.faces)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_surface_as_rough_as_gravel_needs_no_xatlas(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    vertices, faces = blob(50)
    rough = vertices + np.random.default_rng(seed).normal(0, 0.03, vertices.shape).astype(np.float32)
    result = unwrap(rough, faces, 1024)
    assert not caplog.records, "xatlas was needed"
    assert find_fault(result, 1024) is None
