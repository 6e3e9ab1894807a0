import numpy as np
import pytest

from sam3d_bento.export.uv.adjacency import build_adjacency
from sam3d_bento.export.uv.cuts import MAX_BOX_EDGE, find_overlaps, find_overlong
from sam3d_bento.export.uv.flatten import FlatCharts, flatten
from sam3d_bento.export.uv.outline import Windows, count_layers
from tests.support.export_meshes import Mesh, sphere

SCALE = 200.0
HALF = np.full((1, 2), 0.5)


def ramp(turns: float) -> Mesh:
    """Make a spiral ramp, which overlaps itself after one turn, seen from above."""
    angle = np.linspace(0, 2 * np.pi * turns, int(60 * turns))
    edges = [np.stack([r * np.cos(angle), r * np.sin(angle), 0.01 * angle], axis=1) for r in (0.2, 0.4)]
    count = len(angle)
    near = np.arange(count - 1)
    faces = [np.stack([near, near + count, near + count + 1], 1), np.stack([near, near + count + 1, near + 1], 1)]
    return np.concatenate(edges).astype(np.float32), np.concatenate(faces).astype(np.int32)


def one_chart(mesh: Mesh) -> FlatCharts:
    return flatten(*mesh, np.zeros(len(mesh[1]), int), build_adjacency(*mesh))


def most_layers(flat: FlatCharts) -> int:
    size = np.ceil(flat.extents * SCALE).astype(int) + 2
    shift = np.full(flat.extents.shape, 0.5)
    return int(count_layers(flat.outline.transform(SCALE, shift), Windows(size[:, 0], size[:, 1])).max())


def test_a_chart_without_overlaps_is_not_cut() -> None:
    labels = np.zeros(len(ramp(0.9)[1]), int)
    assert not find_overlaps(one_chart(ramp(0.9)), labels, SCALE, HALF).any()


def test_the_smaller_layer_is_cut_from_a_ramp() -> None:
    mesh = ramp(1.25)
    cut = find_overlaps(one_chart(mesh), np.zeros(len(mesh[1]), int), SCALE, HALF)
    assert 0.15 < cut.mean() < 0.3
    edges = build_adjacency(*mesh)
    rest = flatten(*mesh, edges.split_into_pieces(cut.astype(int)), edges)
    assert most_layers(rest) == 1


@pytest.mark.parametrize(("turns", "layers", "rounds"), [(3.5, 4, 3), (29.5, 30, 6)])
def test_the_layers_of_a_ramp_of_many_turns_are_halved_in_each_round(turns: float, layers: int, rounds: int) -> None:
    mesh = ramp(turns)
    edges, labels = build_adjacency(*mesh), np.zeros(len(mesh[1]), int)
    flat = flatten(*mesh, labels, edges)
    assert most_layers(flat) == layers
    for _ in range(rounds):
        cut = find_overlaps(flat, labels, SCALE, np.full(flat.extents.shape, 0.5))
        labels = edges.split_into_pieces(2 * labels + cut)
        flat = flatten(*mesh, labels, edges)
    assert most_layers(flat) == 1
    assert labels.max() + 1 < 4 * layers


def test_long_charts_are_halved_and_compact_ones_kept() -> None:
    strip = np.linspace(0, 3, 31)
    vertices = np.concatenate([np.stack([strip, 0 * strip, y + 0 * strip], axis=1) for y in (0, 0.1)])
    near = np.arange(30)
    faces = np.concatenate([np.stack([near, near + 1, near + 32], 1), np.stack([near, near + 32, near + 31], 1)])
    mesh = vertices.astype(np.float32), faces.astype(np.int32)
    flat, labels = one_chart(mesh), np.zeros(60, int)
    assert flat.extents.max() > MAX_BOX_EDGE * np.sqrt(0.3)
    assert find_overlong(flat, labels, 0.3).sum() == 30
    vertices, faces = sphere(10)
    labels = (vertices[faces, 1].mean(axis=1) > 0).astype(int)
    assert not find_overlong(flatten(vertices, faces, labels, build_adjacency(vertices, faces)), labels, np.pi).any()


def test_a_single_long_face_stays_whole() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 0.01, 0]], np.float32)
    flat = one_chart((vertices, np.array([[0, 1, 2]], np.int32)))
    assert not find_overlong(flat, np.array([0]), 0.005).any()
