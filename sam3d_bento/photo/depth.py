"""Read a depth map or a point map that was taken together with a photo.

The files are foreign bytes. Each array is bounded by its header before it is allocated, nothing is unpickled, and a
zipped array is read no further than its header says.
"""

from __future__ import annotations

import io
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from math import prod
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from sam3d_bento.arrays import Bool, Float32
from sam3d_bento.camera import TO_PYTORCH3D, Camera, fit_camera, to_points
from sam3d_bento.errors import BadRequest, NoDepth, RequestError, TooLarge, UnsupportedMedia
from sam3d_bento.options import Options
from sam3d_bento.photo.image_parts import refuse_excess
from sam3d_bento.reconstruction import Photo, View

# Most numbers of an array: a depth map of 4096 x 4096, or a point map of 2364 x 2364. A photo is reduced to 2048
# pixels, so more would not be used.
MAX_NUMBERS = 4096 * 4096
MIN_SIDE = 8  # pixels; with fewer, a depth map says nothing about an object's size
MIN_OBJECT_PIXELS = 100  # with depth inside the mask; fewer are as likely to be errors of the sensor
MILLIMETRES_PER_METRE = 1000
MAX_DEPTH_METRES = 1000  # farther than any depth camera sees; some write such values for missing
ASPECT_TOLERANCE = 0.01  # of the photo's aspect; cameras crop depth and colour by a row or a column
# Jump of depth between neighbours, as a share of the depth. A pixel that jumps on both sides, nearer on one and farther
# on the other, is a mixture of the two, which depth cameras report at the rim of an object.
FLYING_JUMP = 0.03
MAX_MEMBERS = 64  # files in an archive; ours has two
# Photos of more than 175 or less than 0.5 degrees from side to side are taken by no pinhole camera: (width / focal
# length) / 2 = tan(angle / 2).
FOCAL_LENGTHS_PER_SIDE = (0.02, 120)

NPY, ZIP, PNG, TIFF = b"\x93NUMPY", b"PK", b"\x89PNG\r\n\x1a\n", (b"II*\0", b"MM\0*")
SEND = "Send a 16-bit grey PNG or TIFF in millimetres, or an .npy or .npz."
NEEDS_CAMERA = (
    "The field 'depth' needs the camera, which the photo does not tell. Send 'intrinsics' as fx,fy,cx,cy in pixels of"
    " the upright photo."
)

# What numpy, zipfile, zlib and Pillow raise for hostile bytes.
UNREADABLE = (ValueError, TypeError, OSError, EOFError, KeyError, IndexError, SyntaxError, RuntimeError, OverflowError)
BROKEN = (*UNREADABLE, zipfile.BadZipFile, zlib.error, MemoryError)


@dataclass(frozen=True)
class _Contents:
    """Arrays of a file as they are in it. One of `depth`, (H, W), and `points`, (H, W, 3), is there.

    intrinsics: fx, fy, cx, cy in pixels of the depth map.
    """

    depth: npt.NDArray[Any] | None = None
    points: npt.NDArray[Any] | None = None
    intrinsics: tuple[float, float, float, float] | None = None


def find_camera(photo: Photo, options: Options) -> Camera | None:
    """Return the camera of a photo, in pixels of `photo.rgb`: given, or told by the photo; None if it is neither.

    Raises BadRequest for a camera that cannot have taken the photo.
    """
    height, width = photo.rgb.shape[:2]
    if options.intrinsics is not None:
        fx, fy, cx, cy = options.camera_numbers
        given = Camera(fx, fy, cx, cy, *photo.original_size, "given")
        _require_plausible(given)
        return given.resized(width, height)
    if photo.focal_length is not None:
        return Camera(photo.focal_length, photo.focal_length, width / 2, height / 2, width, height, "exif")
    return None


def look(photo: Photo, depth: bytes | None, pointmap: bytes | None, options: Options) -> View:
    """Return what is known about the space before the camera: the camera, and a point of each pixel.

    depth, pointmap: files; at most one of them. The result has the size of `photo.rgb`. Raises BadRequest for a file
    that is broken, does not fit to the photo, or needs a camera that is not known; TooLarge; UnsupportedMedia for
    another kind of file.
    """
    camera = find_camera(photo, options)
    if depth is not None and pointmap is not None:
        raise BadRequest("The fields 'depth' and 'pointmap' have the same purpose. Send only one of them.")
    file, name = (depth, "depth") if depth is not None else (pointmap, "pointmap")
    if file is None:
        return View(camera)
    try:
        contents = _read(file, name)
    except RequestError:
        raise
    except BROKEN as exc:
        raise BadRequest(f"The file in the field '{name}' is damaged or cut short. {SEND}") from exc
    if contents.points is not None:
        points = _cleaned_points(_fitted(contents.points, photo, name), options.pointmap_frame)
        camera = camera or fit_camera(points)
    else:
        assert contents.depth is not None
        height, width = photo.rgb.shape[:2]
        if contents.intrinsics is not None and options.intrinsics is None:
            fx, fy, cx, cy = contents.intrinsics
            camera = Camera(fx, fy, cx, cy, contents.depth.shape[1], contents.depth.shape[0], "given")
            _require_plausible(camera)
            camera = camera.resized(width, height)
        if camera is None:
            raise BadRequest(NEEDS_CAMERA)
        metres = _fitted(_without_flying_pixels(_metres(contents.depth)), photo, name)
        points = to_points(metres, camera)
    if not np.isfinite(points).any():
        raise BadRequest(f"The file in the field '{name}' has no depth: all of its values are 0 or not finite.")
    return View(camera, points)


def require_depth(view: View, mask: Bool) -> None:
    """Raise NoDepth if a point map has too few points inside the mask (H, W)."""
    if view.points is None:
        return
    count = int(np.isfinite(view.points[mask]).all(-1).sum())
    if count < MIN_OBJECT_PIXELS:
        raise NoDepth(
            f"The depth has only {count} pixels on the object; {MIN_OBJECT_PIXELS} are needed. Send a mask that fits to"
            " the depth, or leave the depth out."
        )


def _require_plausible(camera: Camera) -> None:
    shortest, longest = FOCAL_LENGTHS_PER_SIDE
    sides = ((camera.fx, camera.cx, camera.width), (camera.fy, camera.cy, camera.height))
    if not all(shortest < focal / side < longest and -side <= centre <= 2 * side for focal, centre, side in sides):
        raise BadRequest(
            f"No camera with these intrinsics takes a picture of {camera.width} × {camera.height} pixels. Send"
            " fx,fy,cx,cy in pixels of the upright photo."
        )


def _read(data: bytes, name: str) -> _Contents:
    if data.startswith(NPY):
        array = _read_npy(io.BytesIO(data), name)
        return _named({name: array}, name)
    if data.startswith(ZIP):
        return _named(_read_npz(data, name), name)
    if name == "depth" and data.startswith((PNG, *TIFF)):
        return _Contents(depth=_read_picture(data))
    if not data:
        raise BadRequest(f"The file in the field '{name}' is empty.")
    send = SEND if name == "depth" else "Send an .npy or .npz."
    raise UnsupportedMedia(f"The file in the field '{name}' is of a kind that is not read. {send}")


def _named(arrays: dict[str, npt.NDArray[Any]], name: str) -> _Contents:
    """Return the arrays of a file. Raises BadRequest for other arrays, shapes or types."""
    if name not in arrays:
        raise BadRequest(f"The archive in the field '{name}' has no array '{name}'.")
    array = arrays[name]
    wanted = "(H, W)" if name == "depth" else "(H, W, 3)"
    fits = array.ndim == 2 if name == "depth" else array.ndim == 3 and array.shape[2] == 3
    if not fits or min(array.shape[:2]) < MIN_SIDE:
        raise BadRequest(
            f"The array in the field '{name}' has the shape {array.shape}; it must be {wanted}, of at least"
            f" {MIN_SIDE} pixels."
        )
    if array.dtype.kind != "f" and (name == "pointmap" or array.dtype != np.uint16):
        kinds = "uint16 in millimetres, or float16, float32 or float64 in metres" if name == "depth" else "floats"
        raise BadRequest(f"The array in the field '{name}' has the type {array.dtype}; it must be {kinds}.")
    if name == "pointmap":
        return _Contents(points=array)
    return _Contents(depth=array, intrinsics=_intrinsics(arrays.get("intrinsics")))


def _intrinsics(array: npt.NDArray[Any] | None) -> tuple[float, float, float, float] | None:
    if array is None:
        return None
    if array.dtype.kind not in "fiu" or array.shape not in ((4,), (3, 3)) or not np.isfinite(array).all():
        raise BadRequest(
            "The array 'intrinsics' in the field 'depth' must be fx, fy, cx, cy, or a camera matrix (3, 3)."
        )
    numbers = array if array.ndim == 1 else array[[0, 1, 0, 1], [0, 1, 2, 2]]
    fx, fy, cx, cy = (float(number) for number in numbers)
    return fx, fy, cx, cy


def _read_npz(data: bytes, name: str) -> dict[str, npt.NDArray[Any]]:
    wanted = ("depth", "intrinsics") if name == "depth" else ("pointmap",)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {member.filename: member for member in archive.infolist()[:MAX_MEMBERS]}
        arrays = {}
        for array in wanted:
            member = members.get(f"{array}.npy")
            if member is not None:
                with archive.open(member) as file:
                    arrays[array] = _read_npy(file, name)
        return arrays


def _read_npy(file: IO[bytes], name: str) -> npt.NDArray[Any]:
    """Read the array of an .npy stream. Only as many bytes are read as its header says, after a check of their number.

    Raises TooLarge, BadRequest for types that are no numbers, and what numpy raises for a broken header.
    """
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError("a version of .npy that is written for structures alone")
    shape, is_fortran, dtype = readers[version](file)
    if dtype.hasobject or dtype.kind not in "fiu" or dtype.itemsize > 8:
        raise BadRequest(f"The array in the field '{name}' is not of numbers of at most 64 bits.")
    if any(side < 0 for side in shape):
        raise ValueError("a negative shape")
    count = prod(shape)
    if count > MAX_NUMBERS:
        raise _too_large(name)
    content = file.read(count * dtype.itemsize)
    if len(content) < count * dtype.itemsize:
        raise ValueError("an array that is cut short")
    return np.frombuffer(content, dtype, count).reshape(shape, order="F" if is_fortran else "C")


def _read_picture(data: bytes) -> npt.NDArray[Any]:
    """Return the values (H, W) uint16 of a grey PNG or TIFF of 16 bits."""
    kind = "PNG" if data.startswith(PNG) else "TIFF"
    refuse_excess(data, kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about much in a stranger's file, which must not fill the log
        try:
            with Image.open(io.BytesIO(data), formats=[kind]) as image:
                if image.width * image.height > MAX_NUMBERS:
                    raise _too_large("depth")
                if not image.mode.startswith("I"):
                    raise BadRequest(f"The depth picture is not grey with 16 bits. {SEND}")
                values = np.asarray(image)
        except Image.DecompressionBombError as exc:
            raise _too_large("depth") from exc
    if values.ndim != 2 or min(values.shape) < MIN_SIDE or values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
        raise BadRequest(f"The depth picture is not grey with 16 bits, or has a side under {MIN_SIDE} pixels. {SEND}")
    return values.astype(np.uint16)


def _too_large(name: str) -> TooLarge:
    return TooLarge(
        f"The array in the field '{name}' has more than {MAX_NUMBERS:,} numbers. Reduce it to the photo's size or to"
        " 2048 pixels on its long side."
    )


def _metres(depth: npt.NDArray[Any]) -> Float32:
    """Return a depth map (H, W) in metres; NaN where there is no depth: 0, negative, not finite, or too far."""
    unit = MILLIMETRES_PER_METRE if depth.dtype == np.uint16 else 1
    with np.errstate(invalid="ignore", over="ignore"):
        metres: Float32 = (depth / np.float64(unit)).astype(np.float32)
        known = (metres > 0) & (metres <= MAX_DEPTH_METRES)
    return np.where(known, metres, np.float32(np.nan))


def _without_flying_pixels(depth: Float32) -> Float32:
    """Return the depth map without pixels that are a mixture of what is before and behind them; see FLYING_JUMP."""
    flying = np.zeros(depth.shape, bool)
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        with np.errstate(invalid="ignore"):
            before = ndimage.shift(depth, (down, right), order=0, cval=np.nan) - depth
            behind = ndimage.shift(depth, (-down, -right), order=0, cval=np.nan) - depth
            jump = FLYING_JUMP * depth
            flying |= ((before > jump) & (behind < -jump)) | ((before < -jump) & (behind > jump))
    return np.where(flying, np.float32(np.nan), depth)


def _cleaned_points(points: npt.NDArray[Any], frame: str) -> Float32:
    """Return points (H, W, 3) in PyTorch3D's frame, float32; NaN where there is no point before the camera."""
    with np.errstate(invalid="ignore", over="ignore"):
        turned: Float32 = (points * np.array(TO_PYTORCH3D[frame])).astype(np.float32)
        known = np.isfinite(turned).all(-1) & (turned[..., 2] > 0) & (turned[..., 2] <= MAX_DEPTH_METRES)
    if not known.any() and bool((turned[..., 2] < 0).any()):
        raise BadRequest(
            "All points of the point map are behind the camera. Send its frame in 'pointmap_frame': opencv, opengl or"
            " pytorch3d."
        )
    return np.where(known[..., None], turned, np.float32(np.nan))


def _fitted(values: npt.NDArray[Any], photo: Photo, name: str) -> npt.NDArray[Any]:
    """Return a map (H, W, …) with as many pixels as the photo has; each gets the nearest one's value.

    Raises BadRequest for a map that has not the aspect of the upright photo.
    """
    width, height = photo.original_size
    if abs(values.shape[1] / values.shape[0] / (width / height) - 1) > ASPECT_TOLERANCE:
        raise BadRequest(
            f"The file in the field '{name}' has {values.shape[1]} × {values.shape[0]} pixels. It must have the shape"
            f" of the upright photo, {width} × {height}."
        )
    rows, columns = (
        ((np.arange(wanted) + 0.5) * given / wanted).astype(int)
        for wanted, given in zip(photo.rgb.shape[:2], values.shape[:2], strict=True)
    )
    fitted: npt.NDArray[Any] = values[rows][:, columns]
    return fitted
