"""Presets: options for a purpose, which whatever is given replaces."""

import pytest

from sam3d_bento.errors import BadRequest
from sam3d_bento.options import EXPORT_OPTIONS, PRESETS, Options, checked, from_texts


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_stands_for_its_options_and_for_nothing_else(preset):
    assert set(PRESETS[preset]) <= set(EXPORT_OPTIONS), "an export can have it as well"
    assert checked({"preset": preset}) == Options(**PRESETS[preset])
    assert checked({"preset": preset}, strict=True) == checked(from_texts({"preset": preset}))


@pytest.mark.parametrize("preset", PRESETS)
def test_what_is_given_counts_before_the_preset_also_where_it_is_the_default(preset):
    for name in PRESETS[preset]:
        default = Options.model_fields[name].default
        expected = Options(**{**PRESETS[preset], name: default})
        assert checked({"preset": preset, name: default}) == expected


def test_the_options_are_recorded_and_not_the_preset():
    recorded = checked({"preset": "web", "seed": 3}).model_dump()
    assert recorded == Options(**PRESETS["web"], seed=3).model_dump()
    assert "preset" not in recorded


@pytest.mark.parametrize("preset", ["shop", "", 3, ["web"], {"web": 1}])
def test_another_preset_is_refused_with_those_that_there_are(preset):
    with pytest.raises(BadRequest, match="'preset'"):
        checked({"preset": preset})


def test_a_deviation_takes_the_place_of_a_number_of_faces():
    with pytest.raises(BadRequest, match="send either 'target_faces' or 'max_deviation', not both"):
        checked({"target_faces": 5000, "max_deviation": 0.01})
    with pytest.raises(BadRequest, match="not both"):
        checked(from_texts({"max_deviation": "0.01", "target_faces": "40000"}))
    assert checked({"preset": "game", "max_deviation": 0.01}).max_deviation == 0.01


def test_what_is_recorded_with_a_deviation_can_be_read_again():
    options = checked({"max_deviation": 0.01, "texture_size": 512})
    recorded = options.model_dump()
    assert "target_faces" not in recorded
    assert checked(recorded, strict=True) == options
    assert "target_faces" in Options().model_dump()


def test_a_number_of_faces_in_an_export_replaces_the_deviation_of_the_run_and_the_other_way_round():
    run = checked({"max_deviation": 0.01})
    by_faces = run.changed({"target_faces": 5000})
    assert (by_faces.target_faces, by_faces.max_deviation) == (5000, None)
    assert by_faces.changed({"max_deviation": 0.02}).max_deviation == 0.02
