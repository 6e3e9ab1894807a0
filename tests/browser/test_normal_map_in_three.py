"""Normal maps in three.js, as the studio ships it, beside the normals of the dense mesh."""

from functools import cache

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, maximum_filter, minimum_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from benchmarks.export_views import camera, render
from sam3d_bento.export import to_glb
from sam3d_bento.export.glb.read import read_glb
from sam3d_bento.export.mesh.surface import vertex_normals
from sam3d_bento.options import Options
from tests.support.export_meshes import blob, painted
from tests.support.three_page import pictures_from

VIEW = 4
NORMALS = """
const dress = ({normalMap, normalScale}, {mapped}) =>
  new three.MeshNormalMaterial(mapped ? {normalMap, normalScale} : {});
const ground = () => "#000000";
"""


@cache
def dense():
    """The mesh, and its normals as the camera sees them: (SIZE, SIZE, 3), 0..255, and where it is seen well inside."""
    vertices, faces = blob(130)
    normals = vertex_normals(vertices, faces)
    axes = np.stack(camera(VIEW), axis=1)

    def colours(face, weights, place):
        found = np.einsum("nk,nkc->nc", weights, normals[faces[face]])
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return (found @ axes + 1) * 127.5

    pictures = render(vertices, faces, colours)
    return painted((vertices, faces)), pictures.rgb[VIEW], binary_erosion(pictures.mask[VIEW], iterations=3)


def at_seams(mesh):
    """Pixels (SIZE, SIZE) beside which another chart begins."""
    start, end = mesh.faces.ravel(), np.roll(mesh.faces, 1, axis=1).ravel()
    count = len(mesh.positions)
    _, chart = connected_components(coo_array((np.ones(len(start)), (start, end)), (count, count)), directed=False)
    labels = chart[mesh.faces[:, 0]]
    shown = render(mesh.positions, mesh.faces, lambda face, weights, place: np.tile(labels[face][:, None], (1, 3)))
    label = shown.rgb[VIEW][..., 0]
    return maximum_filter(label, 3) != minimum_filter(label, 3)


@pytest.fixture
def photograph(chromium):
    """A function from a GLB to its normals in three.js, (SIZE, SIZE, 3), without and with its map."""
    with pictures_from(chromium, VIEW, NORMALS) as show:
        yield lambda glb: [each.mean(axis=(2, 3)) for each in show(glb, {"mapped": False}, {"mapped": True})]


@pytest.mark.browser
@pytest.mark.parametrize("compress", [False, True, "quantize"], ids=["plain", "compressed", "quantized"])
def test_three_shades_few_faces_as_the_dense_mesh_and_shows_no_seam(photograph, compress):
    reconstruction, expected, inside = dense()
    options = Options(texture_size=1024, target_faces=2000, normal_map=True, compress=compress)
    glb = to_glb(reconstruction, options, {}).glb
    without, with_map = (np.abs(picture - expected).mean(axis=2) for picture in photograph(glb))
    # With its bitangents the wrong way, a bump would be a dent, and the map worse than none.
    assert with_map[inside].mean() < without[inside].mean() / 5
    seams = at_seams(read_glb(glb)) & inside
    assert seams.sum() > 500
    assert with_map[seams].mean() < 2.5, "of 255: charts end in creases, where a pixel more or less counts"
    assert with_map[seams].mean() < without[seams].mean() / 3
