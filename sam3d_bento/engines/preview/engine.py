"""Run the preview engine: fit a shape class to the photo's mask, and build a coloured mesh that stands upright."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from sam3d_bento.arrays import Float32
from sam3d_bento.camera import GLTF_FRAME, CameraSource
from sam3d_bento.camera import Camera as PhotoCamera
from sam3d_bento.engines.preview import shapes
from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import Canvas, cut_out
from sam3d_bento.engines.preview.shapes.posed_mesh import PosedMesh
from sam3d_bento.engines.preview.true_scale import measure_scale
from sam3d_bento.options import Options
from sam3d_bento.progress import OnProgress, part, silent
from sam3d_bento.reconstruction import (
    UNKNOWN_VIEW,
    ExactSurface,
    Mask,
    MeasuredScale,
    Photo,
    Pose,
    Reconstruction,
    View,
)
from sam3d_bento.warning_codes import WarningCode


class PreviewEngine:
    """Engine that needs no weights and no GPU. Equal inputs give equal arrays."""

    name = "preview"
    hands_over = False  # it computes on the processors, which an export beside it would take away
    version = "preview-silhouette/3"
    device = "cpu"
    gpu_peak_bytes = None
    retries = 0
    shares_scale = False  # each object is fitted at a distance of about 1

    @property
    def facts(self) -> dict[str, Any]:
        """Facts for the report; see `Engine.facts`."""
        summary = "Preview engine: a simple shape is fitted to the silhouette; thickness and back are guessed."
        ignores = ["seed", "quality", "colour_source"]  # without splats, all colours are the mesh's
        return {"summary": summary, "guesses": True, "seeded": False, "splats": False, "ignores": ignores}

    def load(self) -> None:
        """Run once over a small disc, because libraries load parts of themselves on first use.

        The shape is the simplest one: the fits of the others compute for a third of a second and load nothing more.
        """
        row, column = np.ogrid[-16:16, -16:16]
        photo = Photo(rgb=np.full((32, 32, 3), 128, np.uint8), alpha=None, original_size=(32, 32))
        disc = row**2 + column**2 < 100
        mask = Mask(pixels=disc, source="upload", coverage=float(disc.mean()))
        self.reconstruct(photo, mask, Options(shape="puff"), 0, silent)

    def look(self, photo: Photo, view: View) -> View:
        """Return the view with a camera; see `Engine.look`.

        Without one, the shape classes would fit a focal length each, and no camera could show all objects.
        """
        if view.camera is not None:
            return view
        height, width = photo.rgb.shape[:2]
        return replace(view, camera=PhotoCamera.assumed(width, height))

    def reconstruct(
        self,
        photo: Photo,
        mask: Mask,
        options: Options,
        seed: int,
        on_progress: OnProgress,
        *,
        splats: bool = False,
        view: View = UNKNOWN_VIEW,
    ) -> Reconstruction:
        """Reconstruct the object; see `Engine.reconstruct`.

        `seed` is not used, because nothing here is random; there are no splats. `details` has the shape class, the
        figures of the fits, the share of the surface that faces the camera, the field of view in degrees over the
        photo's longer side and where it comes from, and the cells (columns, rows) of the grid. `pose` moves the object
        back in front of the camera. With points in `view`, height and width are true, `measured` says how large a unit
        is, and `pose` is in metres; the thickness stays guessed. With `view.pixel_metres`, all of these are estimated.
        Raises NoObject for an empty mask.
        """
        on_progress(0.0)
        if view.camera is not None:
            photo = replace(photo, focal_length=(view.camera.fx + view.camera.fy) / 2)
        source: CameraSource
        source = "assumed" if photo.focal_length is None else "exif" if view.camera is None else view.camera.source
        canvas, camera = cut_out(photo, mask), Camera.from_photo(photo)
        on_progress(0.1)
        mesh, details = shapes.fit_shape(
            canvas,
            camera,
            options.shape,
            part(on_progress, 0.1, 0.9),
            calibrated=photo.focal_length is not None,
        )
        on_progress(0.9)
        if source == "assumed" and mesh.camera != camera:
            source = "fitted"
        warnings = [WarningCode.SHAPE_GUESSED]
        if options.quality != "standard":
            warnings.append(WarningCode.QUALITY_IGNORED)
        if options.seed is not None:
            warnings.append(WarningCode.SEED_IGNORED)
        mesh, found = _scaled(mesh, canvas, mask, view)
        if found is not None:
            basis = "measured" if found.source == "depth" else "estimated"
            details["size"] = {basis: ["height", "width"], "guessed": ["thickness"]}
        vertices, exact, pose = _fit_unit_cube(mesh)
        result = Reconstruction(
            vertices=vertices,
            faces=mesh.faces,
            colours=mesh.colours,
            pose=pose,
            warnings=tuple(warnings),
            details={
                **details,
                "observed_fraction": round(mesh.measure_observed_fraction(), 3),
                "fov_degrees": round(mesh.camera.field_of_view, 3),  # a tenth would be half a pixel at the rim
                "fov_source": source,
                "grid": list(canvas.distance.shape[::-1]),
            },
            measured=None if found is None else replace(found, metres_per_unit=float(pose.scale[0])),
            camera=_describe_camera(mesh, source),
            exact=exact,
        )
        on_progress(1.0)
        return result


def _scaled(mesh: PosedMesh, canvas: Canvas, mask: Mask, view: View) -> tuple[PosedMesh, MeasuredScale | None]:
    """Return the mesh in metres and the metres per unit of `mesh`, by the depth of the pixels; without any, no scale.

    The error of an estimate is not known.
    """
    if view.points is not None:
        depth = view.points[..., 2]
    elif view.pixel_metres is not None:
        # The depth at which this mesh's camera sees pixels of that size: width and height are right in any camera.
        depth = view.pixel_metres * np.float32(mesh.camera.focal_length)
    else:
        return mesh, None
    found = measure_scale(mesh, canvas, mask.pixels, depth)
    if found is None:
        return mesh, None
    scale, error = found
    larger = mesh.scale(scale)
    if view.points is None:
        return larger, MeasuredScale(scale, "estimated")
    return larger, MeasuredScale(scale, "depth", round(error, 4))


def _describe_camera(mesh: PosedMesh, source: CameraSource) -> PhotoCamera:
    """Return the camera through which the mesh looks like the photo."""
    camera = mesh.camera
    focal, width, height = camera.focal_length, camera.width, camera.height
    return PhotoCamera(focal, focal, width / 2, height / 2, width, height, source)


def _fit_unit_cube(mesh: PosedMesh) -> tuple[Float32, ExactSurface | None, Pose]:
    """Scale the vertices (V, 3) and the exact surface upright into the unit cube at the origin.

    Returns also the pose that undoes it.
    """
    upright = mesh.vertices @ mesh.axes
    low, high = upright.min(0), upright.max(0)
    middle, size = (low + high) / 2, float((high - low).max())
    x, y, z, w = Rotation.from_matrix(mesh.axes).as_quat(canonical=True)
    pose = Pose(
        rotation=np.array([w, x, y, z], np.float32),
        translation=(mesh.axes @ middle).astype(np.float32),
        scale=np.full(3, size, np.float32),
        frame=GLTF_FRAME,
    )
    exact = None if mesh.exact is None else mesh.exact.place(mesh.axes, middle, size)
    return ((upright - middle) / size).astype(np.float32), exact, pose
