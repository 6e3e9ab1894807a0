"""The machine that this program runs on, for a report: versions, processor, memory, disks. JSON values."""

from __future__ import annotations

import os
import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

import sam3d_bento

# What a fault most often depends on. Read from the packages' own records: nothing is imported.
PACKAGES = ("bentoml", "starlette", "uvicorn", "numpy", "pillow", "onnxruntime", "rembg", "trimesh", "xatlas", "torch")

CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def versions() -> dict[str, str | None]:
    """Of this program, of Python and of PACKAGES; None for one that is not installed."""
    return {
        "sam3d-bento": sam3d_bento.__version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
    }


def system() -> dict[str, Any]:
    """The operating system, the processors that this process may use, the memory that it may take (bytes)."""
    return {
        "platform": platform.platform(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "memory_limit_bytes": _memory_limit(),
    }


def disk(folder: Path) -> dict[str, Any]:
    """The folder, or the nearest one above it that exists: whether this process can write there, and bytes free."""
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
    """Of the container; None without one."""
    try:
        text = CGROUP_LIMIT.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
