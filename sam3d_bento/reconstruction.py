"""Data types on the way from a photo to a GLB. Frames, units and dtypes are defined here and nowhere else.

bytes ─► Photo ─► Mask ─► Reconstruction ─► Asset
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import IO, Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from sam3d_bento.arrays import Bool, Float32, Int32, UInt8
from sam3d_bento.camera import CAMERA_SOURCES, Camera
from sam3d_bento.errors import BadRequest
from sam3d_bento.warning_codes import WarningCode

MaskSource = Literal["alpha", "upload", "rembg", "prompt"]
ScaleSource = Literal["depth", "estimated"]

# The zeroth spherical harmonic, 1 / (2 √π): a gaussian has the colour 0.5 + SH_C0 · f_dc from every side.
SH_C0 = 0.28209479177387814


@dataclass(frozen=True)
class Photo:
    """Decoded picture, upright (EXIF orientation applied), with its background unchanged.

    rgb: (H, W, 3) uint8 sRGB. alpha: (H, W) uint8, or None for an opaque format.
    original_size: upright (width, height) in pixels before any reduction to working size.
    focal_length: in pixels of `rgb`, or None where the file does not contain it.
    """

    rgb: UInt8
    alpha: UInt8 | None
    original_size: tuple[int, int]
    warnings: tuple[WarningCode, ...] = ()
    focal_length: float | None = None


@dataclass(frozen=True)
class View:
    """What is known about the space before the camera.

    camera: in pixels of the photo's `rgb`; None if it is not known. points: (H, W, 3) float32, the point that each
    pixel shows, in PyTorch3D's camera frame (x left, y up, z forward), NaN where there is none; None for a photo
    without depth. in_metres: whether that is the points' unit; a depth model has none. pixel_metres: (H, W) float32,
    the metres that each pixel spans where it meets a surface (depth / focal length), as a network estimates it, NaN
    where there is none; None if nothing was estimated.
    """

    camera: Camera | None = None
    points: Float32 | None = None
    in_metres: bool = True
    pixel_metres: Float32 | None = None


# View of a photo of which nothing is known.
UNKNOWN_VIEW = View()


@dataclass(frozen=True)
class Candidate:
    """Mask that a prompt may mean, in figures.

    box: left, top, right, bottom in pixels of the photo's `rgb`. coverage: share of its pixels, 0..1. score: how sure
    the model is, 0..1; comparable only among candidates of one prompt and model.
    """

    box: tuple[int, int, int, int]
    coverage: float
    score: float


@dataclass(frozen=True)
class PromptedChoice:
    """How a prompt was understood. candidates: the smallest first. chosen: index of the mask among them."""

    model: str
    candidates: tuple[Candidate, ...]
    chosen: int


@dataclass(frozen=True)
class Mask:
    """Pixels of the object. pixels: (H, W) bool, the size of the photo. coverage: share of True, 0..1.

    others: (H, W) bool, objects that were found as well but not chosen; None where no search was made.
    soft: (H, W) uint8 that is at least 128 exactly at `pixels`, from which finer edges can be interpolated; or None.
    choice: None unless the source is a prompt.
    """

    pixels: Bool
    source: MaskSource
    coverage: float
    warnings: tuple[WarningCode, ...] = ()
    others: Bool | None = None
    soft: UInt8 | None = None
    choice: PromptedChoice | None = None


@dataclass(frozen=True)
class Splats:
    """Gaussians in the frame of the vertices.

    positions (G, 3) float32; colours (G, 3) uint8 sRGB; opacity (G,) float32 0..1;
    scale (G, 3) float32, standard deviations in scene units; rotation (G, 4) float32 unit quaternions wxyz.
    """

    positions: Float32
    colours: UInt8
    opacity: Float32
    scale: Float32
    rotation: Float32


@dataclass(frozen=True)
class Pose:
    """Pose of the object before the camera.

    rotation (4,) wxyz, translation (3,), scale (3,), all float32. frame: the name of the camera frame.
    """

    rotation: Float32
    translation: Float32
    scale: Float32
    frame: str


@dataclass(frozen=True)
class MeasuredScale:
    """Metres per unit of the vertices. relative_error: one standard deviation, or None where it is not known."""

    metres_per_unit: float
    source: ScaleSource
    relative_error: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class ExactSurface:
    """Surface that the engine knows by a formula, in few faces; it takes the place of a simplified mesh.

    vertices (V, 3) float32, split where the surface has an edge; those at one place are exactly equal. faces (F, 3)
    int32, counter-clockwise from outside. normals (V, 3) float32, of the formula, of length 1.
    """

    vertices: Float32
    faces: Int32
    normals: Float32


@dataclass(frozen=True)
class Reconstruction:
    """Dense coloured mesh: y up, right-handed, inside the unit cube centred at the origin.

    vertices (V, 3) float32. faces (F, 3) int32, counter-clockwise seen from outside. colours (V, 3) uint8 sRGB or None.
    Preview engine: the side that the photo shows faces +z. SAM 3D engine: the network's canonical object frame turned
    y-up, with the size and origin of the network, so that `pose` still fits.
    """

    vertices: Float32
    faces: Int32
    colours: UInt8 | None = None
    splats: Splats | None = None
    pose: Pose | None = None
    warnings: tuple[WarningCode, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)  # JSON values: how the engine found this shape
    measured: MeasuredScale | None = None
    camera: Camera | None = None  # an engine gives that of `Photo.rgb`, the pipeline that of the upright photo
    exact: ExactSurface | None = None  # the same surface, at the same place

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the fields as named arrays: vertices, faces, colours, splat_*, pose_*, measured_*, camera_*, exact_*.

        Warnings and details are not among them.
        """
        arrays: dict[str, npt.NDArray[Any]] = {"vertices": self.vertices, "faces": self.faces}
        if self.colours is not None:
            arrays["colours"] = self.colours
        parts = {"splat": self.splats, "pose": self.pose, "measured": self.measured}
        for prefix, part in [*parts.items(), ("camera", self.camera), ("exact", self.exact)]:
            if part is not None:
                values = {f"{prefix}_{f.name}": getattr(part, f.name) for f in fields(part)}
                arrays |= {name: np.asarray(value) for name, value in values.items() if value is not None}
        return arrays

    def save(self, path: Path) -> None:
        """Write the arrays to a file, as `write` does."""
        with path.open("wb") as file:  # a file object, because numpy appends ".npz" to a name
            self.write(file)

    def write(self, file: IO[bytes]) -> None:
        """Write the arrays of `to_arrays` as `.npz`."""
        # Not compressed: compression takes seconds (7 for 1.2 million faces) and saves only a quarter of the bytes.
        np.savez(file, **self.to_arrays())  # type: ignore[arg-type]  # numpy's stub types **kwds as bool

    @classmethod
    def load(cls, path: Path) -> Reconstruction:
        """Read a file that `save` wrote.

        Raises BadRequest for any other file, and for arrays that do not fit together.
        """
        return cls.read(path, path.name)

    @classmethod
    def read(cls, file: Path | IO[bytes], name: str) -> Reconstruction:
        """Read what `write` wrote. name: of the file, for errors, which are those of `load`."""
        try:
            with np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as exc:
            raise BadRequest(f"{name} is not a readable .npz reconstruction.") from exc
        return cls.from_arrays(arrays)

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Reconstruction:
        """Build a reconstruction from named arrays.

        Raises BadRequest for a missing array, a wrong shape or dtype, or an index without a vertex.
        """
        vertices = _array(arrays, "vertices", np.float32, (-1, 3))
        faces = _array(arrays, "faces", np.int32, (-1, 3))
        if len(faces) and (faces.min() < 0 or faces.max() >= len(vertices)):
            raise BadRequest("'faces' names vertices that do not exist.")
        count = len(vertices)
        colours = _array(arrays, "colours", np.uint8, (count, 3)) if "colours" in arrays else None
        splats = pose = None
        if "splat_positions" in arrays:
            positions = _array(arrays, "splat_positions", np.float32, (-1, 3))
            n = len(positions)
            splats = Splats(
                positions=positions,
                colours=_array(arrays, "splat_colours", np.uint8, (n, 3)),
                opacity=_array(arrays, "splat_opacity", np.float32, (n,)),
                scale=_array(arrays, "splat_scale", np.float32, (n, 3)),
                rotation=_array(arrays, "splat_rotation", np.float32, (n, 4)),
            )
        if "pose_rotation" in arrays:
            pose = Pose(
                rotation=_array(arrays, "pose_rotation", np.float32, (4,)),
                translation=_array(arrays, "pose_translation", np.float32, (3,)),
                scale=_array(arrays, "pose_scale", np.float32, (3,)),
                frame=str(arrays.get("pose_frame", "")),
            )
        return cls(
            vertices,
            faces,
            colours,
            splats,
            pose,
            measured=_measured(arrays),
            camera=_camera(arrays),
            exact=_exact(arrays),
        )


@dataclass(frozen=True)
class NamedReconstruction:
    """Reconstruction of one object of a scene. The files of all objects of a scene are in one archive."""

    name: str
    reconstruction: Reconstruction

    def save(self, path: Path) -> None:
        """Add the reconstruction's file to the archive, which is created for the first one."""
        own = io.BytesIO()
        self.reconstruction.write(own)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(f"{self.name}.npz", own.getbuffer())

    @classmethod
    def load(cls, path: Path, name: str) -> Reconstruction:
        """Read one object's reconstruction. Raises BadRequest as `Reconstruction.load`, and for an unknown name."""
        try:
            with zipfile.ZipFile(path) as archive:
                content = archive.read(f"{name}.npz")
        except (OSError, KeyError, zipfile.BadZipFile) as exc:
            raise BadRequest(f"{path.name} has no reconstruction of this object.") from exc
        return Reconstruction.read(io.BytesIO(content), path.name)


def _exact(arrays: dict[str, npt.NDArray[Any]]) -> ExactSurface | None:
    """Return the exact surface in named arrays, or None without one. Raises BadRequest for one that is none."""
    if "exact_vertices" not in arrays:
        return None
    vertices = _array(arrays, "exact_vertices", np.float32, (-1, 3))
    faces = _array(arrays, "exact_faces", np.int32, (-1, 3))
    normals = _array(arrays, "exact_normals", np.float32, (len(vertices), 3))
    if not len(faces) or faces.min() < 0 or faces.max() >= len(vertices):
        raise BadRequest("'exact_faces' is empty, or names vertices that do not exist.")
    if not (np.isfinite(vertices).all() and np.isfinite(normals).all()):
        raise BadRequest("'exact_vertices' and 'exact_normals' must be finite.")
    return ExactSurface(vertices, faces, normals)


def _measured(arrays: dict[str, npt.NDArray[Any]]) -> MeasuredScale | None:
    """Return the measured scale in named arrays, or None without one. Raises BadRequest for one that is none."""
    if "measured_metres_per_unit" not in arrays:
        return None
    metres = float(_array(arrays, "measured_metres_per_unit", np.float64, ()))
    source = str(arrays.get("measured_source", ""))
    if not (np.isfinite(metres) and metres > 0) or source not in get_args(ScaleSource):
        raise BadRequest("The reconstruction's measured scale is not a length with its source.")
    error = None
    if "measured_relative_error" in arrays:
        error = float(_array(arrays, "measured_relative_error", np.float64, ()))
    return MeasuredScale(metres, cast(ScaleSource, source), error)


def _camera(arrays: dict[str, npt.NDArray[Any]]) -> Camera | None:
    """Return the camera in named arrays, or None without one. Raises BadRequest for one that is none."""
    if "camera_fx" not in arrays:
        return None
    fx, fy, cx, cy = (float(_array(arrays, f"camera_{name}", np.float64, ())) for name in ("fx", "fy", "cx", "cy"))
    width, height = (int(_array(arrays, f"camera_{name}", np.int64, ())) for name in ("width", "height"))
    source = str(arrays.get("camera_source", ""))
    if not np.isfinite((fx, fy, cx, cy)).all() or min(fx, fy, width, height) <= 0 or source not in CAMERA_SOURCES:
        raise BadRequest("The reconstruction's camera is none, or its source is not known.")
    return Camera(fx, fy, cx, cy, width, height, source)


def _array(arrays: dict[str, npt.NDArray[Any]], name: str, dtype: type, shape: tuple[int, ...]) -> Any:
    """Return the named array as `dtype`, after a check of its shape (-1: any length)."""
    if name not in arrays:
        raise BadRequest(f"The reconstruction has no array '{name}'.")
    array = arrays[name]
    if array.ndim != len(shape) or any(want not in (-1, got) for want, got in zip(shape, array.shape, strict=True)):
        raise BadRequest(f"The array '{name}' has shape {array.shape}; expected {shape} (-1: any length).")
    if not np.can_cast(array.dtype, dtype, casting="same_kind") and not (
        np.issubdtype(array.dtype, np.integer) and np.issubdtype(dtype, np.integer)
    ):
        raise BadRequest(f"The array '{name}' has dtype {array.dtype}; expected {np.dtype(dtype)}.")
    return np.asarray(array, dtype=dtype, order="C")  # np.ascontiguousarray would make a number an array of one
