import numpy as np
import numpy.typing as npt
import trimesh

from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import Canvas
from sam3d_bento.engines.preview.painting.visibility import classify_sides, find_visible_vertices

CANVAS = Canvas(np.zeros((200, 200, 3), np.float32), np.ones((200, 200), np.float32), 1.0, (150.0, 150.0))


def ball(radius: float, distance: float) -> trimesh.Trimesh:
    mesh = trimesh.creation.icosphere(subdivisions=6, radius=radius)
    mesh.apply_translation([0, 0, -distance])
    return mesh


def angles_to_the_camera(mesh: trimesh.Trimesh) -> npt.NDArray[np.float64]:
    """Return the cosines (V,) of the angles between line of sight and normal; positive towards the camera."""
    to_camera = -mesh.vertices / np.linalg.norm(mesh.vertices, axis=1, keepdims=True)
    return np.asarray(np.einsum("vk,vk->v", mesh.vertex_normals, to_camera))


def test_the_contour_lies_on_both_sides(camera: Camera) -> None:
    mesh = ball(0.4, 4)
    front, back = classify_sides(mesh.vertices, mesh.faces.astype(np.int32))
    cosine = angles_to_the_camera(mesh)
    assert front[cosine > 0.05].all()
    assert back[cosine < -0.05].all()
    assert (np.abs(cosine[front & back]) < 0.05).all()
    assert (front | back).all()


def test_the_side_of_a_ball_towards_the_camera_is_visible(camera: Camera) -> None:
    mesh = ball(0.4, 4)
    visible = find_visible_vertices(mesh.vertices, mesh.faces.astype(np.int32), CANVAS, camera)
    cosine = angles_to_the_camera(mesh)
    assert visible[cosine > 0.2].all()
    assert not visible[cosine < -0.05].any()


def test_an_object_behind_another_is_hidden(camera: Camera) -> None:
    near, far = ball(0.25, 3), ball(0.4, 5)
    both = trimesh.util.concatenate([near, far])
    visible = find_visible_vertices(both.vertices, both.faces.astype(np.int32), CANVAS, camera)
    rest = visible[len(near.vertices) :]
    off = np.hypot(*(camera.project(far.vertices) - 250).T)
    reach = float(np.hypot(*(camera.project(near.vertices) - 250).T).max())
    covered = off.max() <= reach
    assert covered
    assert not rest[off < reach - 3].any()


def test_an_object_beside_another_is_visible(camera: Camera) -> None:
    near, far = ball(0.1, 3), ball(0.4, 5)
    both = trimesh.util.concatenate([near, far])
    visible = find_visible_vertices(both.vertices, both.faces.astype(np.int32), CANVAS, camera)
    rest, cosine = visible[len(near.vertices) :], angles_to_the_camera(far)
    off = np.hypot(*(camera.project(far.vertices) - 250).T)
    reach = float(np.hypot(*(camera.project(near.vertices) - 250).T).max())
    assert rest[(off > reach + 3) & (cosine > 0.2)].all()
    assert not rest[off < reach - 3].any()
