"""Find the masks of the objects of a scene, by files, labels, a list of objects, or whatever the mask model finds."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image
from scipy import ndimage

from sam3d_bento.arrays import Bool
from sam3d_bento.errors import BadRequest, Cancelled, NoObject, RequestError, Sam3DError, shown
from sam3d_bento.photo import masks
from sam3d_bento.photo.mask_model import MaskModel
from sam3d_bento.photo.objects import polygons, rle
from sam3d_bento.photo.objects.items import Item, read_items, spelt
from sam3d_bento.photo.objects.labels import read_labels
from sam3d_bento.prompt import Prompt
from sam3d_bento.reconstruction import Mask, Photo
from sam3d_bento.submission import SceneInput

# Text of the field `objects` for all objects that the mask model finds.
ALL = "all"
# Two masks that share more are meant for one object.
MAX_IOU = 0.9

# Reader of the file of a mask.
DecodeMask = Callable[[bytes], Photo]

_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)  # pixels that touch at a corner are connected


@dataclass(frozen=True)
class FoundObject:
    """Object of a scene. seed: its own, or None. mask: None with the `error` that says why there is none."""

    name: str
    seed: int | None
    mask: Mask | None
    error: Sam3DError | None = None


@dataclass(frozen=True)
class Finder:
    """What finding objects needs.

    decode: reads the file of a mask. prompted: returns the mask that a prompt means. max_pixels: of a picture.
    """

    model: MaskModel
    decode: DecodeMask
    prompted: Callable[[Prompt], Mask]
    max_objects: int
    max_pixels: int

    def find(self, photo: Photo, scene: SceneInput) -> list[FoundObject]:
        """Return the objects of a scene, at least one of them with a mask. Each mask is as of `masks.isolate`.

        An object whose mask selects nothing has an error instead. Raises BadRequest that names the object whose input
        is wrong, and the first object's error if none has a mask.
        """
        found = list(self._found(photo, scene))
        if all(each.mask is None for each in found):
            raise next(each.error for each in found if each.error is not None)
        _refuse_equal(found)
        return found

    def _found(self, photo: Photo, scene: SceneInput) -> Iterator[FoundObject]:
        if scene.labels is not None:
            if scene.masks or scene.objects is not None:
                raise BadRequest("The field 'labels' holds all objects. Send it without 'masks' and 'objects'.")
            limits = {"max_pixels": self.max_pixels, "max_objects": self.max_objects}
            for value, pixels in read_labels(scene.labels, photo.original_size, **limits).items():
                yield self._one(
                    f"object-{value}", None, f"label {value}", partial(self._isolate, photo, to_file(pixels))
                )
        elif scene.objects is None:
            self._limit(len(scene.masks))
            for index, file in enumerate(scene.masks):
                name = f"object-{index + 1}"
                yield self._one(name, None, f"object {index + 1} of 'masks'", partial(self._isolate, photo, file))
        elif scene.objects.strip() == ALL:
            if scene.masks:
                raise BadRequest("With objects=all the mask model finds the objects. Send it without 'masks'.")
            yield from self._all(photo)
        else:
            yield from self._listed(photo, scene.masks, read_items(scene.objects, self.max_objects))

    def _limit(self, count: int) -> None:
        if count > self.max_objects:
            raise BadRequest(f"The photo has {count} objects; a scene has at most {self.max_objects}.")

    def _listed(self, photo: Photo, files: tuple[bytes, ...], items: list[tuple[str, Item]]) -> Iterator[FoundObject]:
        named = {item.mask for _, item in items if item.mask is not None}
        unused = set(range(len(files))) - named
        if unused and max(named, default=0) < len(files):  # otherwise one is named that is not there
            raise BadRequest(f"No object of 'objects' names the mask {min(unused)} of 'masks'; the first is 0.")
        for index, (name, item) in enumerate(items):
            label = spelt(index, item.name)
            yield self._one(name, item.seed, label, partial(self._mask_of, item, photo, files))

    def _isolate(self, photo: Photo, file: bytes) -> Mask:
        """Return the mask of its file. Raises as `masks.isolate` and `decode`."""
        return masks.isolate(photo, self.decode(file), self.model)

    def _mask_of(self, item: Item, photo: Photo, files: tuple[bytes, ...]) -> Mask:
        """Return the mask of an item. Raises BadRequest for one that does not fit to the photo, and NoObject."""
        if item.rle is None and item.polygons is None and item.mask is None:
            return self.prompted(item.prompt)
        return self._isolate(photo, _file_of(item, photo, files))

    def _one(self, name: str, seed: int | None, label: str, find: Callable[[], Mask]) -> FoundObject:
        """Return the object whose mask `find` returns. label: what an error calls the object."""
        try:
            return FoundObject(name, seed, find())
        except NoObject as exc:
            return FoundObject(name, seed, None, exc)
        except Cancelled:
            raise
        except RequestError as exc:
            raise type(exc)(f"The mask of {label}: {exc.detail}") from exc

    def _all(self, photo: Photo) -> Iterator[FoundObject]:
        """Yield what the photo's alpha or the mask model finds, each connected object for itself, largest first."""
        whole = masks.isolate(photo, None, self.model)
        parts = [whole.pixels] if whole.source != "alpha" else list(_parts(whole.pixels))
        if whole.others is not None:
            parts += _parts(whole.others)
        parts = [pixels for pixels in parts if np.count_nonzero(pixels) >= masks.MIN_UPLOAD_PIXELS]
        self._limit(len(parts))
        for index, pixels in enumerate(sorted(parts, key=np.count_nonzero, reverse=True)):
            yield FoundObject(f"object-{index + 1}", None, masks.as_mask(photo, pixels, whole.source))


def to_file(pixels: Bool) -> bytes:
    """Return a mask (H, W) as the file of a picture, so that it is read by the one way that masks are read."""
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8) * np.uint8(255)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _file_of(item: Item, photo: Photo, files: tuple[bytes, ...]) -> bytes:
    """Return the file of an item's mask. Raises BadRequest for an item that does not fit to the photo or the files."""
    width, height = photo.original_size
    if item.mask is not None:
        if item.mask >= len(files):
            raise BadRequest(f"it names the mask {item.mask}, but 'masks' has {len(files)} files; the first is 0.")
        return files[item.mask]
    if item.rle is not None:
        if item.rle.size != (height, width):
            rows, columns = item.rle.size
            raise BadRequest(f"its RLE has {rows} rows and {columns} columns, the upright photo {height} and {width}.")
        return to_file(rle.decode(item.rle.counts, item.rle.size))
    assert item.polygons is not None
    return to_file(polygons.draw(item.polygons, (height, width)))


def _parts(pixels: Bool) -> Iterator[Bool]:
    """Yield the connected parts of a mask (H, W), each as a mask of the same size, without debris."""
    labels, count = ndimage.label(pixels, _EIGHT_NEIGHBOURS)
    sizes = np.bincount(labels.ravel())[1:]
    for index in range(count):
        if sizes[index] >= masks.RIVAL_SHARE * sizes.max():
            yield labels == index + 1


def _refuse_equal(found: list[FoundObject]) -> None:
    """Raise BadRequest if two masks are nearly equal."""
    masked = [(each.name, each.mask.pixels) for each in found if each.mask is not None]
    for (one, pixels), (other, others) in itertools.combinations(masked, 2):
        both = np.count_nonzero(pixels & others)
        if both > MAX_IOU * (np.count_nonzero(pixels) + np.count_nonzero(others) - both):
            raise BadRequest(
                f"The masks of '{shown(one)}' and '{shown(other)}' are nearly equal. Send each object once."
            )
