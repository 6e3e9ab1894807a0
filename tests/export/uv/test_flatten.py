import numpy as np

from sam3d_bento.arrays import Indices
from sam3d_bento.export.mesh.surface import face_areas
from sam3d_bento.export.uv.adjacency import build_adjacency
from sam3d_bento.export.uv.charts import MIN_COSINE, group_into_charts
from sam3d_bento.export.uv.flatten import FlatCharts, flatten, merge_layouts
from tests.support.export_meshes import Floats, Mesh, blob

BLOB = blob(60)


def flat(mesh: Mesh, labels: Indices | None = None) -> tuple[FlatCharts, Indices]:
    edges = build_adjacency(*mesh)
    labels = group_into_charts(*mesh, edges) if labels is None else labels
    return flatten(*mesh, labels, edges), labels


def signed_areas(corners: Floats) -> Floats:
    one, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return (one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]) / 2


def test_no_face_is_turned_over_and_each_chart_keeps_its_area() -> None:
    laid, labels = flat(BLOB)
    areas = signed_areas(laid.corners)
    assert areas.min() > 0
    np.testing.assert_allclose(np.bincount(labels, areas), np.bincount(labels, face_areas(*BLOB)))


def test_a_face_in_the_plane_of_its_chart_is_only_turned_and_moved() -> None:
    random = np.random.default_rng(0)
    vertices = random.normal(size=(30, 3)).astype(np.float32)
    faces = np.arange(30, dtype=np.int32).reshape(-1, 3)
    laid, _ = flat((vertices, faces), np.arange(10))
    for edge in range(3):
        length = np.linalg.norm(laid.corners[:, edge] - laid.corners[:, edge - 1], axis=1)
        expected = np.linalg.norm(vertices[faces[:, edge]] - vertices[faces[:, edge - 1]], axis=1)
        np.testing.assert_allclose(length, expected, rtol=1e-5)
    np.testing.assert_allclose(np.ptp(laid.heights, axis=1), 0, atol=1e-6)


def test_stretch_is_bounded_by_the_least_cosine() -> None:
    laid, _ = flat(BLOB)
    density = signed_areas(laid.corners) / face_areas(*BLOB)
    assert density.min() > MIN_COSINE * 0.99
    assert density.max() < 1 / MIN_COSINE


def test_extents_are_tight_and_boxes_begin_at_the_origin() -> None:
    laid, labels = flat(BLOB)
    low, high = np.full(laid.extents.shape, np.inf), np.full(laid.extents.shape, -np.inf)
    np.minimum.at(low, np.repeat(labels, 3), laid.corners.reshape(-1, 2))
    np.maximum.at(high, np.repeat(labels, 3), laid.corners.reshape(-1, 2))
    np.testing.assert_allclose(low, 0, atol=1e-12)
    np.testing.assert_allclose(high, laid.extents)


def test_scaled_charts_keep_their_shape() -> None:
    laid, labels = flat(BLOB)
    factors = np.linspace(0.5, 2, len(laid.extents))
    scaled = laid.scale(factors, labels)
    np.testing.assert_allclose(signed_areas(scaled.corners), signed_areas(laid.corners) * factors[labels] ** 2)
    np.testing.assert_allclose(scaled.extents, laid.extents * factors[:, None])
    np.testing.assert_allclose(scaled.outline.start, laid.outline.start * factors[laid.outline.chart][:, None])
    np.testing.assert_array_equal(scaled.heights, laid.heights)


def test_an_oblong_chart_is_turned_to_fill_its_box() -> None:
    turn = np.array([[np.cos(0.6), -np.sin(0.6)], [np.sin(0.6), np.cos(0.6)]])
    oblong = np.array([[0, 0], [1, 0], [1, 0.1], [0, 0.1]]) @ turn.T
    vertices = np.pad(oblong, ((0, 0), (0, 1))).astype(np.float32)
    laid, _ = flat((vertices, np.array([[0, 1, 2], [0, 2, 3]], np.int32)), np.array([0, 0]))
    np.testing.assert_allclose(np.sort(laid.extents[0]), [0.1, 1], atol=0.01)


def test_a_later_layout_replaces_an_earlier_one() -> None:
    whole, labels = flat(BLOB)
    edges, everything = build_adjacency(*BLOB), np.arange(len(labels))
    some = np.flatnonzero(labels == np.bincount(labels).argmax())
    part = edges.restrict(some)
    centres = BLOB[0][BLOB[1][some]].mean(axis=1)
    along = centres[:, np.ptp(centres, axis=0).argmax()]
    own = part.split_into_pieces((along > np.median(along)).astype(int))
    assert own.max() > 0
    again = flatten(BLOB[0], BLOB[1][some], own, part)
    charts = labels.copy()
    charts[some] = labels.max() + 1 + own
    charts = np.unique(charts, return_inverse=True)[1]

    result = merge_layouts([(everything, labels, whole), (some, own, again)], charts, edges)
    expected = flat(BLOB, charts)[0]
    np.testing.assert_allclose(result.corners, expected.corners, atol=1e-12)
    np.testing.assert_allclose(result.heights, expected.heights, atol=1e-12)
    np.testing.assert_allclose(result.extents, expected.extents, atol=1e-12)
    np.testing.assert_array_equal(result.outline.chart, expected.outline.chart)
    np.testing.assert_allclose(result.outline.start, expected.outline.start, atol=1e-12)
