"""The part of three.js that the package carries is what npm's packages give, byte for byte."""

import shutil
import subprocess

import pytest

from tests.support.places import PROJECT

TOOL = PROJECT / "tools" / "vendor_three"

pytestmark = pytest.mark.browser


def test_the_bundle_can_be_made_again(tmp_path):
    for name in ("package.json", "package-lock.json", "entry.mjs", "build.mjs"):
        shutil.copy(TOOL / name, tmp_path)
    for command in (["npm", "ci", "--no-audit", "--no-fund"], ["node", "build.mjs", "made"]):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    vendored = PROJECT / "sam3d_bento" / "serving" / "web" / "vendor"
    assert {path.name for path in vendored.iterdir()} == {"three.js", "three.LICENSE.txt"}
    for path in vendored.iterdir():
        assert (tmp_path / "made" / path.name).read_bytes() == path.read_bytes()
