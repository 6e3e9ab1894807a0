import subprocess
import sys

from sam3d_bento import formats
from sam3d_bento.formats import FILE_TYPES, FORMATS


def test_every_format_is_a_kind_of_file_of_its_own():
    assert tuple(FILE_TYPES) == FORMATS
    assert len({kind.suffix for kind in FILE_TYPES.values()}) == len(FORMATS), "two downloads never have one name"
    for kind in FILE_TYPES.values():
        assert not kind.suffix.startswith(".")
        assert "/" in kind.media_type


def test_usdz_is_offered_where_its_library_is(monkeypatch):
    assert set(formats.available()) == set(FORMATS), "as here"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert set(formats.available()) == set(FORMATS) - {"usdz"}


def test_to_say_what_is_available_loads_no_library():
    """The service process asks, and never runs native code."""
    code = (
        "import sys; from sam3d_bento import formats; formats.available(); print({'pxr', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
