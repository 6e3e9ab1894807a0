"""The counter of docstrings that do not say first what a function does."""

from pathlib import Path

import pytest

from tools.docstrings import OPENINGS, find_docstrings, main


def opens_badly(text):
    (found,) = find_docstrings(f'def function():\n    """{text}"""\n', Path("module.py"))
    return found.opens_badly


@pytest.mark.parametrize("word", sorted(OPENINGS))
def test_each_opening_counts_in_any_case(word):
    assert opens_badly(f"{word} faces of a mesh.")
    assert opens_badly(f"{word.capitalize()} faces of a mesh.")


@pytest.mark.parametrize(
    "text",
    [
        "Split the faces off.",
        "Allow a redirect.",  # begins with "all", but is another word
        "Format one.",
        "labels (F,) int: the chart of each face.",
        "(N, 3) colours.",
        "`in_order` in threads.",
        "\\n\\n    Split the faces after an empty first line.",
    ],
)
def test_other_first_words_do_not_count(text):
    assert not opens_badly(text)


def test_quotes_and_brackets_before_the_word_are_skipped():
    assert opens_badly("(The) faces.")
    assert opens_badly("*Which* faces.")
    assert opens_badly("\\n    The faces, after an empty first line.")


SOURCE = '''"""The docstring of a module is not counted."""
from functools import cached_property
import functools


class Mesh:
    """The class is counted."""

    @property
    def faces(self):
        """The property is not counted."""

    @faces.setter
    def faces(self, value):
        """The setter is not counted."""

    @cached_property
    def edges(self):
        """The cached property is not counted."""

    @functools.cached_property
    def corners(self):
        """The cached property is not counted, by its long name either."""

    @staticmethod
    def read():
        """The static method is counted."""

    async def write(self):
        """Write the mesh."""

        def nested():
            """The nested function is counted."""

    def undocumented(self):
        return "The string is no docstring."
'''


def test_functions_and_classes_are_counted_and_properties_are_not():
    found = list(find_docstrings(SOURCE, Path("mesh.py")))
    assert {each.name for each in found} == {"Mesh", "read", "write", "nested"}
    assert {each.name for each in found if each.opens_badly} == {"Mesh", "read", "nested"}
    assert {each.name: each.line for each in found}["Mesh"] == 7


@pytest.fixture
def package(tmp_path):
    (tmp_path / "uv").mkdir()
    (tmp_path / "mesh.py").write_text(SOURCE)
    (tmp_path / "uv" / "charts.py").write_text('def split():\n    """Split charts."""\n')
    return tmp_path


def test_each_package_and_all_are_printed_with_their_share(package, capsys):
    main([str(package)])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        [str(package), "3", "of", "4", "75.0%"],
        [str(package / "uv"), "0", "of", "1", "0.0%"],
        ["all", "3", "of", "5", "60.0%"],
    ]


@pytest.mark.parametrize(("most", "status"), [("0.59", 1), ("0.6", 0), ("1", 0), ("0", 1)])
def test_the_exit_status_is_1_above_the_limit(package, most, status):
    assert main([str(package), "--most", most]) == status


def test_the_limit_is_a_tenth_by_default(tmp_path):
    functions = ['def good():\n    """Split charts."""\n'] * 9 + ['def bad():\n    """The charts."""\n']
    (tmp_path / "module.py").write_text("".join(functions))
    assert main([str(tmp_path)]) == 0
    (tmp_path / "module.py").write_text("".join(functions[1:]))
    assert main([str(tmp_path)]) == 1


def test_list_prints_the_places(package, capsys):
    main([str(package), "--list"])
    places = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"{package / 'mesh.py'}:")]
    assert places[0] == f"{package / 'mesh.py'}:7: Mesh: The class is counted."
    assert len(places) == 3


def test_a_folder_without_docstrings_is_an_error(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert "no docstrings" in capsys.readouterr().out
