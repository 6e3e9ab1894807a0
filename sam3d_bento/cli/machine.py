"""Describe the machine of this process for a report: versions, processors, memory, disks. All are JSON values."""

from __future__ import annotations

import os
import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

import sam3d_bento

# Packages whose versions explain most bugs. The versions are read from the installed metadata, without an import.
PACKAGES = ("bentoml", "starlette", "uvicorn", "numpy", "pillow", "onnxruntime", "rembg", "trimesh", "xatlas", "torch")

# Memory limit of the container in bytes, or "max" (cgroup v2).
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def versions() -> dict[str, str | None]:
    """Return the versions of this program, of Python and of PACKAGES; None for a package that is not installed."""
    return {
        "sam3d-bento": sam3d_bento.__version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
    }


def system() -> dict[str, Any]:
    """Return the operating system, the processors that this process may use, and the memory and its limit in bytes."""
    return {
        "platform": platform.platform(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "memory_limit_bytes": _memory_limit(),
    }


def disk(folder: Path) -> dict[str, Any]:
    """Return whether this process can write to a folder, and the free and total bytes of its disk.

    For a folder that does not exist, the figures are those of the nearest existing parent.
    """
    place = next(path for path in (folder, *folder.parents) if path.exists())
    usage = shutil.disk_usage(place)
    return {
        "path": str(folder),
        "exists": place == folder,
        "writable": place.is_dir() and os.access(place, os.W_OK | os.X_OK),
        "free_bytes": usage.free,
        "total_bytes": usage.total,
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _memory_limit() -> int | None:
    """Return the memory limit of the container in bytes; None if there is none."""
    try:
        text = CGROUP_LIMIT.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
