"""Replace packages that upstream imports by small stand-ins, on machines where the real package is absent.

Upstream imports about twenty packages. On the way from a photo to a mesh, it executes a few functions of seven of them.
Each of the seven has a module here, whose functions equal the original (`tests/upstream`). Upstream imports the other
packages for work that this project does itself: texture baking, rendering, layout optimisation. While upstream is
imported, these are placeholders, whether the real packages are installed or not. Calling a placeholder is an error.

The GPU image therefore needs no compiler and no build of a CUDA extension. PyPI has no wheel of pytorch3d and only an
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

# Packages of which upstream executes code, each with the modules that upstream imports, from the real package or from
# its stand-in here.
EXECUTED = {
    "kaolin": ("kaolin.utils.testing",),
    "lightning": ("lightning.pytorch",),
    "moge": ("moge.utils.geometry_torch", "moge.utils.geometry_numpy"),
    "pytorch3d": ("pytorch3d.transforms", "pytorch3d.renderer", "pytorch3d.structures"),
    "spconv": ("spconv.pytorch",),
    "timm": ("timm.models.vision_transformer",),
    "utils3d": ("utils3d.torch",),
}

# Packages that upstream modules import at their top, but that no function between photo and mesh executes. The modules
# are renderers/gaussian_render.py, utils/postprocessing_utils.py, pipeline/inference_utils.py,
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
    """Stand-in of a name that upstream imports but does not use between photo and mesh. Calling it raises an error."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("A package that this service leaves out was called: upstream took another path.")


def _placeholder_name(name: str) -> type[Placeholder]:
    """Return the placeholder for a public name that a stand-in module does not define."""
    if name.startswith("__"):
        raise AttributeError(name)
    return Placeholder


def module(name: str, **names: Any) -> ModuleType:
    """Put a module `name` and its parents into `sys.modules`, and set `names` on it. Other names are placeholders."""
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
    """Return whether the real package can be imported, without importing it."""
    spec = importlib.util.find_spec(package)  # of a stand-in: the spec from `module`, without a loader
    return spec is not None and spec.loader is not None


def install(device_type: str) -> list[str]:
    """Install a stand-in for each package of EXECUTED that is missing, and return the names of these packages.

    device_type: `cuda` or `cpu`. A second call changes nothing.
    """
    missing = [package for package in EXECUTED if not _usable(package, device_type)]
    for package in missing:
        importlib.import_module(f"{__name__}.{package}").install()
    # The real packages are imported now, because a real package may need a real matplotlib, for example. Later, while
    # upstream is imported, even installed packages of NEVER_EXECUTED are hidden. The real packages execute nothing of
    # those that are absent (MoGe's utilities import cv2).
    with placeholders([name for name in NEVER_EXECUTED if not installed(name.partition(".")[0])]):
        for package in EXECUTED.keys() - missing:
            for name in EXECUTED[package]:
                importlib.import_module(name)
    return missing


def _usable(package: str, device_type: str) -> bool:
    if package in ("kaolin", "lightning"):
        # Upstream executes one function that checks a shape, and one `isinstance`. For these, the real packages load
        # CUDA and warp, and need up to 13 seconds to import. PyPI also has only an empty kaolin 0.1.
        return False
    if package == "spconv" and device_type != "cuda":
        # On a CPU, spconv 2.3.8 gives wrong neighbours for column-major indices, and with more than one OpenMP thread
        # it gives other results at every call.
        return False
    return installed(package)


@contextmanager
def placeholders(names: Sequence[str] = NEVER_EXECUTED) -> Iterator[None]:
    """Replace the modules of these names by placeholders within the block, and restore the real ones afterwards.

    They must be restored because the exporter uses the real xatlas in the same process.
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
