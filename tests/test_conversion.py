"""Every format, in a reader that is not its writer, with its colours."""

import io
import zipfile

import numpy as np
import plyfile
import pytest
import trimesh
from pxr import Usd, UsdGeom, UsdShade, UsdValidation

from sam3d_bento.errors import UnsupportedMedia
from sam3d_bento.export import conversion
from sam3d_bento.export.glb.read import read
from sam3d_bento.formats import FORMATS
from tests.support import finished


@pytest.fixture(scope="module")
def glb():
    return finished.glb()


@pytest.fixture(scope="module")
def model(glb):
    return read(glb)


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


def test_every_format_has_a_writer():
    assert {*conversion.WRITERS, "glb", "ply-splats"} == set(FORMATS)


@pytest.mark.parametrize("write", [lambda m: conversion.to_obj(m, "m"), conversion.to_stl, conversion.to_ply])
def test_equal_models_give_equal_bytes(model, glb, write):
    assert write(model) == write(read(glb))
