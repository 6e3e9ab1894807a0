import io
import json
import struct

import numpy as np
import pytest
import trimesh

from sam3d_bento.errors import BadRequest
from sam3d_bento.export.glb.read import describe, is_plain, read, sampled
from tests.support import finished


def repacked(glb, change):
    """The GLB with another document."""
    length = struct.unpack_from("<I", glb, 12)[0]
    document = json.loads(glb[20 : 20 + length])
    change(document)
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    rest = glb[20 + length :]
    return struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text) + len(rest), len(text), b"JSON") + text + rest


@pytest.fixture(scope="module")
def glb():
    return finished.glb()


def test_what_is_read_is_what_another_reader_reads(glb):
    model, mesh = read(glb), trimesh.load_mesh(io.BytesIO(glb), file_type="glb", process=False)
    assert np.array_equal(model.positions, mesh.vertices.astype(np.float32))
    assert np.array_equal(model.faces, mesh.faces)
    assert np.allclose(np.stack([model.uv[:, 0], 1 - model.uv[:, 1]], 1), mesh.visual.uv, atol=1e-6)
    assert np.array_equal(model.image, np.asarray(mesh.visual.material.baseColorTexture.convert("RGB")))
    assert model.texture_type == "image/png"
    assert finished.agree(model.positions, sampled(model.image, model.uv))


def test_the_document_tells_what_the_file_says_of_itself(glb):
    assert describe(glb)["asset"]["extras"]["seed"] == 7


def test_compressed_geometry_is_not_read(glb):
    packed = repacked(glb, lambda document: document.update(extensionsRequired=["EXT_meshopt_compression"]))
    assert not is_plain(describe(packed))
    with pytest.raises(BadRequest, match="compressed"):
        read(packed)


def test_a_webp_texture_is(glb):
    assert is_plain(describe(repacked(glb, lambda d: d.update(extensionsRequired=["EXT_texture_webp"]))))


@pytest.mark.parametrize("content", [b"", b"glTF", b"x" * 100, b"glTF" + bytes(100)])
def test_what_is_no_glb_is_refused(content):
    with pytest.raises(BadRequest):
        read(content)


def test_a_glb_of_others_is_refused(glb):
    with pytest.raises(BadRequest, match="laid out"):
        read(repacked(glb, lambda document: document.update(meshes=[])))


def test_a_sample_lies_between_the_four_pixels_around_it():
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 1] = 200
    assert np.allclose(sampled(image, np.array([[0.75, 0.25], [0.5, 0.5], [0.0, 1.0]])), [[200] * 3, [50] * 3, [0] * 3])
