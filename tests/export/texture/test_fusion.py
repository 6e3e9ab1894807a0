"""Compare the colour sources with colours that are known everywhere."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from sam3d_bento.export.mesh.surface import Surface, face_areas, unit, vertex_normals
from sam3d_bento.export.texture.fusion import Fusion
from sam3d_bento.export.texture.mesh_source import MeshSource
from sam3d_bento.export.texture.splat_source import SplatSource
from sam3d_bento.reconstruction import Splats
from tests.support.export_meshes import Floats, sphere
from tests.support.splat_cases import SplatCase, cases


def psnr(found: Floats, true: Floats) -> float:
    return float(10 * np.log10(255**2 / np.mean((found - true) ** 2)))


@dataclass
class Painted:
    """PSNR of each source at random points of a case's surface, and the fusion itself."""

    case: SplatCase
    mesh: float
    splats: float
    fused: float
    auto: float
    fusion: Fusion


@pytest.fixture(scope="module", params=cases(), ids=lambda case: case.name)
def painted(request: pytest.FixtureRequest) -> Painted:
    case: SplatCase = request.param
    dense = case.reconstruction
    assert dense.colours is not None
    assert dense.splats is not None
    random = np.random.default_rng(1)
    areas = face_areas(dense.vertices, dense.faces)
    corners = dense.faces[random.choice(len(areas), 20_000, p=areas / areas.sum())]
    weights = random.dirichlet([1, 1, 1], len(corners))[:, :, None]
    points = (dense.vertices[corners] * weights).sum(axis=1).astype(np.float32)
    normals = unit((vertex_normals(dense.vertices, dense.faces)[corners] * weights).sum(axis=1))
    mesh = MeshSource(Surface(dense.vertices, dense.faces, dense.colours))
    fusion = Fusion(mesh, SplatSource(dense.splats))
    true = case.paint(points.astype(float))
    sources = (mesh.colours, fusion.colours_from_splats, fusion.colours)
    found = [psnr(source(points, normals), true) for source in sources]
    fusion.take_part(fusion.needed_part)
    return Painted(case, *found, psnr(fusion.colours(points, normals), true), fusion)


@pytest.mark.slow
def test_splats_are_closer_where_they_are_finer_than_the_vertices(painted: Painted) -> None:
    if painted.case.finer:
        assert painted.splats > painted.mesh + 3
        assert painted.fused > painted.mesh + 3
    else:
        assert painted.mesh > painted.splats


@pytest.mark.slow
def test_fused_is_nearly_as_good_as_the_better_one(painted: Painted) -> None:
    assert painted.fused > max(painted.mesh, painted.splats) - 1


def test_auto_fuses_exactly_where_splats_are_finer(painted: Painted) -> None:
    assert (painted.fusion.needed_part > 0.1) == painted.case.finer


def test_auto_is_as_good_as_the_better_source(painted: Painted) -> None:
    assert painted.auto > max(painted.mesh, painted.splats) - 0.1


def test_the_noise_of_the_splats_is_measured(painted: Painted) -> None:
    true = (255 * painted.case.noise) ** 2
    if not painted.case.finer:  # else the pattern is finer than the splats, and counts as noise
        assert 0.7 * true <= painted.fusion.splat_noise < 1.7 * true + 8


def with_dirt(splats: Splats) -> Splats:
    """A twentieth of the splats has any colour, a tenth is nearly clear, and some are huge."""
    random = np.random.default_rng(3)
    kind = random.random(len(splats.positions))
    colours, opacity, scale = splats.colours.copy(), splats.opacity.copy(), splats.scale.copy()
    colours[kind < 0.153] = random.integers(0, 256, (np.count_nonzero(kind < 0.153), 3))
    opacity[(kind >= 0.05) & (kind < 0.15)] = 0.02
    scale[(kind >= 0.15) & (kind < 0.153)] = 0.04
    return replace(splats, colours=colours, opacity=opacity, scale=scale)


@pytest.mark.slow
def test_dirt_costs_the_splats_little(painted: Painted) -> None:
    dense = painted.case.reconstruction
    assert dense.splats is not None
    assert dense.colours is not None
    mesh = MeshSource(Surface(dense.vertices, dense.faces, dense.colours))
    fusion = Fusion(mesh, SplatSource(with_dirt(dense.splats)))
    points, normals = dense.vertices, vertex_normals(dense.vertices, dense.faces)
    true = painted.case.paint(points.astype(float))
    assert psnr(fusion.colours_from_splats(points, normals), true) > min(painted.splats - 2, 45), (
        "no difference is seen above"
    )
    assert psnr(fusion.colours(points, normals), true) > min(painted.fused - 1.5, 50)


@pytest.mark.slow
def test_splats_far_from_the_surface_are_not_used() -> None:
    vertices, faces = sphere(30)
    mesh = MeshSource(Surface(vertices, faces, np.full((len(vertices), 3), 100, np.uint8)))
    case = cases()[0].reconstruction
    assert case.splats is not None
    away: Splats = replace(case.splats, positions=case.splats.positions + np.float32(3))
    fusion = Fusion(mesh, SplatSource(away))
    assert fusion.needed_part == 0
    normals = unit(vertices)
    for source in (fusion.colours, fusion.colours_from_splats):
        np.testing.assert_array_equal(np.rint(source(vertices, normals)), 100)
