import numpy as np

from sam3d_bento.photo.prompts.answers import THRESHOLD, Answer, cleaned, distinct
from sam3d_bento.prompt import Point, Prompt

SIDE = 100


def soft(*discs, value=255):
    """A soft mask of discs (x, y, radius)."""
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    values = np.zeros((SIDE, SIDE), np.uint8)
    for centre_x, centre_y, radius in discs:
        values[(x - centre_x) ** 2 + (y - centre_y) ** 2 < radius**2] = value
    return values


def pixels(answer):
    return answer.soft >= THRESHOLD


def test_specks_go_and_pinholes_are_filled_but_a_hole_to_look_through_stays():
    ring = np.where(soft((50, 50, 15)) > 0, 0, soft((50, 50, 40)))
    flawed = ring.copy()
    flawed[20, 50] = 0
    flawed[3, 3] = 255
    clean = cleaned(Answer(flawed, 0.5), Prompt((Point(50, 20),)), None)
    assert np.array_equal(pixels(clean), ring >= THRESHOLD)
    assert clean.score == 0.5


def test_a_part_with_a_point_on_it_stays_however_small():
    two = soft((40, 40, 30), (90, 90, 3))
    both = cleaned(Answer(two, 1), Prompt((Point(40, 40), Point(90, 90))), None)
    assert pixels(both)[90, 90]
    large = cleaned(Answer(two, 1), Prompt((Point(40, 40),)), None)
    assert not pixels(large)[90, 90]


def test_what_a_point_beside_the_object_lies_on_is_cut_off_halfway():
    dumbbell = np.maximum(soft((25, 50, 20), (75, 50, 20)), 0)
    dumbbell[48:52, 25:75] = 255
    for points in ((Point(25, 50), Point(75, 50, inside=False)), (Point(75, 50, inside=False), Point(25, 50))):
        left = pixels(cleaned(Answer(dumbbell, 1), Prompt(points), None))
        assert left[50, 25]
        assert not left[:, 56:].any()
        assert left[:, :44].sum() == (dumbbell >= THRESHOLD)[:, :44].sum()
    boxed = Prompt((Point(75, 50, inside=False),), box=(0, 0, SIDE, SIDE))
    assert not pixels(cleaned(Answer(dumbbell, 1), boxed, None))[50, 75]


def test_an_answer_that_had_to_be_cut_is_worth_less_than_one_that_left_the_point_out():
    prompt = Prompt((Point(30, 50), Point(80, 50, inside=False)))
    cut = cleaned(Answer(soft((50, 50, 45)), 0.9), prompt, None)
    small = cleaned(Answer(soft((30, 50, 20)), 0.8), prompt, None)
    assert cut.score < small.score == 0.8


def test_a_point_beside_the_object_that_is_beside_it_anyway_changes_nothing():
    whole = soft((50, 50, 30))
    clean = cleaned(Answer(whole, 1), Prompt((Point(50, 50), Point(2, 2, inside=False))), None)
    assert np.array_equal(pixels(clean), whole >= THRESHOLD)


def test_hidden_pixels_are_never_object_not_even_as_a_filled_hole():
    visible = np.ones((SIDE, SIDE), bool)
    visible[50, 50] = False
    visible[:, :40] = False
    clean = cleaned(Answer(soft((50, 50, 30)), 1), Prompt((Point(60, 50),)), visible)
    assert not (pixels(clean) & ~visible).any()
    assert pixels(clean)[50, 60]


def test_hardly_anything_is_nothing():
    assert cleaned(Answer(soft((50, 50, 4)), 1), Prompt((Point(50, 50),)), None) is None
    assert cleaned(Answer(soft((50, 50, 30)), 1), Prompt((Point(50, 50),)), np.zeros((SIDE, SIDE), bool)) is None


def test_of_answers_that_say_the_same_the_surest_is_kept_and_they_are_sorted_by_size():
    answers = [
        Answer(soft((50, 50, 40)), 0.7),
        Answer(soft((50, 50, 10)), 0.6),
        Answer(soft((50, 50, 25)), 0.5),
        Answer(soft((51, 50, 25)), 0.9),
        Answer(soft((20, 20, 12)), 0.1),
    ]
    kept = distinct(answers)
    assert [one.score for one in kept] == [0.6, 0.9, 0.7]
    assert distinct([]) == []
