"""Resolve all dependencies as wheels for each version of Python, and say for which it can be done.

The versions that pyproject.toml claims must be exactly those: a line that is not as claimed is an error (status 1).

Usage: python tools/python_versions.py
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

FOLDER = Path(__file__).parents[1]
# From one below the first to the newest that has been released.
MINORS = range(10, 16)
# Those that bring features for everybody; `dev`, `runpod` and `sam3d` have environments of their own.
EXTRAS = ("heic", "usdz")


def claims(minor: int) -> bool:
    """Return whether pyproject.toml says that this minor version of Python 3 will do."""
    wanted = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]["requires-python"]
    first, last = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", wanted).groups()
    return int(first) <= minor < int(last)


def resolve(minor: int) -> str | None:
    """Resolve the dependencies as wheels for this machine's platform. Return None, or why it cannot be done."""
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]
    needs = project["dependencies"] + [need for extra in EXTRAS for need in project["optional-dependencies"][extra]]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "uv",
            "pip",
            "compile",
            "-q",
            "--only-binary",
            ":all:",
            "--python-version",
            f"3.{minor}",
            "-",
        ],
        input="\n".join(needs),
        capture_output=True,
        text=True,
    )
    if done.returncode == 0:
        return None
    return re.search(r"Because (\S+) has no usable wheels|$", done.stderr).group(1) or done.stderr.strip()


def main() -> None:
    """Print a line for each version; exit with status 1 when pyproject.toml claims something else."""
    wrong = []
    for minor in MINORS:
        refusal = resolve(minor)
        print(f"3.{minor}  " + ("all dependencies have wheels" if refusal is None else f"no wheel: {refusal}"))
        if claims(minor) != (refusal is None):
            wrong.append(f"3.{minor}")
    if wrong:
        sys.exit(f"pyproject.toml's requires-python does not fit to {', '.join(wrong)}.")


if __name__ == "__main__":
    main()
