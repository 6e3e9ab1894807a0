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
