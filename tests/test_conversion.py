"""Every format, in a reader that is not its writer, with its colours."""

import io
import zipfile

import numpy as np
import plyfile
import pytest
import trimesh
from PIL import Image
from pxr import Usd, UsdGeom, UsdShade, UsdValidation

from sam3d_bento.errors import UnsupportedMedia
from sam3d_bento.export import conversion
from sam3d_bento.export.glb.read import read_glb
from sam3d_bento.export.glb.write import write_glb
from sam3d_bento.export.mesh.surface import vertex_normals
from sam3d_bento.formats import FORMATS
from tests.support import finished
from tests.support.export_meshes import blob


@pytest.fixture(scope="module")
def glb():
    return finished.glb()


@pytest.fixture(scope="module")
def model(glb):
    return read_glb(glb)


def obj_arrays(text):
    """Positions, texture coordinates and faces (F, 3, 3 indices) of an OBJ, read by hand."""
    rows = {"v": [], "vt": [], "f": []}
    for line in filter(None, text.splitlines()):
        kind, *values = line.split()
        if kind == "f":
            rows["f"].append([[int(index) - 1 for index in corner.split("/")] for corner in values])
        elif kind in rows:
            rows[kind].append([float(value) for value in values[:3]])
    return np.array(rows["v"]), np.array(rows["vt"]), np.array(rows["f"])


def test_an_obj_names_its_material_and_its_texture_lies_where_the_format_wants_it(model):
    archive = zipfile.ZipFile(io.BytesIO(conversion.to_obj(model, "model")))
    assert sorted(archive.namelist()) == ["model.mtl", "model.obj", "model.png"]
    assert archive.read("model.png") == model.texture, "not encoded again"
    text = archive.read("model.obj").decode()
    assert "mtllib model.mtl" in text
    material = archive.read("model.mtl").decode()
    assert "map_Kd model.png" in material
    assert "Kd 1.0" in material, "the texture is not darkened"
    vertices, uv, faces = obj_arrays(text)
    assert len(faces) == len(model.faces)
    corners = faces.reshape(-1, 3)
    assert finished.agree(vertices[corners[:, 0]], finished.pixels(archive.read("model.png"), uv[corners[:, 1]]))


def test_an_obj_opens_in_trimesh(model, tmp_path):
    zipfile.ZipFile(io.BytesIO(conversion.to_obj(model, "model"))).extractall(tmp_path)
    mesh = trimesh.load_mesh(tmp_path / "model.obj", process=False)
    assert len(mesh.faces) == len(model.faces)
    assert finished.agree(mesh.vertices, mesh.visual.to_color().vertex_colors[:, :3])


def test_an_stl_has_the_shape(model):
    mesh = trimesh.load_mesh(io.BytesIO(conversion.to_stl(model)), file_type="stl")
    assert len(mesh.faces) == len(model.faces)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 0.5**3, rel=0.02)


def test_a_ply_is_one_closed_mesh_with_colours_at_its_vertices(model):
    content = conversion.to_ply(model)
    data = plyfile.PlyData.read(io.BytesIO(content))
    vertex = data["vertex"]
    points = np.stack([vertex[axis] for axis in "xyz"], 1)
    assert finished.agree(points, np.stack([vertex[name] for name in ("red", "green", "blue")], 1))
    assert {"nx", "ny", "nz"} <= set(vertex.data.dtype.names)
    mesh = trimesh.load_mesh(io.BytesIO(content), file_type="ply", process=False)
    assert mesh.is_watertight
    assert len(mesh.vertices) < len(model.positions), "the seams are closed"


def test_a_usdz_is_a_valid_package_with_its_texture(model, tmp_path):
    path = tmp_path / "model.usdz"
    path.write_bytes(conversion.to_usdz(model, "model"))
    stage = Usd.Stage.Open(str(path))
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert len(validators) > 20
    faults = UsdValidation.ValidationContext(validators).Validate(stage)
    assert [fault.GetMessage() for fault in faults] == []
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/model/mesh"))
    points, uv = np.array(mesh.GetPointsAttr().Get()), np.array(UsdGeom.PrimvarsAPI(mesh).GetPrimvar("st").Get())
    material, _ = UsdShade.MaterialBindingAPI(mesh).ComputeBoundMaterial()
    assert material.GetPath() == "/model/material"
    package = zipfile.ZipFile(path)
    texture = package.read(next(name for name in package.namelist() if name.endswith(".png")))
    assert texture == model.texture
    assert finished.agree(points, finished.pixels(texture, uv))
    assert len(mesh.GetFaceVertexCountsAttr().Get()) == len(model.faces)


def test_without_usd_the_extra_is_named(model, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UnsupportedMedia, match="extra 'usdz'"):
        conversion.to_usdz(model, "model")


@pytest.fixture(scope="module")
def packed_model():
    """The model of a packed file with a WebP texture."""
    options = finished.OPTIONS.model_copy(update={"compress": True, "texture_format": "webp"})
    return read_glb(finished.glb(options=options))


def test_an_obj_and_a_usdz_of_a_webp_texture_have_the_same_pixels_as_png(packed_model, tmp_path):
    assert packed_model.texture_type == "image/webp"
    packages = {"obj": conversion.to_obj(packed_model), "usdz": conversion.to_usdz(packed_model)}
    for name, content in packages.items():
        archive = zipfile.ZipFile(io.BytesIO(content))
        (texture,) = (archive.read(file) for file in archive.namelist() if file.endswith(".png"))
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(texture))), packed_model.image), name
    assert "map_Kd model.png" in zipfile.ZipFile(io.BytesIO(packages["obj"])).read("model.mtl").decode()
    (tmp_path / "model.usdz").write_bytes(packages["usdz"])
    stage = Usd.Stage.Open(str(tmp_path / "model.usdz"))
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert [fault.GetMessage() for fault in UsdValidation.ValidationContext(validators).Validate(stage)] == []


@pytest.mark.parametrize(("wanted", "write"), [("stl", conversion.to_stl), ("ply", conversion.to_ply)])
@pytest.mark.parametrize("resolution", [20, 40, 80])
def test_a_packed_model_of_slivers_stays_closed_where_readers_weld_it(wanted, write, resolution):
    """Marching cubes makes faces far smaller than the steps of packed positions."""
    vertices, faces = blob(resolution)
    normals, uv = vertex_normals(vertices, faces), np.full((len(vertices), 2), 0.5, np.float32)
    texture = np.full((8, 8, 3), 200, np.uint8)
    model = read_glb(write_glb(vertices, normals, uv, faces, texture, {}, compress=True))
    mesh = trimesh.load_mesh(io.BytesIO(write(model)), file_type=wanted)
    mesh.merge_vertices(merge_norm=True, merge_tex=True)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(trimesh.Trimesh(vertices, faces).volume, rel=1e-3)


def test_every_format_has_a_writer():
    assert {*conversion.WRITERS, "glb", "ply-splats"} == set(FORMATS)


@pytest.mark.parametrize("write", [lambda m: conversion.to_obj(m, "m"), conversion.to_stl, conversion.to_ply])
def test_equal_models_give_equal_bytes(model, glb, write):
    assert write(model) == write(read_glb(glb))
