import numpy as np
import pytest

from sam3d_bento.export.glb.meshopt_decoder import decode_attributes, decode_triangles
from sam3d_bento.export.glb.meshopt_encoder import encode_attributes, encode_triangles
from tests.support.export_meshes import sphere

ELEMENTS = np.random.default_rng(0).integers(0, 256, (100, 4)).astype(np.uint8)
FACES = sphere(8)[1]


@pytest.mark.parametrize("change", [lambda s: s[:-5], lambda s: s + b"\0", lambda s: b"\0" + s[1:], lambda s: s[:1]])
def test_a_damaged_stream_is_refused(change) -> None:
    with pytest.raises((ValueError, IndexError)):
        decode_attributes(change(encode_attributes(ELEMENTS)), len(ELEMENTS), 4)
    with pytest.raises((ValueError, IndexError)):
        decode_triangles(change(encode_triangles(FACES)), len(FACES))
