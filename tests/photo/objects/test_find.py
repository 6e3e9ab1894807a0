import json

import numpy as np
import pytest

from sam3d_bento.errors import Cancelled, NoObject, RequestError
from sam3d_bento.photo.images import decode
from sam3d_bento.photo.mask_values import read_mask
from sam3d_bento.photo.masks import as_mask
from sam3d_bento.photo.objects.find import Finder
from sam3d_bento.submission import SceneInput
from tests.support.scene_files import coco_counts, png
from tests.support.scene_truth import iou

SIZE = (80, 100)
COLOURS = np.full((*SIZE, 3), 120, np.uint8)
PHOTO = decode(png(COLOURS), max_pixels=10**6)


def square(top, left, side=20):
    mask = np.zeros(SIZE, bool)
    mask[top : top + side, left : left + side] = True
    return mask


CUP, BOX = square(5, 5), square(50, 60, 25)


def understood(prompt):
    """The mask of the box, or that of the cup for points within it."""
    if prompt.box is None and not CUP[int(prompt.points[0].y), int(prompt.points[0].x)]:
        raise NoObject("No object was found where the prompt points.")
    pixels = CUP
    if prompt.box is not None:
        left, top, right, bottom = map(int, prompt.box)
        pixels = np.zeros(SIZE, bool)
        pixels[top:bottom, left:right] = True
    return as_mask(PHOTO, pixels, "prompt")


def find(photo=PHOTO, max_objects=16, model=None, **scene):
    finder = Finder(model, lambda data: read_mask(data, max_pixels=10**6), understood, max_objects, 10**6)
    return finder.find(photo, SceneInput(**scene))


def listed(*items, masks=()):
    return find(objects=json.dumps(items), masks=masks)


def test_each_file_is_an_object():
    found = find(masks=(png(CUP), png(BOX)))
    assert [each.name for each in found] == ["object-1", "object-2"]
    assert [each.mask.source for each in found] == ["upload"] * 2
    assert np.array_equal(found[0].mask.pixels, CUP)
    assert np.array_equal(found[1].mask.pixels, BOX)


def test_each_label_is_an_object_called_by_its_value():
    found = find(labels=png((CUP * 3 + BOX * 40).astype(np.uint8)))
    assert [each.name for each in found] == ["object-3", "object-40"]
    assert np.array_equal(found[1].mask.pixels, BOX)


def test_an_item_is_a_mask_by_whatever_way():
    found = listed(
        {"name": "cup", "rle": {"size": list(SIZE), "counts": coco_counts(CUP)}, "seed": 4},
        {"polygons": [[60, 50, 85, 50, 85, 75, 60, 75]]},
        {"name": "lid", "mask": 0},
        masks=(png(square(5, 70)),),
    )
    assert [(each.name, each.seed) for each in found] == [("cup", 4), ("object-2", None), ("lid", None)]
    for each, mask in zip(found, (CUP, BOX, square(5, 70)), strict=True):
        assert np.array_equal(each.mask.pixels, mask)


def test_all_is_each_part_of_a_cut_out_largest_first():
    alpha = ((CUP | BOX) * 255).astype(np.uint8)
    cut_out = decode(png(np.dstack([COLOURS, alpha])), max_pixels=10**6)
    found = find(cut_out, objects="all")
    assert [each.name for each in found] == ["object-1", "object-2"]
    assert np.array_equal(found[0].mask.pixels, BOX)
    assert np.array_equal(found[1].mask.pixels, CUP)
    assert found[0].mask.source == "alpha"


def test_an_item_may_point_at_its_object():
    found = listed({"points": [[10, 10, 1]]}, {"box": [60, 50, 85, 75]}, {"points": [[90, 10, 1]]})
    assert np.array_equal(found[0].mask.pixels, CUP)
    assert np.array_equal(found[1].mask.pixels, BOX)
    assert (found[1].mask.source, found[2].mask, found[2].error.code) == ("prompt", None, "no_object")


class TwoThings:
    """A mask model that sees two things."""

    def soft_mask(self, rgb):
        return ((CUP | BOX) * 255).astype(np.uint8)


def test_all_is_whatever_the_mask_model_finds():
    found = find(objects="all", model=TwoThings())
    for each, mask in zip(found, (BOX, CUP), strict=True):
        assert iou(each.mask.pixels, mask) > 0.98
    assert {each.mask.source for each in found} == {"rembg"}


def test_an_object_whose_mask_selects_nothing_has_an_error_and_the_others_masks():
    small = np.zeros(SIZE, bool)
    small[3:5, 3:5] = True
    found = find(masks=(png(CUP), png(small)))
    assert found[0].mask is not None
    assert found[1].mask is None
    assert isinstance(found[1].error, NoObject)
    with pytest.raises(NoObject, match="next to nothing"):
        find(masks=(png(small),))


@pytest.mark.parametrize(
    ("scene", "message"),
    [
        ({"masks": (png(CUP), png(CUP))}, "'object-1' and 'object-2' are nearly equal"),
        ({"masks": (png(CUP),) * 17}, "17 objects; a scene has at most 16"),
        ({"masks": (png(CUP), b"no picture")}, "object 2 of 'masks'"),
        ({"masks": (png(CUP[:-1]),)}, "object 1 of 'masks'.*100 × 79"),
        ({"masks": (png(CUP),), "labels": png(CUP)}, "without 'masks'"),
        ({"labels": png(CUP), "objects": "all"}, "without 'masks' and 'objects'"),
        ({"masks": (png(CUP),), "objects": "all"}, "without 'masks'"),
        ({"objects": '[{"name": "cup", "mask": 0}]'}, r"object 1 \('cup'\).*'masks' has 0 files"),
        ({"masks": (png(CUP), png(BOX)), "objects": '[{"mask": 1}]'}, "No object .* names the mask 0"),
        ({"objects": '[{"rle": {"size": [9, 9], "counts": [81]}}]'}, "object 1.*9 rows"),
        ({"objects": '[{"rle": {"size": [80, 100], "counts": [81]}}]'}, "object 1.*'counts'"),
        ({"objects": '[{"polygons": [[1, 2]]}]'}, "object 1.*three points"),
    ],
)
def test_bad_input_names_the_object(scene, message):
    with pytest.raises(RequestError, match=message):
        find(**scene)


def test_a_cancelled_run_is_no_fault_of_an_object():
    def cancelled(data):
        raise Cancelled("The job was cancelled.")

    with pytest.raises(Cancelled, match=r"^The job was cancelled.$"):
        Finder(None, cancelled, understood, 16, 10**6).find(PHOTO, SceneInput(masks=(png(CUP),)))
