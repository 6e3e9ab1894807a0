"""The types that openapi-typescript makes of our document fit a program, the one that docs/clients.md prints."""

import re
import shutil
import subprocess

import pytest

from tests.support.places import PROJECT
from tests.support.snippets import snippets

pytestmark = pytest.mark.api

TOOL = PROJECT / "tools" / "openapi_typescript"
SERVICE = "http://127.0.0.1:8000"
COMMAND = snippets()["docs/clients.md / TypeScript / 1"].commands
PROGRAM = snippets()["docs/clients.md / TypeScript / 2"].text
TSC = ("npx", "tsc", "--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "nodenext")

USE = "\nvoid modelOf(new Blob(), { texture_size: SIZE });\n"
RIGHT = {"printed": PROGRAM, "option": PROGRAM + USE.replace("SIZE", "512")}
WRONG = {
    "state": PROGRAM.replace('job.state === "running"', 'job.state === "runing"'),
    "path": PROGRAM.replace('"/api/jobs/{id}"', '"/api/job/{id}"'),
    "problem": PROGRAM.replace("error.detail", "error.details"),
    "report": PROGRAM.replace("job.report.id", "job.report.asset"),
    "value": PROGRAM + USE.replace("SIZE", "1000"),
    "name": PROGRAM + USE.replace("texture_size: SIZE", "texturesize: 512"),
}


@pytest.fixture(scope="module")
def faults(tmp_path_factory, server):
    """What the compiler says of each program, by the program's name."""
    if shutil.which("npm") is None:
        pytest.skip("there is no npm here")
    folder = tmp_path_factory.mktemp("types")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(TOOL / name, folder)
    generate = COMMAND.replace(SERVICE, server.url).split()
    for command in (["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], generate):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    programs = RIGHT | WRONG
    for name, text in programs.items():
        (folder / f"{name}.ts").write_text(text)
    done = subprocess.run([*TSC, *(f"{name}.ts" for name in programs)], cwd=folder, capture_output=True, text=True)
    found = {name: [] for name in programs}
    for name, fault in re.findall(r"^(\w+)\.ts\(\d+,\d+\): error (TS\d+: .*)$", done.stdout, re.MULTILINE):
        found[name].append(fault)
    assert sum(map(len, found.values())) == done.stdout.count("error TS"), done.stdout
    return found


@pytest.mark.parametrize("name", RIGHT)
def test_a_program_fits_the_types(faults, name):
    assert faults[name] == []


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_does_not_fit(faults, name):
    assert WRONG[name] != PROGRAM
    assert faults[name]
