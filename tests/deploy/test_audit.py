"""The audit's verdicts, and the lists of parts."""

import json
import re

import pytest

from tests.support.places import PROJECT
from tools import sbom_licences
from tools.audit import verdict


def report(*packages):
    return json.dumps({"dependencies": list(packages), "fixes": []})


CLEAN = {"name": "numpy", "version": "2.4.6", "vulns": []}
HOLED = {"name": "pillow", "version": "9.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["9.1"]}]}
UNKNOWN = {"name": "ours", "skip_reason": "Dependency not found on PyPI"}


def test_packages_without_a_known_fault_pass():
    assert verdict(report(CLEAN), "") == (0, "1 packages were looked up; 0 have known vulnerabilities.")


def test_a_known_fault_fails_and_says_what_mends_it():
    status, said = verdict(report(CLEAN, HOLED, UNKNOWN), "")
    assert status == 1
    assert "pillow 9.0: PYSEC-1, mended in 9.1" in said
    assert "Not in the database: ours." in said


def test_a_database_that_knows_nothing_is_no_proof():
    status, said = verdict(report(UNKNOWN, UNKNOWN), "No known vulnerabilities found")
    assert (status, said.startswith("SKIPPED: ")) == (0, True)
    assert "none of 2 packages" in said


def test_a_database_that_is_not_reached_is_said():
    status, said = verdict("", "Traceback ...\nrequests.exceptions.ConnectionError: HTTPSConnectionPool")
    assert (status, said.startswith("SKIPPED: ")) == (0, True)


@pytest.mark.parametrize("stderr", ["", "ERROR: invalid requirement"])
def test_any_other_end_fails(stderr):
    assert verdict("", stderr)[0] == 1


def test_everything_that_is_pinned_is_audited_and_what_ships_is_listed():
    makefile = (PROJECT / "Makefile").read_text()
    audit = re.search(r"^audit:.*?(?=^\S)", makefile, re.MULTILINE | re.DOTALL)[0]
    for name in ("core", "dev", "upstream", "runpod"):
        assert f"requirements/{name}.txt" in audit
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
