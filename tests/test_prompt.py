from math import isfinite
from random import Random

import pytest

from sam3d_bento.errors import BadRequest
from sam3d_bento.options import checked
from sam3d_bento.prompt import MAX_POINTS, Point, Prompt


def test_points_and_a_box_are_read():
    prompt = checked({"points": "10,20.5,1; 30,40,0 ;50,60", "box": "5,6,70,80", "candidate": 2}).prompt
    assert prompt == Prompt(
        (Point(10, 20.5), Point(30, 40, inside=False), Point(50, 60)), (5.0, 6.0, 70.0, 80.0), candidate=2
    )
    assert checked({}).prompt is None
    assert checked({"points": "1,2;"}).prompt == Prompt((Point(1, 2),))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"points": "nan,1,1"}, "send x,y,1"),
        ({"points": "1,inf,1"}, "send x,y,1"),
        ({"points": "1e400,1,1"}, "send x,y,1"),
        ({"points": "1,2,3"}, "send x,y,1"),
        ({"points": "1"}, "send x,y,1"),
        ({"points": "1,2,1,1"}, "send x,y,1"),
        ({"points": "1,2;;3,4"}, "send x,y,1"),
        ({"points": ";"}, "send x,y,1"),
        ({"points": "left,top"}, "send x,y,1"),
        ({"points": "1,2;" * (MAX_POINTS + 1)}, "at most 64 points"),
        ({"points": "1,2;" * 1_000_000}, "at most 2000 characters"),
        ({"points": "1,2,0"}, "do not say where it is"),
        ({"points": "9,9,1", "box": "0,0,5,5"}, "the point 9,9 of the object lies outside the box"),
        ({"box": "0,0,5"}, "send x0,y0,x1,y1"),
        ({"box": "0,0,5,nan"}, "send x0,y0,x1,y1"),
        ({"box": "0,0,inf,5"}, "send x0,y0,x1,y1"),
        ({"box": "5,0,5,5"}, "has no area"),
        ({"box": "5,0,1,5"}, "has no area"),
        ({"box": "1" * 1000}, "at most 200 characters"),
        ({"candidate": 0}, "it goes with 'points' or 'box'"),
        ({"candidate": 3, "box": "0,0,5,5"}, "less than 3"),
        ({"candidate": -1, "box": "0,0,5,5"}, "greater than or equal to 0"),
    ],
)
def test_what_is_no_prompt_is_refused_with_what_to_send(values, said):
    with pytest.raises(BadRequest, match=said):
        checked(values)


def test_a_point_beside_the_object_may_be_outside_the_box():
    assert checked({"points": "9,9,0", "box": "0,0,5,5"}).prompt.points == (Point(9, 9, inside=False),)


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt((Point(101, 5),)),
        Prompt((Point(-0.1, 5),)),
        Prompt((Point(5, 51),)),
        Prompt((Point(5, 5), Point(5, 51, inside=False))),
        Prompt(box=(-1, 0, 5, 5)),
        Prompt(box=(0, 0, 100.5, 5)),
        Prompt(box=(0, 0, 5, 50.5)),
    ],
)
def test_what_lies_beyond_the_photo_is_refused_with_its_size(prompt):
    with pytest.raises(BadRequest, match="100 × 50 pixels, measured upright"):
        prompt.require_within(100, 50)


def test_the_rim_of_the_photo_belongs_to_it():
    Prompt((Point(0, 0), Point(100, 50)), box=(0, 0, 100, 50)).require_within(100, 50)


def test_a_prompt_is_scaled_with_its_photo():
    scaled = Prompt((Point(10, 20),), (0, 0, 40, 80), 1).resized(0.5, 0.25)
    assert scaled == Prompt((Point(5, 5),), (0, 0, 20, 20), 1)


def test_any_text_is_a_prompt_or_a_refusal():
    random = Random(1)
    read = 0
    for _ in range(3000):
        text = "".join(random.choices("0123456789.,,,;-+naife ", k=random.randrange(1, 12)))
        field = random.choice(["points", "box"])
        try:
            prompt = checked({field: text}).prompt
        except BadRequest:
            continue
        read += 1
        numbers = [number for point in prompt.points for number in (point.x, point.y)] + list(prompt.box or ())
        assert all(map(isfinite, numbers))
    assert read > 0, "the texts are too random to be read"
