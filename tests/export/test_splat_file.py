import io

import numpy as np
import plyfile
import pytest
from scipy.spatial.transform import Rotation

from sam3d_bento.export.glb import container
from sam3d_bento.export.splat_file import EXTENSION, FIELDS, SPLAT_WRITERS, to_glb, to_ply
from sam3d_bento.formats import FILE_TYPES
from sam3d_bento.reconstruction import SH_C0, Splats
from tests.support import finished
from tests.support.splat_clouds import cloud

# What the specification of KHR_gaussian_splatting demands of each attribute that we write: the accessor's type.
DEMANDED = {
    "POSITION": "VEC3",
    "COLOR_0": "VEC4",
    f"{EXTENSION}:ROTATION": "VEC4",
    f"{EXTENSION}:SCALE": "VEC3",
    f"{EXTENSION}:OPACITY": "SCALAR",
    f"{EXTENSION}:SH_DEGREE_0_COEF_0": "VEC3",
}


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


def attributes_of(glb):
    """The arrays of the points by their semantics, read as the glTF and the extension's specification say."""
    document, data = container.split(glb)
    assert document["extensionsUsed"] == [EXTENSION]
    assert "extensionsRequired" not in document, "other readers show points"
    (mesh,) = document["meshes"]
    (primitive,) = mesh["primitives"]
    assert primitive["mode"] == 0
    assert primitive["extensions"][EXTENSION] == {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}
    found = {}
    for name, index in primitive["attributes"].items():
        accessor = document["accessors"][index]
        view = document["bufferViews"][accessor["bufferView"]]
        dtype, full = {5126: ("<f4", 1), 5123: ("<u2", 65_535)}[accessor["componentType"]]
        assert (full > 1) == accessor.get("normalized", False)
        assert accessor["type"] == DEMANDED[name]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        stored = np.frombuffer(data, dtype, accessor["count"] * width, view["byteOffset"])
        found[name] = stored.reshape(-1, width) / np.float64(full)
    assert found.keys() == DEMANDED.keys()
    return found


def test_a_glb_has_the_gaussians_as_the_extension_says():
    splats = cloud()
    found = attributes_of(to_glb(splats))
    assert np.array_equal(found["POSITION"], splats.positions)
    assert np.array_equal(found[f"{EXTENSION}:SCALE"], splats.scale)
    assert np.array_equal(found[f"{EXTENSION}:OPACITY"][:, 0], splats.opacity)
    shown = found[f"{EXTENSION}:SH_DEGREE_0_COEF_0"] * SH_C0 + 0.5
    assert np.array_equal(np.rint(shown * 255), splats.colours)
    turns = Rotation.from_quat(found[f"{EXTENSION}:ROTATION"])
    meant = Rotation.from_quat(splats.rotation, scalar_first=True)
    assert (turns * meant.inv()).magnitude().max() < 1e-6


def test_other_readers_get_points_in_linear_colours_with_their_opacity():
    splats = cloud()
    colours = attributes_of(to_glb(splats))["COLOR_0"]
    encoded = np.where(colours <= 0.0031308, colours * 12.92, 1.055 * colours ** (1 / 2.4) - 0.055)
    assert np.allclose(encoded[:, :3] * 255, splats.colours, atol=0.1)
    assert np.allclose(colours[:, 3], splats.opacity, atol=1e-5)


def test_numbers_that_the_extension_forbids_do_not_get_into_the_file():
    odd = Splats(
        np.float32([[0, 0, 0], [1, 2, 3]]),
        np.uint8([[0, 0, 0], [255, 255, 255]]),
        np.float32([-0.1, 1.1]),
        np.float32([[-1, 0, 1], [0, 0, 0]]),
        np.float32([[0, 0, 0, 0], [0, 0, 3, 4]]),
    )
    found = attributes_of(to_glb(odd))
    assert found[f"{EXTENSION}:OPACITY"].tolist() == [[0], [1]]
    assert found[f"{EXTENSION}:SCALE"].min() == 0
    assert np.allclose(found[f"{EXTENSION}:ROTATION"], [[0, 0, 0, 1], [0, 0.6, 0.8, 0]])
    assert found["COLOR_0"].tolist() == [[0, 0, 0, 0], [1, 1, 1, 1]]


@pytest.mark.slow
def test_the_validator_knows_all_but_the_extension(validate):
    """It has no release that knows an extension's attributes: it calls their names invalid, and checks all else."""
    glb = to_glb(cloud(), "чашка")
    said = validate(glb)["messages"]
    names = sorted(message["pointer"].rpartition("/")[2] for message in said if message["severity"] == 0)
    assert names == sorted(name for name in DEMANDED if name.startswith(EXTENSION))
    document, data = container.split(glb)
    attributes = document["meshes"][0]["primitives"][0]["attributes"]
    for name in names:
        attributes[f"_{name.rpartition(':')[2]}"] = attributes.pop(name)
    said = validate(container.join(document, data))["messages"]
    assert [(message["code"], message["severity"]) for message in said] == [("UNSUPPORTED_EXTENSION", 2)]


def test_equal_gaussians_give_equal_files_that_are_named():
    assert to_glb(cloud(), "cup") == to_glb(cloud(), "cup")
    document, _ = container.split(to_glb(cloud(), "cup"))
    assert {document[part][0]["name"] for part in ("nodes", "meshes")} == {"cup"}


def test_every_format_that_is_made_from_gaussians_needs_the_reconstruction():
    assert set(SPLAT_WRITERS) == {name for name, kind in FILE_TYPES.items() if kind.of_splats}
    assert all(FILE_TYPES[name].from_reconstruction for name in SPLAT_WRITERS)
