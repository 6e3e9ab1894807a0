import json

import pytest

from sam3d_bento.errors import BadRequest
from sam3d_bento.photo.objects.items import read_items

RLE = {"size": [2, 2], "counts": [1, 3]}


def test_items_have_names_seeds_and_one_way_each():
    items = read_items(
        json.dumps(
            [
                {"name": "a/cup:", "rle": RLE, "seed": 5},
                {"polygons": [[0, 0, 1, 0, 1, 1]]},
                {"box": [0, 0, 5, 5], "points": [[1, 2.5, 1], [3, 3, 0]]},
                {"mask": 0},
            ]
        ),
        4,
    )
    assert [name for name, _ in items] == ["cup_", "object-2", "object-3", "object-4"]
    assert [item.ways for _, item in items] == [["rle"], ["polygons"], ["box", "points"], ["mask"]]
    assert items[0][1].seed == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("{}", "not a list"),
        ("[]", "at least one object"),
        (json.dumps([{"mask": 0}] * 5), "5 objects; a scene has at most 4"),
        ('["cup"]', "object 1"),
        ('[{"mask": 0}, {"name": "cup"}]', r"object 2 \('cup'\) needs exactly one of"),
        ('[{"mask": 0, "box": [0, 0, 1, 1]}]', "object 1 needs exactly one of"),
        ('[{"mask": 0, "colour": 1}]', "object 1: 'colour'"),
        ('[{"mask": -1}]', "object 1: 'mask'"),
        ('[{"mask": true}]', "object 1: 'mask'"),
        ('[{"mask": 0, "seed": 3000000000}]', "object 1: 'seed'"),
        ('[{"mask": 0, "name": ""}]', "object 1: 'name'"),
        ('[{"name": "cup", "mask": 0}, {"name": "cup", "mask": 1}]', "name of another object, 'cup'"),
        ('[{"name": "object-2", "mask": 0}, {"mask": 1}]', "object 2 has the name of another object"),
        ('[{"box": [0, 0, NaN, 1]}]', "object 1: 'box"),
        ('[{"box": [0, 0, 1e999, 1]}]', "object 1: 'box"),
        ('[{"points": [[1, 2, 2]]}]', "object 1: 'points"),
        ('[{"points": []}]', "object 1: 'points"),
        ('[{"points": [[1, 2, 0]]}]', "object 1: send a point of the object"),
        ('[{"box": [5, 0, 1, 1]}]', "object 1: the box has no area"),
        ('[{"box": [0, 0, 1, 1], "points": [[5, 5, 1]]}]', "object 1: the point 5,5 of the object lies outside"),
        ('[{"rle": {"size": [0, 5], "counts": []}}]', "object 1: 'rle"),
        ('[{"rle": {"size": [2, 2], "counts": [1.5]}}]', "object 1: 'rle"),
        ('[{"polygons": [[0, 0, "1"]]}]', "object 1: 'polygons"),
    ],
)
def test_bad_input_names_the_object(text, message):
    with pytest.raises(BadRequest, match=message):
        read_items(text, 4)
