"""Scenes with Meta's real code: depth once, objects as single runs give them, and poses where upstream puts points."""

import numpy as np
import pytest

from sam3d_bento.export.glb.read import read_glb
from sam3d_bento.export.glb.scene import object_transforms, read_scene, take_object
from sam3d_bento.options import Options
from sam3d_bento.pipeline import Pipeline
from sam3d_bento.settings import Settings
from sam3d_bento.submission import SceneInput, Submission
from tests.support.scene_files import png

pytestmark = pytest.mark.usefixtures("upstream")

OPTIONS = Options(seed=3, quality="draft", texture_size=512, target_faces=2000)


@pytest.fixture(scope="module")
def masks():
    row, column = np.ogrid[-48:48, -48:48]
    return [(row + 18) ** 2 + (column + 14) ** 2 < 20**2, (row - 18) ** 2 + (column - 16) ** 2 < 22**2]


@pytest.fixture(scope="module")
def scene(engine, photo, masks):
    """The scene, how often the depth model ran for it, and what upstream returned for each object."""
    ran, outputs = [], []
    pipeline = engine._inference.pipeline
    hook = pipeline.depth_model.model.head.register_forward_pre_hook(lambda *_: ran.append(1))
    run = pipeline.run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "run", lambda *args, **named: outputs.append(run(*args, **named)) or outputs[-1])
        given = Submission(png(photo[0]), options=OPTIONS, scene=SceneInput(tuple(map(png, masks))))
        made = Pipeline(engine, None, Settings()).run(given, lambda *told: None)
    hook.remove()
    return made, len(ran), outputs


def test_the_depth_model_runs_once_for_all_objects(scene):
    assert scene[1] == 1
    assert [each["problem"] for each in scene[0].report["objects"]] == [None, None]


def test_an_object_of_a_scene_is_the_single_run_byte_for_byte(engine, photo, masks, scene):
    for index, mask in enumerate(masks):
        name = f"object-{index + 1}"
        given = Submission(png(photo[0]), png(mask), OPTIONS.model_copy(update={"name": name}))
        single = Pipeline(engine, None, Settings()).run(given, lambda *told: None)
        assert take_object(scene[0].glb, name) == single.glb


def test_the_node_puts_vertices_where_upstreams_own_transform_puts_them(scene):
    from sam3d_objects.data.dataset.tdfy.transforms_3d import compose_transform

    for (name, transform), output in zip(object_transforms(scene[0].glb), scene[2], strict=True):
        ours = read_glb(take_object(scene[0].glb, name)).positions
        z_up = np.stack([ours[:, 0], -ours[:, 2], ours[:, 1]], 1)
        expected = _upstreams(compose_transform, z_up, output)
        moved = ours @ transform.linear.T + transform.translation
        assert np.allclose(moved, expected * [-1, 1, -1], atol=1e-4 * np.abs(expected).max())


def _upstreams(compose_transform, points, output):
    """Points (N, 3) of upstream's object frame in its camera frame, by the code with which it makes scenes."""
    import torch
    from pytorch3d.transforms import quaternion_to_matrix

    transform = compose_transform(
        scale=output["scale"].float(),
        rotation=quaternion_to_matrix(output["rotation"].float()),
        translation=output["translation"].float(),
    )
    return transform.transform_points(torch.from_numpy(points).float()[None])[0].numpy()


def test_the_objects_of_the_file_are_those_of_the_report(scene):
    read = read_scene(scene[0].glb)
    assert [each.mesh.name for each in read] == [each["name"] for each in scene[0].report["objects"]]
