"""Count docstrings that do not say first what a function does.

The first line of a docstring says what the function does, in the imperative ("Split the faces ..."; CONTRIBUTING.md).
It cannot begin with one of OPENINGS: an article, a preposition, a relative or a question word. This program counts the
docstrings of functions and classes that do, for each package and in all. Properties are not counted, because a noun
phrase describes them best. The exit status is 1 when the share of all is above the limit.

Usage: python tools/docstrings.py [--list] [--most 0.10] [FOLDER]
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ARTICLES = {"a", "an", "the"}
DETERMINERS = {"all", "each", "every", "its", "no", "one", "that", "their", "this", "those"}
PREPOSITIONS = {"as", "at", "by", "for", "from", "in", "of", "on", "to", "with"}
QUESTION_WORDS = {"how", "what", "when", "where", "whether", "which", "who"}
OTHERS = {"also", "and", "but", "here", "it", "lest", "not", "once", "only", "so"}
OPENINGS = ARTICLES | DETERMINERS | PREPOSITIONS | QUESTION_WORDS | OTHERS

# Decorators that make a method a property; `setter` and `deleter` are those of one.
PROPERTIES = frozenset({"property", "cached_property", "setter", "deleter"})

Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Docstring(NamedTuple):
    """Docstring of a function or class: its place, the name of what it documents, and its first line."""

    path: Path
    line: int
    name: str
    first_line: str

    @property
    def opens_badly(self) -> bool:
        """Whether the first word is one of OPENINGS."""
        word = re.match(r"\W*([\w']+)", self.first_line)
        return word is not None and word.group(1).lower() in OPENINGS


def find_docstrings(source: str, path: Path) -> Iterator[Docstring]:
    """Yield the docstrings of all functions and classes in `source`, nested ones included, but not of properties."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, Documented) or any(_name(decorator) in PROPERTIES for decorator in node.decorator_list):
            continue
        text = ast.get_docstring(node)
        if text:
            yield Docstring(path, node.body[0].lineno, node.name, text.splitlines()[0])


def main(arguments: list[str]) -> int:
    """Print the counts for each package; return 1 if the share of all is above the limit, else 0."""
    parser = argparse.ArgumentParser(description="Count docstrings that do not say first what a function does.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("sam3d_bento"))
    parser.add_argument("--most", type=float, default=0.10, help="share from 0 to 1 that is accepted (default 0.10)")
    parser.add_argument("--list", action="store_true", help="print the place of each")
    options = parser.parse_args(arguments)
    docstrings = [
        found
        for path in sorted(options.folder.rglob("*.py"))
        for found in find_docstrings(path.read_text("utf-8"), path)
    ]
    if not docstrings:
        print(f"There are no docstrings in {options.folder}.")
        return 1

    packages: dict[str, list[Docstring]] = defaultdict(list)
    for docstring in docstrings:
        packages[str(docstring.path.parent)].append(docstring)
    for package, members in sorted(packages.items()):
        print(_describe(package, members))
    print(_describe("all", docstrings))
    bad = [docstring for docstring in docstrings if docstring.opens_badly]
    if options.list:
        for docstring in bad:
            print(f"{docstring.path}:{docstring.line}: {docstring.name}: {docstring.first_line}")
    return int(len(bad) / len(docstrings) > options.most)


def _describe(package: str, docstrings: list[Docstring]) -> str:
    """Return a line with the number and the share of a package's docstrings that open badly."""
    count = sum(docstring.opens_badly for docstring in docstrings)
    return f"{package:44} {count:4} of {len(docstrings):4}  {count / len(docstrings):6.1%}"


def _name(decorator: ast.expr) -> str:
    """Return the last part of a decorator's name, without its arguments."""
    if isinstance(decorator, ast.Call):
        decorator = decorator.func
    return decorator.attr if isinstance(decorator, ast.Attribute) else getattr(decorator, "id", "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
