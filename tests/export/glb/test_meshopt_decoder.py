import meshopt
import numpy as np
import pytest

from sam3d_bento.export.glb.meshopt_decoder import decode_attributes, decode_triangles
from sam3d_bento.export.glb.meshopt_encoder import encode_attributes, encode_triangles
from tests.support.export_meshes import sphere

ELEMENTS = np.random.default_rng(0).integers(0, 256, (100, 4)).astype(np.uint8)
FACES = sphere(8)[1]


@pytest.mark.parametrize("count", [1, 16, 257, 3000])
@pytest.mark.parametrize("stride", [4, 8, 12])
def test_attributes_that_meshoptimizer_has_encoded_are_decoded(count: int, stride: int) -> None:
    elements = np.random.default_rng(count).integers(0, 9, (count, stride)).cumsum(axis=0).astype(np.uint8)
    stream = meshopt.encode_gltf_buffer(elements, "ATTRIBUTES")
    np.testing.assert_array_equal(decode_attributes(stream, count, stride), elements)


@pytest.mark.parametrize("change", [lambda s: s[:-5], lambda s: s + b"\0", lambda s: b"\0" + s[1:], lambda s: s[:1]])
def test_a_damaged_stream_is_refused(change) -> None:
    with pytest.raises((ValueError, IndexError)):
        decode_attributes(change(encode_attributes(ELEMENTS)), len(ELEMENTS), 4)
    with pytest.raises((ValueError, IndexError)):
        decode_triangles(change(encode_triangles(FACES)), len(FACES))
