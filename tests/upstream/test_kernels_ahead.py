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
for one in compile_all([89]):
    print(one.shared_bytes, one.kernel)
"""
STAND_IN = """
import sys
from pathlib import Path
from sam3d_bento.engines.sam3d.kernels.ahead import write_stand_in
write_stand_in(Path(sys.argv[1]))
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


def test_kernels_and_stubs_are_found_without_a_compiler_and_fit_on_a_4090(upstream, tmp_path):
    """The second time, all is loaded from the folder. A library that has what the stubs call stands for the driver."""
    pytest.importorskip("triton")
    if shutil.which("gcc") is None:
        pytest.skip("there is no C compiler here")
    folder, driver, programs = (tmp_path / name for name in ("cache", "driver", "programs"))
    assert "calls compiled" in run("-m", "sam3d_bento.engines.sam3d.kernels.ahead", str(folder), "--targets", "89")
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}

    driver.mkdir()
    run("-c", STAND_IN, str(driver))
    programs.mkdir()
    if (file := shutil.which("file")) is not None:  # what it says of Python is part of Triton's names
        (programs / "file").symlink_to(file)
    places = {"PATH": str(programs), "LD_LIBRARY_PATH": str(driver), "TRITON_LIBCUDA_PATH": str(driver)}
    lines = run("-c", LISTED, TRITON_CACHE_DIR=str(folder), **places).splitlines()
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == files

    shared = [(int(line.split()[0]), line.split()[1]) for line in lines]
    assert {"attend", "convolve", "residual_norm"} <= {kernel for _, kernel in shared}
    assert max(shared)[0] <= MOST_BYTES_ON_SM_89
