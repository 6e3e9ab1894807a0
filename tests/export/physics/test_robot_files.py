"""Bodies in the readers that they are for: MuJoCo, which also drops them, and yourdfpy."""

import dataclasses
import io
import zipfile

import mujoco
import numpy as np
import pytest
import trimesh
import yourdfpy
from PIL import Image

from sam3d_bento.errors import NoScale, UnsupportedMedia
from sam3d_bento.export.physics import robot_files
from sam3d_bento.formats import FormatOptions
from tests.support.mugs import HEIGHT, SCALE, model, mug

SECONDS = 2.0
SUFFIXES = {"urdf": "urdf", "mjcf": "xml"}


def unpacked(folder, wanted, mesh=None, **options):
    """The main file of an archive, beside its other files."""
    content = robot_files.convert(mesh or model(mug(), SCALE), wanted, FormatOptions(**options), sized=True)
    zipfile.ZipFile(io.BytesIO(content)).extractall(folder)
    (main,) = folder.glob(f"*.{SUFFIXES[wanted]}")
    return main


def dropped(main, height=0.05):
    """Drop a body on a plane: the world, and its state after SECONDS."""
    spec = mujoco.MjSpec.from_file(str(main))
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[1, 1, 0.1])
    body = spec.worldbody.first_body()
    if not body.first_joint():
        body.add_freejoint()
    world = spec.compile()
    state = mujoco.MjData(world)
    state.qpos[2] = height
    while state.time < SECONDS:
        mujoco.mj_step(world, state)
    return world, state


def assert_rests(main):
    """Dropped on a plane, it stands and rests within SECONDS, on its collision shapes."""
    world, state = dropped(main)
    assert np.abs(state.qvel[:3]).max() < 1e-3
    assert np.abs(state.qvel[3:]).max() < 1e-2
    assert abs(state.qpos[2]) < 1e-3, "its lowest point is its origin"
    assert state.qpos[3] > 0.999, "upright"
    assert (world.geom_contype > 0).sum() - 1 == len(list(main.parent.glob("collision_*.obj"))), "and the plane"


@pytest.mark.parametrize("wanted", SUFFIXES)
def test_dropped_on_a_plane_a_body_stands_and_rests_within_two_seconds(tmp_path, wanted):
    assert_rests(unpacked(tmp_path, wanted))


@pytest.mark.slow
def test_dropped_on_a_plane_a_body_of_parts_stands_and_rests_too(in_parts):
    assert_rests(in_parts)


def test_mujoco_knows_the_mass_and_the_texture(tmp_path):
    main = unpacked(tmp_path, "mjcf", density=2500)
    world = mujoco.MjModel.from_xml_path(str(main))
    assert world.body_mass.sum() == pytest.approx(2500 * mug().volume * SCALE**3, rel=1e-3)
    solid = trimesh.Trimesh(mug().vertices * SCALE, mug().faces)
    solid.density = 2500
    assert np.allclose(np.sort(world.body_inertia[1]), np.sort(solid.principal_inertia_components), rtol=1e-3)
    (texture,) = world.tex_data.reshape(-1, 3)[:1]
    assert texture.tolist() == [200, 30, 30]
    assert world.geom(0).matid >= 0
    collides = world.geom_contype > 0
    assert collides.tolist() == [False, True]


@pytest.mark.slow
def test_another_reader_sees_the_same_body_in_a_urdf(in_parts):
    robot = yourdfpy.URDF.load(
        str(in_parts), build_collision_scene_graph=True, load_collision_meshes=True, force_collision_mesh=False
    )
    (link,) = robot.robot.links
    assert link.inertial.mass == pytest.approx(2500 * mug().volume * SCALE**3, rel=1e-3)
    low, high = robot.scene.bounds
    assert np.allclose(high[2] - low[2], HEIGHT * SCALE, rtol=1e-4)
    assert low[2] == pytest.approx(0, abs=1e-6)
    (seen,) = robot.scene.geometry.values()
    assert len(seen.faces) == len(mug().faces)
    assert seen.visual.material.image.getpixel((0, 0))[:3] == (200, 30, 30)
    shapes = robot.collision_scene.geometry.values()
    assert len(shapes) == len(link.collisions) > 1
    assert sum(shape.volume for shape in shapes) <= 1.15 * mug().volume * SCALE**3


@pytest.mark.parametrize("wanted", SUFFIXES)
@pytest.mark.parametrize("name", ['чашка <2> & "co"', "a", "椅子"])
def test_any_name_and_any_texture_give_files_that_open(tmp_path, wanted, name):
    picture = io.BytesIO()
    Image.new("RGB", (4, 4), (10, 200, 10)).save(picture, "WEBP" if name == "a" else "JPEG")
    texture_type = "image/webp" if name == "a" else "image/jpeg"
    mesh = dataclasses.replace(
        model(mug(hollow=False), SCALE, name), texture=picture.getvalue(), texture_type=texture_type
    )
    main = unpacked(tmp_path, wanted, mesh)
    assert main.stem == name
    assert mujoco.MjSpec.from_file(str(main)).compile().mesh("collision_00").id >= 0
    if wanted == "urdf":
        assert yourdfpy.URDF.load(str(main)).robot.name == name


@pytest.mark.parametrize("wanted", SUFFIXES)
@pytest.mark.parametrize("flat", [False, True])
def test_a_millimetre_and_a_sheet_are_bodies_too(tmp_path, wanted, flat):
    mesh = model(mug(hollow=False), 0.001 / HEIGHT)
    if flat:
        mesh = dataclasses.replace(mesh, positions=mesh.positions * np.float32([1, 1, 0]))
    assert mujoco.MjSpec.from_file(str(unpacked(tmp_path, wanted, mesh, density=10))).compile().nbody >= 1


@pytest.mark.parametrize("wanted", SUFFIXES)
def test_without_a_size_the_refusal_says_how_to_give_one(wanted):
    with pytest.raises(NoScale, match="'height'"):
        robot_files.convert(model(mug()), wanted, FormatOptions(), sized=False)


def test_without_coacd_its_package_is_named_and_a_hull_is_made(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    mesh = model(mug(hollow=False), SCALE)
    with pytest.raises(UnsupportedMedia, match=r"coacd.*pip install 'sam3d-bento\[collision\]'"):
        robot_files.convert(mesh, "urdf", FormatOptions(collision="parts"), sized=True)
    assert robot_files.convert(mesh, "urdf", FormatOptions(collision="hull"), sized=True)


def test_equal_models_give_equal_bytes():
    mesh = model(mug(hollow=False), SCALE)
    for wanted in SUFFIXES:
        first, second = (robot_files.convert(mesh, wanted, FormatOptions(), sized=True) for _ in range(2))
        assert first == second
