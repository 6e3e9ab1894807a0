"""The packages of others that the pages carry are what npm gives, byte for byte."""

import shutil
import subprocess

import pytest

from tests.support.places import PROJECT

VENDORED = PROJECT / "sam3d_bento" / "serving" / "web" / "vendor"
# What each tool writes.
WRITTEN = {
    "vendor_three": {"three.js", "three.LICENSE.txt"},
    "vendor_lean_qr": {"lean-qr.js", "lean-qr.LICENSE.txt"},
    "vendor_client_zip": {"client-zip.js", "client-zip.LICENSE.txt"},
    "vendor_swagger_ui": {"swagger-ui.js", "swagger-ui.css", "swagger-ui.LICENSE.txt"},
}

pytestmark = pytest.mark.browser


def test_every_vendored_file_has_its_tool():
    assert {path.name for path in VENDORED.iterdir()} == set().union(*WRITTEN.values())


@pytest.mark.parametrize("tool", WRITTEN)
def test_the_files_can_be_made_again(tool, tmp_path):
    shutil.copytree(PROJECT / "tools" / tool, tmp_path, dirs_exist_ok=True, ignore=lambda *_: ["node_modules"])
    # esbuild's script only replaces its launcher by the program; the tool works without.
    for command in (["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], ["node", "build.mjs", "made"]):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert {path.name for path in (tmp_path / "made").iterdir()} == WRITTEN[tool]
    for path in (tmp_path / "made").iterdir():
        assert (VENDORED / path.name).read_bytes() == path.read_bytes()
