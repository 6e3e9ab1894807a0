import io

import numpy as np
import plyfile

from sam3d_bento.export.splat_file import FIELDS, to_ply
from sam3d_bento.reconstruction import SH_C0
from tests.support import finished


def test_a_ply_reader_gets_back_what_was_meant():
    splats = finished.reconstruction().splats
    vertex = plyfile.PlyData.read(io.BytesIO(to_ply(splats)))["vertex"]
    assert vertex.data.dtype.names == FIELDS

    def stacked(*names):
        return np.stack([vertex[name] for name in names], 1)

    assert np.array_equal(stacked("x", "y", "z"), splats.positions)
    colours = (stacked("f_dc_0", "f_dc_1", "f_dc_2") * SH_C0 + 0.5) * 255
    assert np.array_equal(np.rint(colours), splats.colours)
    assert np.allclose(1 / (1 + np.exp(-vertex["opacity"].astype(float))), splats.opacity, atol=2e-6)
    assert np.allclose(np.exp(stacked("scale_0", "scale_1", "scale_2")), splats.scale)
    assert np.array_equal(stacked("rot_0", "rot_1", "rot_2", "rot_3"), splats.rotation)
    assert all(np.isfinite(vertex[name]).all() for name in FIELDS), "also where something is fully opaque"
