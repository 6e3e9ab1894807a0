"""Small replacements for what upstream imports, for machines where the real package is absent.

Upstream imports some twenty packages; on the way from a photo to a mesh it executes a few functions of seven of them.
Those seven have a module here, each equal to the original in what is executed (`tests/upstream`). The others are
imported by upstream for work that this project does itself (texture baking, rendering, layout optimisation): they are
placeholders while upstream is imported, whether the real ones are installed or not, and refuse to be called.

With that the GPU image needs no compiler and no build of a CUDA extension: PyPI has no wheel of pytorch3d and only an
empty one of kaolin.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

# What upstream executes of each: the modules that it imports, of the real package or of its stand-in here.
EXECUTED = {
    "kaolin": ("kaolin.utils.testing",),
    "lightning": ("lightning.pytorch",),
    "moge": ("moge.utils.geometry_torch", "moge.utils.geometry_numpy"),
    "pytorch3d": ("pytorch3d.transforms", "pytorch3d.renderer", "pytorch3d.structures"),
    "spconv": ("spconv.pytorch",),
    "timm": ("timm.models.vision_transformer",),
    "utils3d": ("utils3d.torch",),
}

# Imported at the top of upstream modules, executed by none of the functions between photo and mesh:
# renderers/gaussian_render.py, utils/postprocessing_utils.py, pipeline/inference_utils.py,
# pipeline/layout_post_optimization_utils.py, data/utils.py, data/dataset/tdfy/img_and_mask_transforms.py.
NEVER_EXECUTED = (
    "astor",
    "cv2",
    "diff_gaussian_rasterization",
    "gsplat",
    "igraph",
    "matplotlib",
    "matplotlib.pyplot",
    "nvdiffrast",
    "open3d",
    "pymeshfix",
    "pyvista",
    "xatlas",
)


class Placeholder:
    """Takes the place of a name that is imported but not used on our path. Calling it is a fault."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("A package that this service leaves out was called: upstream took another path.")


def _placeholder_name(name: str) -> type[Placeholder]:
    """Any public name of a stand-in module that it does not define."""
    if name.startswith("__"):
        raise AttributeError(name)
    return Placeholder


def module(name: str, **names: Any) -> ModuleType:
    """Put a module `name` into `sys.modules`, parents included, and set `names` on it; the others are placeholders."""
    parent: ModuleType | None = None
    for length in range(1, name.count(".") + 2):
        full = ".".join(name.split(".")[:length])
        if full not in sys.modules:
            made = ModuleType(full)
            made.__spec__ = importlib.machinery.ModuleSpec(full, None, is_package=True)
            made.__path__ = []
            made.__getattr__ = _placeholder_name  # type: ignore[method-assign]  # PEP 562
            sys.modules[full] = made
        if parent is not None:
            setattr(parent, full.rpartition(".")[2], sys.modules[full])
        parent = sys.modules[full]
    assert parent is not None
    for key, value in names.items():
        setattr(parent, key, value)
    return parent


def installed(package: str) -> bool:
    """Whether the real package can be imported; it is not imported to find out."""
    spec = importlib.util.find_spec(package)  # for a stand-in of ours: the spec that `module` gave it, without a loader
    return spec is not None and spec.loader is not None


def install(device_type: str) -> list[str]:
    """Put in place what is missing of EXECUTED; returns the names of the packages that are stood in for.

    device_type: `cuda` or `cpu`. Idempotent.
    """
    missing = [package for package in EXECUTED if not _usable(package, device_type)]
    for package in missing:
        importlib.import_module(f"{__name__}.{package}").install()
    # The real ones are imported now: later, for upstream, even packages that are installed are hidden, and a real
    # package may want a real matplotlib. What is absent they do not execute either (MoGe's utilities import cv2).
    with placeholders([name for name in NEVER_EXECUTED if not installed(name.partition(".")[0])]):
        for package in EXECUTED.keys() - missing:
            for name in EXECUTED[package]:
                importlib.import_module(name)
    return missing


def _usable(package: str, device_type: str) -> bool:
    if package in ("kaolin", "lightning"):
        # One function that checks a shape, one `isinstance`. The real ones load CUDA and warp for it (PyPI has only an
        # empty kaolin 0.1), and need up to 13 seconds to import.
        return False
    if package == "spconv" and device_type != "cuda":
        # spconv 2.3.8 on CPU gives wrong neighbours for column-major indices, and with more than one OpenMP thread
        # other results on every call.
        return False
    return installed(package)


@contextmanager
def placeholders(names: Sequence[str] = NEVER_EXECUTED) -> Iterator[None]:
    """Modules of these names are placeholders for the time; the real ones are back afterwards.

    The exporter uses the real xatlas in the same process.
    """
    packages = {name.partition(".")[0] for name in names}
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in packages}
    try:
        for name in names:
            module(name)
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)
