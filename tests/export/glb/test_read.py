import copy
import io
from collections.abc import Callable

import numpy as np
import pytest
import trimesh
from scipy.spatial import KDTree

from sam3d_bento.arrays import Float32, Int32
from sam3d_bento.errors import BadRequest
from sam3d_bento.export.glb import container
from sam3d_bento.export.glb.geometry import PACKED_STEPS
from sam3d_bento.export.glb.read import read_document, read_glb, sampled
from sam3d_bento.export.glb.write import write_glb
from sam3d_bento.export.mesh.surface import vertex_normals
from sam3d_bento.options import choices
from tests.support import finished
from tests.support.export_meshes import Mesh, soup, sphere, tangle

SIZE = 64
TEXTURE = np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)


def changed(glb: bytes, change: Callable[[dict], object]) -> bytes:
    """The GLB with another document."""
    document, data = container.split(glb)
    document = copy.deepcopy(document)
    change(document)
    return container.join(document, data)


def arrays(mesh: Mesh) -> tuple[Float32, Float32, Float32, Int32]:
    vertices, faces = mesh
    uv = (vertices[:, :2] / np.abs(vertices).max() / 2 + 0.5).clip(0, 1).astype(np.float32)
    return vertices, vertex_normals(vertices, faces), uv, faces


@pytest.fixture(scope="module")
def glb():
    return finished.glb()


@pytest.fixture(scope="module")
def packed():
    return finished.glb(options=finished.OPTIONS.model_copy(update={"compress": True, "texture_format": "webp"}))


def test_glb_is_read_as_trimesh_reads_it(glb):
    model, mesh = read_glb(glb), trimesh.load_mesh(io.BytesIO(glb), file_type="glb", process=False)
    assert np.array_equal(model.positions, mesh.vertices.astype(np.float32))
    assert np.array_equal(model.faces, mesh.faces)
    assert np.allclose(np.stack([model.uv[:, 0], 1 - model.uv[:, 1]], 1), mesh.visual.uv, atol=1e-6)
    assert np.array_equal(model.image, np.asarray(mesh.visual.material.baseColorTexture.convert("RGB")))
    assert model.texture_type == "image/png"
    assert finished.agree(model.positions, sampled(model.image, model.uv))


@pytest.mark.parametrize("mesh", [sphere(30), soup(50, 0.1), tangle(100, 30), sphere(130)])
def test_a_plain_file_is_read_back_exactly(mesh):
    positions, normals, uv, faces = arrays(mesh)
    model = read_glb(write_glb(positions, normals, uv, faces, TEXTURE, {}))
    assert model.positions.tobytes() == positions.tobytes()
    assert model.normals.tobytes() == normals.tobytes()
    assert model.uv.tobytes() == uv.tobytes()
    assert np.array_equal(model.faces, faces)
    assert np.array_equal(model.image, TEXTURE)


@pytest.mark.parametrize("texture_format", choices("texture_format"))
@pytest.mark.parametrize("mesh", [sphere(40), soup(1, 0.1), tangle(200, 30), (sphere(20)[0] * 1e3 + 50, sphere(20)[1])])
def test_a_packed_file_is_read_to_a_step_of_what_was_written(mesh, texture_format):
    """Half a step of 15 bits along the longest side, a sixteenth of a texel, two steps of a byte for normals."""
    positions, normals, uv, faces = arrays(mesh)
    model = read_glb(
        write_glb(positions, normals, uv, faces, TEXTURE, {}, texture_format=texture_format, compress=True)
    )
    assert model.texture_type == f"image/{texture_format}"
    assert (model.positions.dtype, model.normals.dtype, model.uv.dtype) == (np.float32,) * 3
    step = float(np.ptp(positions, axis=0).max()) / PACKED_STEPS

    def face_middles(positions, normals, uv, faces):
        return np.hstack([positions / step, uv * SIZE * 16, normals * 64])[faces].mean(axis=1)

    ours, written = (
        face_middles(*each) for each in ((model.positions, model.normals, model.uv, model.faces), arrays(mesh))
    )
    assert len(ours) == len(written)
    assert KDTree(written).query(ours, p=np.inf)[0].max() < 1.01, "each face has its own"
    assert KDTree(ours).query(written, p=np.inf)[0].max() < 1.01, "and none is missing"
    assert np.allclose(np.linalg.norm(model.normals, axis=1), 1, atol=1e-6)
    assert 0 <= model.uv.min() <= model.uv.max() <= 1


def test_a_packed_result_looks_like_its_plain_one(packed):
    model = read_glb(packed)
    assert model.texture_type == "image/webp"
    assert finished.agree(model.positions, sampled(model.image, model.uv))


def test_the_document_tells_what_the_file_says_of_itself(glb, packed):
    for file in (glb, packed):
        assert read_document(file)["asset"]["extras"]["seed"] == 7


def place(document: dict) -> dict:
    """Where the positions lie in the file, packed or not."""
    view = document["bufferViews"][1]
    return view.get("extensions", {}).get("EXT_meshopt_compression", view)


NOT_OURS = {
    "no mesh": lambda d: d.update(meshes=[]),
    "two meshes": lambda d: d["meshes"].append(d["meshes"][0]),
    "lines": lambda d: d["meshes"][0]["primitives"][0].update(mode=1),
    "a turned node": lambda d: d["nodes"][0].update(rotation=[0, 0, 1, 0]),
    "a node below": lambda d: d["nodes"].append({"mesh": 0}),
    "no normals": lambda d: d["meshes"][0]["primitives"][0]["attributes"].pop("NORMAL"),
    "no texture": lambda d: d["materials"][0]["pbrMetallicRoughness"].pop("baseColorTexture"),
    "an image elsewhere": lambda d: d["images"][0].pop("bufferView"),
    "sparse": lambda d: d["accessors"][1].update(sparse={}),
    "too many vertices": lambda d: d["accessors"][1].update(count=10**9),
    "fewer normals": lambda d: d["accessors"][2].update(count=3),
    "a negative count": lambda d: d["accessors"][1].update(count=-1),
    "pairs for places": lambda d: d["accessors"][1].update(type="VEC2"),
    "an unknown component": lambda d: d["accessors"][1].update(componentType=1),
    "a view outside": lambda d: place(d).update(byteOffset=10**9),
    "a view before": lambda d: place(d).update(byteOffset=-4),
    "a view that is none": lambda d: d["bufferViews"].__setitem__(1, None),
    "a word for a number": lambda d: place(d).update(byteLength="all"),
    "no document at all": lambda d: d.clear(),
}


@pytest.mark.parametrize("change", NOT_OURS.values(), ids=NOT_OURS.keys())
def test_a_file_laid_out_otherwise_is_refused(glb, packed, change):
    for file in (glb, packed):
        with pytest.raises(BadRequest, match="laid out"):
            read_glb(changed(file, change))


def test_an_extension_that_is_not_read_is_named(glb):
    with pytest.raises(BadRequest, match="KHR_draco"):
        read_glb(changed(glb, lambda document: document.update(extensionsRequired=["KHR_draco_mesh_compression"])))


def test_a_face_of_vertices_that_do_not_exist_is_refused(glb):
    document, data = container.split(glb)
    at = document["bufferViews"][0].get("byteOffset", 0)
    with pytest.raises(BadRequest, match="laid out"):
        read_glb(container.join(document, data[:at] + b"\xfe\xff" + data[at + 2 :]))


def test_a_damaged_stream_is_read_or_refused(packed):
    """Whatever a byte of it becomes."""
    document, data = container.split(packed)
    random = np.random.default_rng(2)
    refused = 0
    for position in random.integers(0, document["bufferViews"][4]["byteOffset"], 60):
        damaged = bytearray(data)
        damaged[position] ^= int(random.integers(1, 256))
        try:
            read_glb(container.join(document, bytes(damaged)))
        except BadRequest:
            refused += 1
    assert refused, "some bytes decide whether the stream can be read at all"


def test_a_sample_lies_between_the_four_pixels_around_it():
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 1] = 200
    assert np.allclose(sampled(image, np.array([[0.75, 0.25], [0.5, 0.5], [0.0, 1.0]])), [[200] * 3, [50] * 3, [0] * 3])
