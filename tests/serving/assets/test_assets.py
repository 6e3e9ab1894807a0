import pytest

from sam3d_bento.serving.assets import ASSET_ID, ASSET_NAME, DISPOSITIONS, KINDS, MEDIA_TYPES

ID = "0123456789abcdef" * 2


def test_every_file_of_a_result_has_a_name_and_says_what_it_is_and_what_to_do_with_it():
    for kind in KINDS:
        assert ASSET_NAME.fullmatch(f"{ID}.{kind}")
    assert set(MEDIA_TYPES) == set(DISPOSITIONS) == set(KINDS)
    assert [kind for kind in KINDS if DISPOSITIONS[kind] == "inline"] == ["webp", "usdz"], (
        "pictures, and Quick Look's files"
    )


@pytest.mark.parametrize("name", ["", ID[1:], f"{ID}0", ID.upper(), f"{ID}\n", f"../{ID}", f"{ID}.glb"])
def test_only_hex_ids_are_valid(name):
    assert ASSET_ID.fullmatch(ID)
    assert not ASSET_ID.fullmatch(name)


@pytest.mark.parametrize(
    "name", [ID, f"{ID}.", f"{ID}.py", f".{ID}.part", f"{ID}.glb.npz", f"x{ID}.glb", f"{ID}.glb\n"]
)
def test_nothing_else_in_a_place_is_a_results_file(name):
    assert not ASSET_NAME.fullmatch(name)
