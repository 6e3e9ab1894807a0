import dataclasses
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

from sam3d_bento import formats
from sam3d_bento.errors import UnsupportedMedia
from sam3d_bento.formats import FILE_TYPES, FORMATS, FormatOptions
from sam3d_bento.options import Options
from sam3d_bento.serving.assets import DERIVED_KINDS, KINDS, MEDIA_TYPES
from tests.support.places import PROJECT


def test_every_format_is_a_kind_of_file_of_its_own():
    assert tuple(FILE_TYPES) == FORMATS
    assert len({kind.suffix for kind in FILE_TYPES.values()}) == len(FORMATS), "two downloads never have one name"
    for kind in FILE_TYPES.values():
        assert not kind.suffix.startswith(".")
        assert "/" in kind.media_type


def test_a_format_is_offered_where_its_library_is(monkeypatch):
    assert set(formats.available()) == set(FORMATS), "as here"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert set(formats.available()) == set(FORMATS) - {"usdz", "3mf", "web"}


def test_a_format_that_needs_a_package_names_its_module_and_the_package():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *extras["3mf"], *extras[formats.PARTS_EXTRA]]
    packages = {Requirement(each).name for each in needed}
    assert formats.PARTS_PACKAGE in packages
    for name, kind in FILE_TYPES.items():
        assert (kind.requires is None) == (kind.package is None), name
        assert kind.package is None or kind.package in packages, name


def test_any_format_may_need_a_package(monkeypatch):
    """The refusal and the list know no format by name."""
    kind = dataclasses.replace(FILE_TYPES["stl"], requires="no_such_module", package="printing")
    monkeypatch.setitem(FILE_TYPES, "stl", kind)
    assert set(formats.available()) == set(FORMATS) - {"stl"}
    with pytest.raises(UnsupportedMedia, match=r"'stl' is not written here.*lacks the package printing"):
        formats.require("stl")
    formats.require("obj")


def test_to_say_what_is_available_loads_no_library():
    """The service process asks, and never runs native code."""
    code = (
        "import sys; from sam3d_bento import formats; formats.available(); print({'pxr', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_each_option_of_a_format_is_declared_once_and_taken_by_some_format():
    taken = {option for kind in FILE_TYPES.values() for option in kind.options}
    assert taken == set(FormatOptions.model_fields)
    assert not taken & set(Options.model_fields), "a field of an export says one thing"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("cup.glb", "glb"),
        ("CUP.STL", "stl"),
        ("cup.ply", "ply"),
        ("cup.splats.ply", "ply-splats"),
        ("cup.splats.glb", "splats-glb"),
        ("cup.obj.zip", "obj"),
        ("cup.lods.zip", "glb-lods"),
        ("cup.usdz", "usdz"),
        ("cup.urdf.zip", "urdf"),
        ("cup.zip", None),
        ("cup", None),
        ("stl", None),
        ("", None),
    ],
)
def test_a_file_s_name_says_its_format(name, wanted):
    assert formats.by_suffix(name) == wanted


def test_each_file_of_a_result_has_a_media_type_and_the_glb_is_the_first():
    assert KINDS[0] == "glb"
    assert set(KINDS) == set(MEDIA_TYPES)
    assert set(DERIVED_KINDS).isdisjoint({"glb", "npz", "webp"}), "these cannot be made again"
