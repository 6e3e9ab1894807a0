"""Every format, in a reader that is not its writer, with its colours."""

import dataclasses
import io
import tempfile
import zipfile
from xml.etree import ElementTree

import numpy as np
import plyfile
import pytest
import trimesh
from PIL import Image
from pxr import Usd, UsdGeom, UsdShade, UsdValidation

from sam3d_bento.errors import UnsupportedMedia
from sam3d_bento.export import conversion, to_glb
from sam3d_bento.export.glb.read import TexturedMesh, decoded, read_glb
from sam3d_bento.export.glb.write import write_glb
from sam3d_bento.export.mesh.surface import vertex_normals
from sam3d_bento.export.physics.robot_files import BODY_WRITERS
from sam3d_bento.export.splat_file import SPLAT_WRITERS
from sam3d_bento.formats import FORMATS, FormatOptions
from sam3d_bento.options import Options
from sam3d_bento.postprocess import LEVELS
from tests.support import finished
from tests.support.export_meshes import blob, painted


@pytest.fixture(scope="module")
def glb():
    return finished.glb(options=finished.OPTIONS.model_copy(update={"name": "model"}))


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
    archive = zipfile.ZipFile(io.BytesIO(conversion.to_obj(model)))
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
    zipfile.ZipFile(io.BytesIO(conversion.to_obj(model))).extractall(tmp_path)
    mesh = trimesh.load_mesh(tmp_path / "model.obj", process=False)
    assert len(mesh.faces) == len(model.faces)
    assert finished.agree(mesh.vertices, mesh.visual.to_color().vertex_colors[:, :3])


NAMES = ["chair", "Red chair #2", "стул", "椅子 2", "2 chairs", "a'b;c=d", "..".join("ab")]


@pytest.mark.parametrize("name", NAMES)
def test_an_obj_of_any_name_opens_with_its_material_and_its_texture(model, tmp_path, name):
    named = dataclasses.replace(model, name=name)
    zipfile.ZipFile(io.BytesIO(conversion.to_obj(named))).extractall(tmp_path)
    stem = name.replace(" #", "_").replace(" ", "_")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{stem}.mtl", f"{stem}.obj", f"{stem}.png"]
    assert f"\no {stem}\nusemtl {stem}\n" in (tmp_path / f"{stem}.obj").read_text(encoding="utf-8")
    mesh = trimesh.load_mesh(tmp_path / f"{stem}.obj", process=False)
    assert mesh.visual.material.image.size == Image.open(io.BytesIO(model.texture)).size
    assert mesh.visual.material.name == stem


@pytest.mark.parametrize(
    ("name", "identifier"),
    list(zip(NAMES, ["chair", "Red_chair_2", "object", "_2", "_2_chairs", "a_b_c_d", "a_b"], strict=True)),
)
def test_a_usdz_of_any_name_has_it_as_its_display_name_and_in_its_prims_as_far_as_they_can(
    model, tmp_path, name, identifier
):
    path = tmp_path / "x.usdz"
    path.write_bytes(conversion.to_usdz(dataclasses.replace(model, name=name)))
    assert zipfile.ZipFile(path).namelist() == [f"{identifier}.usdc", f"{identifier}.png"]
    stage = Usd.Stage.Open(str(path))
    root = stage.GetDefaultPrim()
    mesh = stage.GetPrimAtPath(f"/{identifier}/{identifier}")
    material, _ = UsdShade.MaterialBindingAPI(mesh).ComputeBoundMaterial()
    assert (root.GetName(), material.GetPrim().GetName()) == (identifier, identifier)
    assert {prim.GetDisplayName() for prim in (root, mesh, material.GetPrim())} == {name}
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert [fault.GetMessage() for fault in UsdValidation.ValidationContext(validators).Validate(stage)] == []


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


def test_equal_models_are_equal_usdz_packages(model):
    package = conversion.to_usdz(model)
    assert conversion.to_usdz(model) == package
    times = {entry.date_time for entry in zipfile.ZipFile(io.BytesIO(package)).infolist()}
    assert times == {(1980, 1, 1, 0, 0, 0)}, "otherwise a second later it would be another"


def test_a_usdz_is_a_valid_package_with_its_texture(model, tmp_path):
    path = tmp_path / "model.usdz"
    path.write_bytes(conversion.to_usdz(model))
    stage = Usd.Stage.Open(str(path))
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert len(validators) > 20
    faults = UsdValidation.ValidationContext(validators).Validate(stage)
    assert [fault.GetMessage() for fault in faults] == []
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/model/model"))
    points, uv = np.array(mesh.GetPointsAttr().Get()), np.array(UsdGeom.PrimvarsAPI(mesh).GetPrimvar("st").Get())
    material, _ = UsdShade.MaterialBindingAPI(mesh).ComputeBoundMaterial()
    assert material.GetPath() == "/model/materials/model"
    package = zipfile.ZipFile(path)
    texture = package.read(next(name for name in package.namelist() if name.endswith(".png")))
    assert texture == model.texture
    assert finished.agree(points, finished.pixels(texture, uv))
    assert len(mesh.GetFaceVertexCountsAttr().Get()) == len(model.faces)


def test_without_usd_the_package_is_named(model, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UnsupportedMedia, match="lacks the package usd-core"):
        conversion.to_usdz(model)


@pytest.fixture(scope="module")
def packed_model():
    """The model of a packed file with a WebP texture."""
    options = finished.OPTIONS.model_copy(update={"compress": True, "texture_format": "webp", "name": "model"})
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


def loaded(content, wanted):
    """The mesh that trimesh reads."""
    return trimesh.load_mesh(io.BytesIO(content), file_type=wanted, process=False)


@pytest.mark.parametrize("wanted", ["stl", "ply"])
def test_stl_and_ply_stand_upright_where_z_is_up(model, wanted):
    """What is up in the GLB is up there, and what faces +z faces the reader, at -y."""
    x, y, z = model.positions.T
    mesh = loaded(conversion.convert(model, wanted), wanted)
    low, high = mesh.bounds
    scale = 100 / np.ptp(model.positions, axis=0).max() if wanted == "stl" else 1
    assert np.allclose(low, scale * np.array([x.min(), -z.max(), y.min()]), rtol=1e-5)
    assert np.allclose(high, scale * np.array([x.max(), -z.min(), y.max()]), rtol=1e-5)
    assert mesh.volume == pytest.approx(scale**3 * trimesh.Trimesh(model.positions, model.faces).volume, rel=1e-4)


def test_the_normals_of_a_ply_turn_with_it(model):
    mesh = loaded(conversion.convert(model, "ply"), "ply")
    outward = mesh.vertices / np.linalg.norm(mesh.vertices, axis=1, keepdims=True)
    assert (np.einsum("ij,ij->i", mesh.vertex_normals, outward) > 0.95).all()
    vertex = plyfile.PlyData.read(io.BytesIO(conversion.convert(model, "ply")))["vertex"]
    written = np.stack([vertex[name] for name in ("nx", "ny", "nz")], 1)
    assert (np.einsum("ij,ij->i", written, outward) > 0.95).all()


@pytest.mark.parametrize(("metres", "millimetres"), [(None, 100), (0.001, 1), (0.25, 250), (1000, 1_000_000)])
def test_an_stl_is_in_millimetres_and_as_long_as_it_should_be(model, metres, millimetres):
    scale = 1 if metres is None else metres / np.ptp(model.positions, axis=0).max()
    sized = dataclasses.replace(model, positions=(model.positions * np.float64(scale)).astype(np.float32))
    mesh = loaded(conversion.convert(sized, "stl", sized=metres is not None), "stl")
    assert mesh.extents.max() == pytest.approx(millimetres, rel=1e-6)
    mesh.merge_vertices()
    assert mesh.is_watertight


def test_with_their_old_values_the_files_are_as_they_were(model):
    old = FormatOptions(up="y")
    assert conversion.convert(model, "ply", old) == conversion.to_ply(model)
    points = usd_points(conversion.convert(model, "usdz", old, origin="centre"))
    assert np.array_equal(points, model.positions)


def usd_points(content):
    """The points of the mesh in a USD package."""
    with tempfile.NamedTemporaryFile(suffix=".usdz") as file:
        file.write(content)
        file.flush()
        stage = Usd.Stage.Open(file.name)
        return np.array(UsdGeom.Mesh(stage.GetPrimAtPath("/model/model")).GetPointsAttr().Get())


def test_a_usdz_stands_on_the_floor(model):
    points = usd_points(conversion.convert(model, "usdz"))
    assert points[:, 1].min() == 0
    assert np.allclose(points - model.positions, [0, -model.positions[:, 1].min(), 0], atol=1e-6)


def test_a_3mf_is_closed_upright_in_millimetres_and_stands_in_the_positive_octant(model):
    content = conversion.convert(model, "3mf")
    scene = trimesh.load_scene(io.BytesIO(content), file_type="3mf")
    assert scene.units == "millimeter"
    (mesh,) = scene.geometry.values()
    assert mesh.is_watertight
    assert len(mesh.faces) == len(model.faces)
    low, high = scene.bounds
    x, y, z = np.ptp(model.positions, axis=0) * 100 / np.ptp(model.positions, axis=0).max()
    assert np.allclose(low, 0, atol=1e-3)
    assert np.allclose(high, [x, z, y], atol=1e-2)


def test_the_colours_of_a_3mf_are_those_of_the_model_at_its_corners(model):
    """Read by hand: trimesh reads no colours of a 3MF, three.js does (tests/browser)."""
    archive = zipfile.ZipFile(io.BytesIO(conversion.convert(model, "3mf")))
    root = ElementTree.fromstring(archive.read("3D/3dmodel.model"))
    core, material = (
        f"{{http://schemas.microsoft.com/3dmanufacturing/{part}/2015/02}}" for part in ("core", "material")
    )
    colours = np.array([list(bytes.fromhex(each.get("color")[1:])) for each in root.iter(f"{material}color")])
    vertices = np.array([[float(each.get(axis)) for axis in "xyz"] for each in root.iter(f"{core}vertex")])
    triangles = list(root.iter(f"{core}triangle"))
    default = root.find(f".//{core}object").get("pindex")
    corners = np.array([int(each.get(f"v{number}")) for each in triangles for number in (1, 2, 3)])
    chosen = np.array(
        [int(each.get(f"p{number}") or each.get("p1") or default) for each in triangles for number in (1, 2, 3)]
    )
    x, up, depth = (vertices[corners] / 100)[:, [0, 2, 1]].T  # the ball is 100 mm high, and its middle is at 0
    middle = np.float64([0, 0.5, 0])
    assert finished.agree(np.stack([x, up, -depth], 1) - middle, colours[chosen.reshape(-1)][:, :3])
    assert (colours[:, 3] == 255).all()


def test_an_obj_keeps_the_frame_of_the_glb(model):
    assert conversion.convert(model, "obj") == conversion.to_obj(model)


def test_a_model_that_is_a_point_or_nothing_stays_finite():
    point = TexturedMesh(
        *(np.zeros((3, width), np.float32) for width in (3, 3, 2)), np.int32([[0, 1, 2]]), _png(), "image/png"
    )
    nothing = dataclasses.replace(point, faces=np.empty((0, 3), np.int32), positions=np.empty((0, 3), np.float32))
    for wanted in ("stl", "ply", "usdz", "3mf"):
        assert np.isfinite(conversion.laid_out(point, wanted, FormatOptions()).positions).all()
        assert conversion.laid_out(nothing, wanted, FormatOptions()).positions.shape == (0, 3)


def _png():
    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, "PNG")
    return file.getvalue()


def test_every_format_has_a_writer():
    assert {*conversion.WRITERS, *SPLAT_WRITERS, *BODY_WRITERS, "glb", LEVELS, "web"} == set(FORMATS)


@pytest.mark.parametrize("write", [conversion.to_obj, conversion.to_stl, conversion.to_ply, conversion.to_3mf])
def test_equal_models_give_equal_bytes(model, glb, write):
    assert write(model) == write(read_glb(glb))


@pytest.fixture(scope="module")
def bumpy():
    """A model with a normal map, whose texture and map are WebP."""
    options = Options(texture_size=512, target_faces=1500, normal_map=True, texture_format="webp", name="model")
    return read_glb(to_glb(painted(blob(90)), options, {}).glb)


def test_an_obj_names_its_normal_map_as_three_js_and_as_blender_read_it(bumpy):
    archive = zipfile.ZipFile(io.BytesIO(conversion.to_obj(bumpy)))
    assert sorted(archive.namelist()) == ["model.mtl", "model.obj", "model.png", "model_normal.png"]
    lines = archive.read("model.mtl").decode().splitlines()
    place = lines.index("map_Kd model.png")
    assert lines[place + 1 : place + 3] == ["norm model_normal.png", "map_Bump -bm 1 model_normal.png"]
    picture = np.asarray(Image.open(io.BytesIO(archive.read("model_normal.png"))))
    assert np.array_equal(picture, decoded(bumpy.normal_map)), "the pixels of the GLB, without loss"


def test_normal_maps_of_several_models_have_names_of_their_own(bumpy):
    models = [dataclasses.replace(bumpy, name=name) for name in ("cup", "cup_normal", "cup")]
    archive = zipfile.ZipFile(io.BytesIO(conversion.to_obj(*models, name="scene")))
    assert len(set(archive.namelist())) == 2 + 3 + 3
    materials = archive.read("scene.mtl").decode().splitlines()
    pairs = {(line, materials[place + 1]) for place, line in enumerate(materials) if line.startswith("map_Kd ")}
    assert pairs == {
        ("map_Kd cup.png", "norm cup_normal_2.png"),
        ("map_Kd cup_normal.png", "norm cup_normal_normal.png"),
        ("map_Kd cup_2.png", "norm cup_2_normal.png"),
    }


def test_a_usdz_has_its_normal_map_as_the_preview_surface_wants_it(bumpy, tmp_path):
    (tmp_path / "model.usdz").write_bytes(conversion.to_usdz(bumpy))
    stage = Usd.Stage.Open(str(tmp_path / "model.usdz"))
    surface = next(
        shader
        for prim in stage.Traverse()
        if (shader := UsdShade.Shader(prim)).GetIdAttr().Get() == "UsdPreviewSurface"
    )
    source, output, _ = surface.GetInput("normal").GetConnectedSource()
    bumps = UsdShade.Shader(source.GetPrim())
    assert output == "rgb"
    assert bumps.GetInput("sourceColorSpace").Get() == "raw"
    assert tuple(bumps.GetInput("scale").Get()) == (2, 2, 2, 1)
    assert tuple(bumps.GetInput("bias").Get()) == (-1, -1, -1, 0)
    assert "model_normal.png" in zipfile.ZipFile(tmp_path / "model.usdz").namelist()


@pytest.mark.parametrize("write", [conversion.to_stl, conversion.to_ply, conversion.to_3mf])
def test_a_format_without_normal_maps_is_written_as_if_there_were_none(bumpy, write):
    assert write(bumpy) == write(dataclasses.replace(bumpy, normal_map=None, tangents=None))
