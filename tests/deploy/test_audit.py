"""The audit's verdicts, and the lists of parts."""

import json
import re
import subprocess

import pytest

from tests.support.places import PROJECT
from tools import sbom_licences
from tools.audit import verdict


def report(*packages):
    return json.dumps({"dependencies": list(packages), "fixes": []})


CLEAN = {"name": "numpy", "version": "2.4.6", "vulns": []}
HOLED = {"name": "pillow", "version": "9.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["9.1"]}]}
UNKNOWN = {"name": "ours", "skip_reason": "Dependency not found on PyPI"}
OTHER = {"name": "theirs", "skip_reason": "Dependency not found on PyPI"}
UNREACHED = ("", "Traceback ...\nrequests.exceptions.ConnectionError: HTTPSConnectionPool")


def test_packages_without_a_known_fault_pass():
    assert verdict([(report(CLEAN), "")]) == (0, "1 packages were looked up; 0 have known vulnerabilities.")


def test_a_known_fault_fails_and_says_what_mends_it():
    status, said = verdict([(report(CLEAN, HOLED, UNKNOWN), "")])
    assert status == 1
    assert "pillow 9.0: PYSEC-1, mended in 9.1" in said
    assert "Not in the database: ours." in said


def test_a_database_that_knows_nothing_is_no_proof():
    status, said = verdict([(report(UNKNOWN, OTHER), "No known vulnerabilities found")])
    assert (status, said.startswith("SKIPPED: ")) == (0, True)
    assert "none of 2 packages" in said


def test_a_database_that_is_not_reached_is_said():
    status, said = verdict([(report(CLEAN), ""), UNREACHED])
    assert (status, said.startswith("SKIPPED: ")) == (0, True)
    assert "1 of 2 lists were not audited" in said


def test_a_known_fault_in_one_list_fails_though_the_database_was_not_reached_for_another():
    status, said = verdict([UNREACHED, (report(HOLED), "")])
    assert (status, "pillow 9.0: PYSEC-1" in said) == (1, True)


def test_lists_may_pin_different_versions_of_a_package_and_the_same_twice():
    lists = [report(CLEAN), report(CLEAN, HOLED), report(HOLED, HOLED | {"version": "9.1", "vulns": []})]
    status, said = verdict([(pins, "") for pins in lists])
    assert status == 1
    assert said.count("PYSEC-1") == 1
    assert said.endswith("3 packages were looked up; 1 have known vulnerabilities.")


@pytest.mark.parametrize("stderr", ["", "ERROR: invalid requirement"])
def test_any_other_end_fails(stderr):
    assert verdict([(report(CLEAN), ""), ("", stderr)])[0] == 1


def pins(text):
    return re.findall(r"^\w[\w.-]*==", text, re.MULTILINE)


def test_everything_that_is_pinned_is_audited_and_what_ships_is_listed():
    command = subprocess.run(["make", "-n", "audit"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    audited = re.search(r"tools/audit\.py (.*?)(?: #|$)", command, re.MULTILINE)[1].split()
    lists = {path.relative_to(PROJECT).as_posix(): path for path in (PROJECT / "requirements").iterdir()}
    assert set(audited) == {name for name, path in lists.items() if pins(path.read_text())}
    makefile = (PROJECT / "Makefile").read_text()
    sbom = re.search(r"^sbom:.*?(?=^\S)", makefile, re.MULTILINE | re.DOTALL)[0]
    for name in ("core", "upstream", "torch-cu121", "cuda-cu121"):
        assert f"requirements/{name}.txt" in sbom


def test_the_tools_are_pinned_and_name_no_index():
    lines = (PROJECT / "requirements" / "audit.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.lstrip().startswith(("#", "--hash="))]
    assert all("==" in pin for pin in pins)
    assert not any("://" in line for line in lines)


def test_the_list_of_parts_names_the_gpl_of_the_library_that_reads_heic():
    document = {"components": [{"name": "numpy"}, {"name": "pillow-heif", "version": "1"}]}
    sbom_licences.add(document, sbom_licences.own_text())
    numpy, heif = document["components"]
    assert "licenses" not in numpy
    assert heif["licenses"] == [{"license": {"name": "GPLv2"}}]
    parts = {part["name"]: part["licenses"][0]["license"]["name"] for part in heif["components"]}
    assert parts == {"libheif": "LGPLv3", "libde265": "LGPLv3", "x265": "GPLv2"}
    makefile = (PROJECT / "Makefile").read_text()
    assert "tools/sbom_licences.py build/sbom-preview.json build/sbom-sam3d.json" in makefile
    readme = (PROJECT / "README.md").read_text()
    assert all(name in readme for name in ("pillow-heif", "GPL-2.0", *parts)), "and so does the README"
