"""The suites of tests: a quick run leaves each out, CI runs each, and a newcomer is told of each."""

import re
import shlex
import tomllib

import pytest

from tests.support.places import PROJECT

MAKEFILE = (PROJECT / "Makefile").read_text()
PHONY = re.findall(r"^\.PHONY: (.*)$", MAKEFILE.replace("\\\n", " "), re.MULTILINE)[0].split()
PYTEST = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
MARKERS = {marker.split(":")[0]: marker for marker in PYTEST["markers"]}
# What `make` does by itself before other targets, and the help.
PARTS = ["help", "promtool", "weights", "bytecode"]
GUIDE = (PROJECT / "CONTRIBUTING.md").read_text()
CI = re.findall(r"^make (\S+)", (PROJECT / ".ci" / "run").read_text(), re.MULTILINE)
SUITES = {name for name, text in MARKERS.items() if "(make test-" in text}


def recipe(target):
    """The commands of a target, as make gives them to the shell."""
    (lines,) = re.findall(rf"^{target}:[^\n]*\n((?:\t[^\n]*\n)+)", MAKEFILE, re.MULTILINE)
    return lines.replace("\\\n", " ")


def left_out(choice):
    """The markers that an expression for pytest's `-m` leaves out; each of its terms is a `not`."""
    terms = choice.split(" and ")
    assert all(term.strip().startswith("not ") for term in terms), choice
    return {term.strip().removeprefix("not ") for term in terms}


def test_make_test_leaves_out_the_suites_and_nothing_else():
    words = shlex.split(PYTEST["addopts"])
    assert left_out(words[words.index("-m") + 1]) == SUITES


def test_make_check_leaves_out_the_suites_the_servers_and_what_is_slow():
    (choice,) = re.findall(r'-m "([^"]*)"', recipe("check"))
    assert left_out(choice) == SUITES | {"server", "slow"} == set(MARKERS)


@pytest.mark.parametrize("suite", sorted(SUITES))
def test_a_suite_has_a_target_that_runs_it(suite):
    assert f"(make test-{suite})" in MARKERS[suite]
    assert re.search(rf"-m pytest .*-m {suite}\b", recipe(f"test-{suite}"))


def test_ci_runs_every_suite():
    assert set(CI) >= {"test", *(f"test-{suite}" for suite in SUITES)}


@pytest.mark.parametrize("target", CI)
def test_what_ci_runs_stands_in_the_help_and_with_its_time_in_the_guide(target):
    assert re.search(rf'@echo "make {target} ', recipe("help"))
    assert re.search(rf"^\| `make {target}` \|.*\| .*\d.* \|$", GUIDE, re.MULTILINE)


def test_the_help_names_all_targets_but_the_parts_of_others():
    named = re.findall(r'@echo "make (\S+) ', recipe("help"))
    assert sorted([*named, *PARTS]) == sorted(PHONY)
    targets = {word for line in re.findall(r"^([\w -]+):", MAKEFILE, re.MULTILINE) for word in line.split()}
    assert set(PHONY) <= targets


def test_the_guide_names_targets_that_are_there():
    rows = re.findall(r"^\| (`make .*?) \|", GUIDE, re.MULTILINE)
    assert {target for row in rows for target in re.findall(r"`make (\S+)`", row)} <= set(PHONY)
