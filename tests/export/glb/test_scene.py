"""Joined scenes: what they show from their camera, what is in them, and that nothing of an object is lost."""

import numpy as np
import pytest
from scipy.ndimage import binary_erosion
from scipy.spatial.transform import Rotation

from sam3d_bento.camera import Camera
from sam3d_bento.errors import BadRequest, NotFound
from sam3d_bento.export import to_glb
from sam3d_bento.export.glb import container
from sam3d_bento.export.glb.read import read_glb
from sam3d_bento.export.glb.scene import (
    SceneObject,
    find_camera,
    is_scene,
    join_objects,
    object_transforms,
    read_scene,
    take_object,
)
from sam3d_bento.export.pose import Transform, find_ground
from sam3d_bento.export.render import joined, render_seen, shape_of
from sam3d_bento.options import Options, choices
from tests.support import finished, scene_truth
from tests.support.export_meshes import blob, painted

POSE = {"rotation": [0.8, 0.6, 0.0, 0.0], "translation": [1.0, 2.0, 3.0], "scale": [2.0, 2.0, 2.0]}
SHOWN = Camera.assumed(640, 480)
EXTRAS = {"engine": "fake", "frame": "camera"}


@pytest.fixture(scope="module")
def truth():
    return scene_truth.build()


def placed(frame="pytorch3d", **changes):
    return Transform.from_pose({**POSE, **changes, "frame": frame})


def scene_of(*glbs, ground=None):
    objects = [SceneObject(f"object-{i + 1}", glb, placed()) for i, glb in enumerate(glbs)]
    return join_objects(objects, SHOWN, EXTRAS, ground)


def exported(truth, **options):
    """The scene of a truth, from the poses that its parts have in their reports."""
    objects = []
    for name, made in truth.objects.items():
        part = to_glb(made, Options(name=name, texture_size=1024, target_faces=20_000, **options), {})
        objects.append(SceneObject(name, part.glb, Transform.from_pose(part.extras["pose"])))
    vertices = [(each.transform, read_glb(each.glb).positions) for each in objects]
    return objects, lambda frame: join_objects(
        objects, truth.camera, EXTRAS, find_ground(vertices) if frame == "ground" else None
    )


@pytest.mark.slow
@pytest.mark.parametrize(("frame", "compress"), [("camera", False), ("ground", "quantize")])
def test_seen_from_its_camera_a_scene_is_the_photo(truth, compress, frame):
    glb = exported(truth, compress=compress)[1](frame)
    camera, to_scene = find_camera(glb)
    picture = render_seen(joined([shape_of(each.in_scene()) for each in read_scene(glb)]), to_scene, camera, lit=False)
    assert scene_truth.iou(picture[..., 3] > 127, truth.silhouette) > 0.995
    inside = binary_erosion(truth.silhouette, iterations=2)
    assert scene_truth.psnr(picture[..., :3][inside], truth.photo[inside]) > 35


@pytest.mark.slow
@pytest.mark.parametrize("frame", ["camera", "ground"])
def test_the_validator_has_nothing_to_say_about_a_scene(validate, frame):
    for compress, texture_format in ((False, "png"), (True, "webp"), ("quantize", "jpeg")):
        options = finished.OPTIONS.model_copy(update={"compress": compress, "texture_format": texture_format})
        glb = finished.glb(options=options)
        ground = None if frame == "camera" else find_ground([(placed(), read_glb(glb).positions)])
        report = validate(scene_of(glb, finished.glb(), glb, ground=ground))
        unknown = [message for message in report["messages"] if "'EXT_meshopt_compression'" in message["message"]]
        assert report["messages"] == unknown, "it does not know the packing, and says only that"


@pytest.mark.parametrize("compress", choices("compress"))
@pytest.mark.parametrize("texture_format", choices("texture_format"))
def test_an_object_is_taken_out_byte_for_byte_as_it_was_joined(compress, texture_format):
    options = finished.OPTIONS.model_copy(
        update={"compress": compress, "texture_format": texture_format, "name": "a jug"}
    )
    glbs = (finished.glb(options=options), finished.glb(), finished.glb(options=options))
    scene = scene_of(*glbs)
    for (name, _), glb in zip(object_transforms(scene), glbs, strict=True):
        assert take_object(scene, name) == glb


def test_a_scene_has_a_root_with_the_camera_and_a_node_for_each_object():
    document, _ = container.split(scene_of(finished.glb(), finished.glb()))
    root, *below = document["nodes"]
    assert root == {"name": "scene", "children": [1, 2, 3]}, "the identity"
    assert [node["name"] for node in below] == ["camera", "object-1", "object-2"]
    assert below[0].keys() == {"name", "camera"}, "the camera stands at the origin"
    assert [node["mesh"] for node in below[1:]] == [0, 1]
    assert document["cameras"][0]["perspective"] == {
        "yfov": pytest.approx(2 * np.arctan(480 / 2 / SHOWN.fy)),
        "aspectRatio": pytest.approx(640 / 480),
        "znear": pytest.approx(0.05 * 3),
    }
    assert document["cameras"][0]["extras"] == SHOWN.to_json()
    assert document["asset"]["extras"] == EXTRAS


def test_quantized_geometry_has_a_node_below_the_pose():
    quantized = finished.glb(options=finished.OPTIONS.model_copy(update={"compress": "quantize"}))
    document, _ = container.split(scene_of(quantized))
    (single,) = container.split(quantized)[0]["nodes"]
    posed, mesh = document["nodes"][2:]
    assert posed["children"] == [3]
    assert "mesh" not in posed
    assert posed["scale"] == [2, 2, 2]
    assert (mesh["translation"], mesh["scale"]) == (single["translation"], single["scale"])


def test_a_pose_in_pytorch3ds_frame_puts_points_where_its_formula_puts_them():
    points = np.random.default_rng(0).normal(size=(20, 3))
    x_cam = Rotation.from_quat(POSE["rotation"], scalar_first=True).apply(2 * points) + POSE["translation"]
    moved = points @ placed().linear.T + placed().translation
    assert np.allclose(moved, x_cam * [-1, 1, -1])


def test_a_pose_in_gltfs_frame_stays_as_it_is():
    node = placed("camera: x right, y up, looking along -z").to_node()
    assert node == {"rotation": [0.6, 0, 0, 0.8], "translation": [1, 2, 3], "scale": [2, 2, 2]}


def test_on_the_ground_the_objects_stand_upright_at_height_0():
    pitched = Transform.from_pose(
        {
            "rotation": Rotation.from_euler("xy", [25, 70], degrees=True).as_quat(scalar_first=True).tolist(),
            "translation": [0.2, -0.4, -3.0],
            "scale": [0.5, 0.5, 0.5],
            "frame": "camera: x right, y up, looking along -z",
        }
    )
    glb = finished.glb()
    ground = find_ground([(pitched, read_glb(glb).positions)])
    (only,) = read_scene(join_objects([SceneObject("ball", glb, pitched)], SHOWN, EXTRAS, ground))
    assert only.in_scene().positions[:, 1].min() == pytest.approx(0, abs=1e-6)
    assert only.matrix[:3, :3] @ [0, 2, 0] == pytest.approx([0, 1, 0], abs=1e-6), "up is up, in half the size"


@pytest.mark.parametrize("up", [(0, 1, 0), (0, -1, 0), (0, -1, 1e-9), (1, 0, 0), (0.3, -0.9, 0.2)])
def test_whatever_is_up_becomes_up_by_a_turn(up):
    up = np.array(up) / np.linalg.norm(up)
    turn, _ = Rotation.align_vectors(up[None], [[0, 1, 0]])
    transform = Transform(turn.as_quat(scalar_first=True), np.zeros(3), np.ones(3))
    ground = find_ground([(transform, np.float32([[0, -1, 0], [0, 1, 0]]))])
    assert ground.linear @ up == pytest.approx([0, 1, 0], abs=1e-6)
    assert np.linalg.det(ground.linear) == pytest.approx(1)
    assert ground.translation == pytest.approx([0, 1, 0], abs=1e-6)


def test_objects_that_disagree_about_up_leave_the_camera_as_it_was():
    head, feet = (Transform.from_node({"rotation": turn}) for turn in ([0, 0, 0, 1], [1, 0, 0, 0]))
    cube = np.float32([[0, 0, 0], [0, 1, 0]])
    ground = find_ground([(head, cube), (feet, cube)])
    assert ground.linear == pytest.approx(np.eye(3))
    assert ground.translation == pytest.approx([0, 1, 0])


def test_what_is_no_scene_is_refused():
    single, scene = finished.glb(), scene_of(finished.glb())
    assert not is_scene(container.split(single)[0])
    assert len(read_scene(single)) == 1
    with pytest.raises(NotFound, match="no object 'jug'"):
        take_object(scene, "jug")
    with pytest.raises(NotFound, match="no camera 'eye'"):
        find_camera(scene, "eye")
    with pytest.raises(BadRequest):
        take_object(single, "object")
    with pytest.raises(BadRequest):
        find_camera(single)
    with pytest.raises(BadRequest):
        join_objects([SceneObject("twice", scene, placed())], SHOWN, EXTRAS)
    document, data = container.split(scene)
    document["nodes"][2]["children"] = [99]
    del document["nodes"][2]["mesh"]
    with pytest.raises(BadRequest):
        read_scene(container.join(document, data))


@pytest.mark.slow
@pytest.mark.parametrize(("compress", "texture_format"), [(False, "png"), (True, "webp"), ("quantize", "jpeg")])
def test_an_object_keeps_its_normal_map_beside_one_that_has_none(compress, texture_format):
    how = {"texture_size": 512, "target_faces": 1500, "compress": compress, "texture_format": texture_format}
    glbs = [to_glb(painted(blob(90)), Options(normal_map=wanted, **how), {}).glb for wanted in (False, True, True)]
    scene = scene_of(*glbs)
    assert [take_object(scene, f"object-{i + 1}") for i in range(3)] == glbs
    assert [each.mesh.normal_map is not None for each in read_scene(scene)] == [False, True, True]
