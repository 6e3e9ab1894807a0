"""Scenes in other formats, and finished scenes exported again."""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import plyfile
import pytest
import trimesh
from pxr import Usd, UsdGeom, UsdValidation
from scipy.spatial.transform import Rotation

from sam3d_bento.camera import Camera
from sam3d_bento.errors import BadRequest, NotFound
from sam3d_bento.export import conversion
from sam3d_bento.export.glb import container
from sam3d_bento.export.glb.read import read_extras
from sam3d_bento.export.glb.scene import read_scene, take_object
from sam3d_bento.export.splat_file import FIELDS
from sam3d_bento.formats import FormatOptions
from sam3d_bento.options import Options
from sam3d_bento.pipeline import Pipeline
from sam3d_bento.postprocess import Postprocessor
from sam3d_bento.reconstruction import Splats
from sam3d_bento.settings import Settings
from sam3d_bento.submission import ExportSubmission, ObjectSubmission, Submission, ThumbnailSubmission
from tests.support import scene_truth
from tests.support.scene_files import masks_of, png, submission
from tests.test_scene_pipeline import KnowingEngine

CAMERA = Camera.assumed(200, 150)
OPTIONS = Options(seed=1, texture_size=512, target_faces=1000, name="a table", texture_format="webp")
TURN = Rotation.from_euler("xyz", [20, 50, 10], degrees=True).as_quat(scalar_first=True)


def silent(*told):
    pass


@pytest.fixture(scope="module")
def truth():
    return scene_truth.build(CAMERA)


@pytest.fixture(scope="module")
def finished(truth, tmp_path_factory):
    """The files of a scene in a store: the GLB, and the reconstructions, which have a splat each."""
    engine = KnowingEngine(truth)
    one = np.ones(1, np.float32)
    point = np.float32([[0.1, 0.2, 0.3]])
    splats = Splats(point, np.uint8([[9, 99, 200]]), one / 2, np.float32([[0.1, 0.2, 0.3]]), np.float32(TURN)[None])
    engine.made = [replace(each, splats=splats) for each in engine.made]
    folder = tmp_path_factory.mktemp("store")
    asset = Pipeline(engine, None, Settings()).run(
        submission(truth, OPTIONS, masks=masks_of(truth)), silent, lambda each: each.save(folder / "scene.npz")
    )
    (folder / "scene.glb").write_bytes(asset.glb)
    return folder / "scene.glb", folder / "scene.npz"


@pytest.fixture(scope="module")
def placed(finished):
    return read_scene(finished[0].read_bytes())


@pytest.fixture(scope="module")
def positions(placed):
    """Of all vertices, where the scene has them."""
    return np.concatenate([each.in_scene().positions for each in placed])


def export(finished, wanted="glb", reconstruction=True, **changes):
    glb, npz = finished
    order = ExportSubmission(glb, npz if reconstruction else None, wanted, changes)
    return Postprocessor().run(order, silent)


def test_an_obj_has_a_group_with_its_own_material_for_each_object(placed, positions):
    archive = zipfile.ZipFile(io.BytesIO(conversion.convert_scene(placed, "a table", "obj")))
    names = [f"object-{index}" for index in (1, 2, 3)]
    assert sorted(archive.namelist()) == ["a_table.mtl", "a_table.obj", *(f"{name}.png" for name in names)]
    text = archive.read("a_table.obj").decode()
    assert [line[2:] for line in text.splitlines() if line.startswith("o ")] == names
    assert [line[7:] for line in text.splitlines() if line.startswith("usemtl ")] == names
    rows = [list(map(float, line.split()[1:4])) for line in text.splitlines() if line.startswith("v ")]
    assert np.allclose(rows, positions, atol=1e-5)
    corners = [line.split()[1:] for line in text.splitlines() if line.startswith("f ")]
    assert max(int(corner.split("/")[0]) for face in corners for corner in face) == len(positions)
    materials = archive.read("a_table.mtl").decode()
    assert [line[7:] for line in materials.splitlines() if line.startswith("newmtl ")] == names
    assert [line[7:] for line in materials.splitlines() if line.startswith("map_Kd ")] == [f"{n}.png" for n in names]


def test_a_usdz_has_a_transform_for_each_object_and_is_valid(placed, positions, tmp_path):
    path = tmp_path / "scene.usdz"
    path.write_bytes(conversion.convert_scene(placed, "a table", "usdz"))
    stage = Usd.Stage.Open(str(path))
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert [fault.GetMessage() for fault in UsdValidation.ValidationContext(validators).Validate(stage)] == []
    assert stage.GetDefaultPrim().GetDisplayName() == "a table"
    found = []
    for prim in stage.Traverse():
        if prim.IsA(UsdGeom.Mesh):
            to_world = np.array(UsdGeom.Xformable(prim).ComputeLocalToWorldTransform(0))
            points = np.array(UsdGeom.Mesh(prim).GetPointsAttr().Get())
            assert np.abs(points).max() < 0.51, "the points are in the object's own frame"
            found.append(points @ to_world[:3, :3] + to_world[3, :3])
    standing = positions - [0, positions[:, 1].min(), 0]
    assert np.allclose(np.concatenate(found), standing, atol=1e-5), "on the floor, as AR wants it"


def test_an_stl_has_all_objects_where_they_are_to_each_other(placed, positions):
    mesh = trimesh.load_mesh(io.BytesIO(conversion.convert_scene(placed, "x", "stl")), file_type="stl")
    z_up = np.stack([positions[:, 0], -positions[:, 2], positions[:, 1]], 1)
    scale = 100 / np.ptp(positions, axis=0).max()
    assert np.allclose(mesh.bounds, scale * np.stack([z_up.min(0), z_up.max(0)]), rtol=1e-4)
    assert mesh.body_count == 4, "the lamp has two balls"


def test_a_ply_has_the_colours_of_all_objects(placed, positions):
    content = conversion.convert_scene(placed, "x", "ply", None)
    vertex = plyfile.PlyData.read(io.BytesIO(content))["vertex"]
    points = np.stack([vertex["x"], vertex["z"], -vertex["y"]], 1)
    assert np.allclose(np.sort(points.max(0)), np.sort(positions.max(0)), atol=1e-5)
    assert len(set(vertex["red"].tolist())) > 50


def test_a_3mf_has_an_object_for_each_where_they_are_to_each_other(placed, positions):
    content = conversion.convert_scene(placed, "x", "3mf")
    scene = trimesh.load_scene(io.BytesIO(content), file_type="3mf")
    assert set(scene.geometry) == {f"object-{index}" for index in (1, 2, 3)}
    low, high = positions.min(0), positions.max(0)
    extents = (high - low)[[0, 2, 1]] * 100 / (high - low).max()
    assert np.allclose(scene.bounds, [np.zeros(3), extents], atol=1e-2)


@pytest.mark.parametrize(
    ("wanted", "collision"),
    [("urdf", None), ("mjcf", None), ("glb", "hull"), ("glb-lods", None)],
    ids=["urdf", "mjcf", "collision", "levels"],
)
def test_a_scene_is_no_body_and_gets_neither_collision_shapes_nor_levels(finished, wanted, collision):
    order = ExportSubmission(*finished, wanted, {}, FormatOptions(collision=collision))
    with pytest.raises(BadRequest, match=r"is a scene, and '(format|collision).* is for results of one object"):
        Postprocessor().run(order, silent)


def test_a_glb_of_splats_has_them_where_the_ply_has_them(finished):
    vertex = plyfile.PlyData.read(io.BytesIO(export(finished, "ply-splats")))["vertex"]
    document, data = container.split(export(finished, "splats-glb"))
    points = np.frombuffer(data, "<f4", 3 * document["accessors"][0]["count"]).reshape(-1, 3)
    assert np.array_equal(points, np.stack([vertex[axis] for axis in "xyz"], 1))
    assert document["nodes"][0]["name"] == "a table"


def test_splats_are_placed_as_the_objects_are(finished, placed):
    vertex = plyfile.PlyData.read(io.BytesIO(export(finished, "ply-splats")))["vertex"]
    rows = np.stack([vertex[name] for name in FIELDS], 1)
    assert len(rows) == 3
    for row, each in zip(rows, placed, strict=True):
        factor = np.linalg.norm(each.matrix[:3, 0])
        assert np.allclose(row[:3], each.matrix[:3, :3] @ [0.1, 0.2, 0.3] + each.matrix[:3, 3], atol=1e-5)
        assert np.allclose(np.exp(row[FIELDS.index("scale_0") :][:3]), factor * np.array([0.1, 0.2, 0.3]), rtol=1e-4)
        turn = Rotation.from_quat(row[FIELDS.index("rot_0") :], scalar_first=True)
        expected = Rotation.from_matrix(each.matrix[:3, :3] / factor) * Rotation.from_quat(TURN, scalar_first=True)
        assert (turn * expected.inv()).magnitude() < 1e-4


def test_a_scene_has_a_picture(finished):
    assert Postprocessor().run(ThumbnailSubmission(finished[0]), silent)[8:12] == b"WEBP"


def test_an_object_is_a_file_as_of_a_single_run(finished):
    part = Postprocessor().run(ObjectSubmission(finished[0], "object-2"), silent)
    assert part == take_object(finished[0].read_bytes(), "object-2")
    assert read_extras(part)["name"] == "object-2"
    with pytest.raises(NotFound, match="no object"):
        Postprocessor().run(ObjectSubmission(finished[0], "object-9"), silent)


def test_a_scene_exported_again_has_the_objects_that_a_run_with_these_options_has(truth, finished):
    anew = export(finished, target_faces=1500, texture_format="jpeg")
    options = OPTIONS.model_copy(update={"target_faces": 1500, "texture_format": "jpeg"})
    expected = Pipeline(KnowingEngine(truth), None, Settings()).run(
        submission(truth, options, masks=masks_of(truth)), silent
    )
    for index in (1, 2, 3):
        assert take_object(anew, f"object-{index}") == take_object(expected.glb, f"object-{index}")
    report, wanted = read_extras(anew), read_extras(expected.glb)
    for entry, other in zip(report["objects"], wanted["objects"], strict=True):
        assert entry | {"silhouette_iou": None} == other | {"silhouette_iou": None}
    assert report["options"] == wanted["options"]


def test_a_scene_is_put_on_the_ground_without_its_reconstructions(finished, placed):
    grounded = read_scene(export(finished, reconstruction=False, frame="ground"))
    points = np.concatenate([each.in_scene().positions for each in grounded])
    assert points[:, 1].min() == pytest.approx(0, abs=1e-6)
    for each, before in zip(grounded, placed, strict=True):
        assert np.array_equal(each.mesh.positions, before.mesh.positions)


def test_another_name_alone_changes_nothing_else(finished):
    renamed = export(finished, reconstruction=False, name="shelf")
    assert read_extras(renamed)["name"] == "shelf"
    assert [each.mesh.name for each in read_scene(renamed)] == ["object-1", "object-2", "object-3"]
    assert export(finished) == finished[0].read_bytes()


def test_what_a_scene_cannot_be_exported_to_is_refused(finished):
    with pytest.raises(BadRequest, match="'height' is that of a single object"):
        export(finished, height=1.0)
    with pytest.raises(NotFound, match="not kept"):
        export(finished, reconstruction=False, target_faces=1500)
    with pytest.raises(NotFound, match="not kept"):
        export(finished, "ply-splats", reconstruction=False)


def test_every_format_of_an_exported_scene_is_written(finished):
    for wanted in ("obj", "stl", "ply", "usdz"):
        assert len(export(finished, wanted, reconstruction=False)) > 1000


def test_a_single_result_cannot_be_put_on_the_ground(truth, tmp_path):
    mask = next(iter(masks_of(truth)))
    single = Pipeline(KnowingEngine(truth), None, Settings()).run(Submission(png(truth.photo), mask, OPTIONS), silent)
    path = Path(tmp_path / "single.glb")
    path.write_bytes(single.glb)
    with pytest.raises(BadRequest, match="'frame' is that of a scene"):
        export((path, None), frame="ground")
    assert json.dumps(read_extras(single.glb))
