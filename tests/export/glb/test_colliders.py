import io

import numpy as np
import pytest
import trimesh

from sam3d_bento.export.glb.colliders import add_colliders
from sam3d_bento.export.glb.container import split
from tests.support import finished

TETRAHEDRON = (
    np.float64([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]),
    np.int32([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]),
)
BOX = (np.asarray(trimesh.creation.box().vertices), np.asarray(trimesh.creation.box().faces, np.int32))


def exported(compress):
    return finished.glb(options=finished.OPTIONS.model_copy(update={"compress": compress, "name": "cup"}))


def test_another_reader_finds_the_model_as_it_was_and_the_shapes_by_their_names():
    glb = exported(False)
    scene = trimesh.load_scene(io.BytesIO(add_colliders(glb, [TETRAHEDRON, BOX])), file_type="glb")
    before = trimesh.load_scene(io.BytesIO(glb), file_type="glb")
    assert set(scene.graph.nodes_geometry) == {"cup", "UCX_cup_00", "UCX_cup_01"}
    placed = {
        name: scene.geometry[scene.graph[name][1]].copy().apply_transform(scene.graph[name][0])
        for name in scene.graph.nodes_geometry
    }
    assert np.array_equal(placed["cup"].bounds, before.bounds)
    assert placed["UCX_cup_00"].volume == pytest.approx(1 / 6)
    assert placed["UCX_cup_01"].volume == pytest.approx(1)


@pytest.mark.parametrize("compress", ["quantize", True])
def test_a_compressed_model_stays_as_it_was_and_its_shapes_are_in_the_frame_of_the_file(compress):
    glb = exported(compress)
    (before, data), (after, longer) = split(glb), split(add_colliders(glb, [BOX]))
    assert longer.startswith(data)
    for part in ("nodes", "meshes", "accessors", "bufferViews"):
        assert after[part][: len(before[part])] == before[part]
    assert after["extensionsRequired"] == before["extensionsRequired"]
    assert not {"translation", "scale"} & after["nodes"][1].keys()
    positions, indices = after["bufferViews"][-2:]
    read = [
        np.frombuffer(longer, kind, view["byteLength"] // np.dtype(kind).itemsize, view["byteOffset"])
        for kind, view in (("<f4", positions), ("<u2", indices))
    ]
    assert np.array_equal(read[0].reshape(-1, 3), BOX[0])
    assert np.array_equal(read[1].reshape(-1, 3), BOX[1])


@pytest.mark.slow
@pytest.mark.parametrize("compress", [False, True])
def test_the_validator_does_not_know_two_extensions_and_says_nothing_else(validate, compress):
    report = validate(add_colliders(exported(compress), [TETRAHEDRON, BOX]))
    unknown = [message for message in report["messages"] if message["code"] == "UNSUPPORTED_EXTENSION"]
    assert report["messages"] == unknown
    assert {message["message"].split("'")[1] for message in unknown} <= {
        "KHR_node_visibility",
        "EXT_meshopt_compression",
    }


def test_shapes_are_not_drawn_and_need_no_reader_s_support():
    document, _ = split(add_colliders(exported(False), [BOX]))
    assert "extensionsRequired" not in document
    assert document["nodes"][1]["extensions"] == {"KHR_node_visibility": {"visible": False}}
