"""Kernels compiled for GPUs that are not there, and found again by Triton under the names that it looks for."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Shared memory that a block can have on an RTX 4090 (compute capability 8.9): 99 KiB (CUDA C++ Programming Guide).
MOST_BYTES_ON_SM_89 = 101_376

LISTED = """
from sam3d_bento.engines.sam3d.kernels.ahead import compile_all
for one in compile_all([89], stubs=False):
    print(one.shared_bytes, one.kernel)
"""


def run(*arguments, **environment):
    """Run Python as a process of its own, in which Triton compiles instead of interpreting."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("TRITON_")}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=inherited | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_folder_has_all_that_triton_looks_for_and_it_fits_on_a_4090(upstream, tmp_path):
    pytest.importorskip("triton")
    if shutil.which("gcc") is None:
        pytest.skip("there is no C compiler here")
    folder = tmp_path / "cache"
    assert "calls compiled" in run("-m", "sam3d_bento.engines.sam3d.kernels.ahead", str(folder), "--targets", "89")
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    names = [path.name for path in files]
    assert any(name.startswith("__triton_launcher") for name in names)
    assert any(name.startswith("cuda_utils") for name in names)
    lines = run("-c", LISTED, TRITON_CACHE_DIR=str(folder)).splitlines()
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == files  # nothing was compiled again
    shared = {line.split()[1]: int(line.split()[0]) for line in lines}
    assert {"attend", "convolve", "residual_norm"} <= shared.keys()
    assert max(shared.values()) <= MOST_BYTES_ON_SM_89
