"""Assemble the finished objects of a photo into a scene: place each where the photo shows it, and describe it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sam3d_bento.arrays import Bool, Float32, Float64
from sam3d_bento.camera import GLTF_FRAME, Camera
from sam3d_bento.export import Export, size
from sam3d_bento.export.glb.read import TexturedMesh, read_extras, read_glb
from sam3d_bento.export.glb.scene import SceneObject, find_camera, join_objects, object_transforms, take_object
from sam3d_bento.export.ground_plane import StandingObject, place_on_plane
from sam3d_bento.export.pose import Transform, apply, find_ground, guess_transform
from sam3d_bento.export.pose_refinement import refine_pose
from sam3d_bento.export.silhouette import silhouette_iou
from sam3d_bento.options import USED_VALUES, Options
from sam3d_bento.warning_codes import WarningCode

# Figures of a scene that are the sums of its objects'.
SUMMED = ("faces", "vertices", "holes_filled", "holes_kept")
# Share of a side by which the principal point may miss the middle before it is said.
OFF_CENTRE_SHARE = 0.005


@dataclass(frozen=True)
class ScenePart:
    """Finished object of a scene. export: as of a single run. mask (H, W): of the photo at its working size."""

    name: str
    export: Export
    mask: Bool


@dataclass(frozen=True)
class _Placed:
    """Object with its mesh in its own frame, and its transform in glTF's camera frame.

    source: of the transform. iou: of its silhouette. network_iou: that of the network's pose, if a better one was
    looked for.
    """

    name: str
    export: Export
    mesh: TexturedMesh
    transform: Transform
    source: str
    iou: float
    network_iou: float | None = None


def assemble(
    parts: Sequence[ScenePart],
    camera: Camera,
    options: Options,
    extras: Mapping[str, Any],
    *,
    share_a_scale: bool,
    points: Float32 | None = None,
    on_step: Callable[[], None] = lambda: None,
) -> Export:
    """Return the scene of at least one part, with what is known about each in `extras["objects"]`.

    camera: in pixels of the photo as it was sent. extras: JSON values for `asset.extras`, whose `objects` has an entry
    for each object, by name; those of the parts are completed. share_a_scale: whether the poses of the parts are in one
    unit even if their sizes were not measured; otherwise the distances are guessed (`export.ground_plane`). points
    (H, W, 3): what the photo's pixels show, in PyTorch3D's camera frame and in the unit of the poses, NaN where it is
    not known; without them no pose is refined. on_step: called between objects, and may raise to end the run.
    """
    warnings = list(extras.get("warnings", []))
    placed, is_guessed = _place(parts, camera, share_a_scale=share_a_scale)
    if options.pose == "refined" and points is not None:
        count = np.sum([part.mask for part in parts], axis=0)
        placed = [
            _refined(each, part.mask, count > part.mask, points, camera, on_step)
            for each, part in zip(placed, parts, strict=True)
        ]
    if is_guessed:
        warnings.append(str(WarningCode.PLACEMENT_GUESSED))
    if _is_off_centre(camera):
        warnings.append(str(WarningCode.CAMERA_OFF_CENTRE))
    return _join(placed, camera, options, {**extras, "warnings": list(dict.fromkeys(warnings))})


def assemble_anew(stored: bytes, options: Options, change: Callable[[str, bytes], bytes]) -> Export:
    """Return a finished scene with other files of its objects, which stay where they are.

    change: returns the new file of an object, from its name and its file so far. options: those of the new files.
    """
    extras = read_extras(stored)
    known = {entry["name"]: entry for entry in extras["objects"]}
    camera, _ = find_camera(stored)
    placed = []
    for name, transform in object_transforms(stored):
        before = take_object(stored, name)
        after = change(name, before)
        made = Export(after, read_extras(after))
        # A pose that fits the vertices of the file fits no longer if these are in another unit.
        factor = _factor(read_extras(before)) / _factor(made.extras)
        transform = replace(transform, scale=transform.scale * factor)
        before_entry = known[name]
        source, ious = before_entry["pose_source"], (before_entry["silhouette_iou"], before_entry["network_iou"])
        placed.append(_Placed(name, made, read_glb(after), transform, source, *ious))
    used = {"options": options.model_dump(exclude=set(USED_VALUES))}
    return _join(placed, camera, options, {**extras, **used})


def _factor(extras: Mapping[str, Any]) -> float:
    return size.read_description(dict(extras))[0].factor


def _join(placed: Sequence[_Placed], camera: Camera, options: Options, extras: Mapping[str, Any]) -> Export:
    """Return the scene of placed parts. extras: as of `assemble`."""
    ground = None
    if options.frame == "ground":
        ground = find_ground([(each.transform, each.mesh.positions) for each in placed])
    by_name = {each.name: each for each in placed}
    objects = [
        {**entry, **_describe(by_name[entry["name"]])} if entry["name"] in by_name else entry
        for entry in extras["objects"]
    ]
    corners = np.concatenate([_box(each, ground) for each in placed])
    sources = [(each.export.extras["scale"]["measured"] or {}).get("source", "unit") for each in placed]
    described = {
        **extras,
        "name": options.result_name,
        **{name: sum(each.export.extras[name] for each in placed) for name in SUMMED},
        "watertight": all(each.export.extras["watertight"] for each in placed),
        "colour_source": _common([each.export.extras["colour_source"] for each in placed], "mixed"),
        "texture_size": options.texture_size,
        "frame": options.frame,
        "camera": camera.to_json(),
        "scale": {
            "source": _common(sources, "unit"),
            "metres": size.rounded(np.ptp(corners, axis=0)),
            "relative_error": None,
            "factor": 1.0,
            "shift": 0.0,
            "measured": None,
        },
        "objects": objects,
    }
    nodes = [SceneObject(each.name, each.export.glb, each.transform) for each in placed]
    return Export(join_objects(nodes, camera, described, ground), described)


def _place(parts: Sequence[ScenePart], camera: Camera, *, share_a_scale: bool) -> tuple[list[_Placed], bool]:
    """Return the parts with their transforms, and whether any of these is guessed."""
    meshes = [read_glb(part.export.glb) for part in parts]
    poses = [part.export.extras.get("pose") for part in parts]
    transforms = [None if pose is None else Transform.from_pose(pose) for pose in poses]
    posed = [index for index, transform in enumerate(transforms) if transform is not None]

    def iou_of(index: int, transform: Transform) -> float:
        mask = parts[index].mask
        points = apply(transform.matrix, meshes[index].positions)
        return silhouette_iou(points, meshes[index].faces, mask, camera.resized(mask.shape[1], mask.shape[0]))

    ious = {index: iou_of(index, transform) for index in posed if (transform := transforms[index]) is not None}
    known = [index for index in posed if share_a_scale or parts[index].export.extras["scale"]["measured"]]
    if posed and not known:
        standing = [
            StandingObject(transform, meshes[index].positions, parts[index].mask, ious[index])
            for index in posed
            if (transform := transforms[index]) is not None
        ]
        height, width = parts[0].mask.shape
        for index, transform in zip(posed, place_on_plane(standing, camera.resized(width, height)), strict=True):
            transforms[index] = transform
    distances = [-transform.translation[2] for index in known or posed if (transform := transforms[index]) is not None]
    usual = float(np.median(distances)) if distances else 1.0
    for index in set(posed) - set(known) if known else ():
        if (transform := transforms[index]) is not None:
            factor = usual / max(-float(transform.translation[2]), 1e-12)
            transforms[index] = transform.enlarged(factor)
    placed = []
    for index, part in enumerate(parts):
        found = transforms[index]
        if found is None:
            height, width = part.mask.shape
            found = guess_transform(meshes[index].positions, part.mask, camera.resized(width, height), usual)
            ious[index] = iou_of(index, found)
        source = "network" if index in known else "guessed"
        placed.append(_Placed(part.name, part.export, meshes[index], found, source, ious[index]))
    return placed, len(known) < len(parts)


def _common(values: Sequence[str], otherwise: str) -> str:
    """Return the only value of a sequence, or `otherwise` if there are several."""
    return values[0] if len(set(values)) == 1 else otherwise


def _refined(
    placed: _Placed, mask: Bool, covered: Bool, points: Float32, camera: Camera, on_step: Callable[[], None]
) -> _Placed:
    """Return the object with a refined pose, if its pose is the network's and a better one is found."""
    on_step()
    if placed.source != "network":
        return placed
    height, width = mask.shape
    small, mesh = camera.resized(width, height), placed.mesh
    found = refine_pose(mesh.positions, mesh.faces, placed.transform, mask, points, small, covered)
    if found is None or not found.accepted:
        return replace(placed, network_iou=placed.iou)
    iou = silhouette_iou(apply(found.transform.matrix, mesh.positions), mesh.faces, mask, small)
    return replace(placed, transform=found.transform, source="refined", iou=iou, network_iou=placed.iou)


def _describe(placed: _Placed) -> dict[str, Any]:
    """Return what a scene's report says about an object, beside what was known before its export."""
    extras, transform = placed.export.extras, placed.transform
    extents = np.ptp(placed.mesh.positions.astype(np.float64), axis=0) * transform.scale
    return {
        "faces": extras["faces"],
        "deviation": extras.get("deviation"),
        "normal_map": extras.get("normal_map"),
        "pose": {
            "rotation": size.rounded(transform.rotation),
            "translation": size.rounded(transform.translation),
            "scale": size.rounded(transform.scale),
            "frame": GLTF_FRAME,
        },
        "pose_source": placed.source,
        "size": size.rounded(extents),
        "silhouette_iou": round(placed.iou, 4),
        "network_iou": None if placed.network_iou is None else round(placed.network_iou, 4),
        "warnings": extras.get("warnings", []),
    }


def _box(placed: _Placed, ground: Transform | None) -> Float64:
    """Return the two extreme corners (2, 3) of an object in the scene."""
    points = apply(placed.transform.matrix, placed.mesh.positions)
    if ground is not None:
        points = apply(ground.matrix, points)
    return np.stack([points.min(0), points.max(0)])


def _is_off_centre(camera: Camera) -> bool:
    """Return whether the principal point misses the middle of the photo by more than OFF_CENTRE_SHARE of a side."""
    return (
        abs(camera.cx - camera.width / 2) > OFF_CENTRE_SHARE * camera.width
        or abs(camera.cy - camera.height / 2) > OFF_CENTRE_SHARE * camera.height
    )
