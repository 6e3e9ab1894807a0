"""Import Meta's `sam3d_objects` unchanged, on a GPU machine or on a CPU, without its notebook and without conda.

It comes from the package `sam3d_objects` (from its repository, at the commit that Dockerfile.base pins), or from the
same source inside the PyPI wheel `sam3d`. What prevents the import is changed from outside. Each change names the
upstream file that needs it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sam3d_bento.engines.sam3d import standins
from sam3d_bento.errors import NotReady

# Environment variables that upstream and its libraries read when they are imported.
ENVIRONMENT = {
    "LIDRA_SKIP_INIT": "true",  # otherwise sam3d_objects/__init__.py imports a module that is not public
    "SPARSE_BACKEND": "spconv",
    "LOGURU_LEVEL": "ERROR",  # upstream logs every tensor at INFO, and warns about its own defaults
    # Nothing is downloaded at run time. With these, huggingface_hub fails at once instead of using the network.
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
}

NOT_INSTALLED = "Meta's package sam3d_objects is not installed; the engine 'sam3d' cannot be used."


@dataclass(frozen=True)
class Upstream:
    """Upstream as it was imported.

    source: `sam3d_objects` or `sam3d <version>`. attention: the kernel for sparse attention.
    standins: the packages that are replaced by a stand-in of this project.
    """

    source: str
    attention: str
    standins: tuple[str, ...]


_imported: Upstream | None = None


def locate() -> str | None:
    """Return the installed package, `sam3d_objects` or else `sam3d`; None without either. Imports neither of them."""
    return next((name for name in ("sam3d_objects", "sam3d") if importlib.util.find_spec(name) is not None), None)


def import_torch() -> Any:
    """Import torch without its warning that pynvml, a dependency of this project, is the old name of nvidia-ml-py."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return importlib.import_module("torch")


def prepare(device_type: str) -> Upstream:
    """Make `import sam3d_objects.…` work in this process. All later calls return what the first call did.

    device_type: `cuda` or `cpu`. Raises NotReady when upstream is not installed.
    """
    global _imported
    if _imported is None:
        _imported = _prepare(device_type)
    return _imported


def _prepare(device_type: str) -> Upstream:
    found = locate()
    if found is None:
        raise NotReady(NOT_INSTALLED)
    if found == "sam3d":
        spec = importlib.util.find_spec("sam3d")
        assert spec is not None
        assert spec.submodule_search_locations is not None
        # The wheel has the repository in this folder, and its modules import each other as `sam3d_objects`.
        sys.path.append(str(Path(spec.submodule_search_locations[0]) / "third_party" / "meta"))
    attention = _attention(device_type)
    import_torch()
    os.environ |= ENVIRONMENT | {"ATTN_BACKEND": attention, "SPARSE_ATTN_BACKEND": attention}
    _import_torchvision()
    missing = standins.install(device_type)
    # modules/sparse/conv/__init__.py prints, but standard output is for the output of the calling program.
    with standins.placeholders(), _named_gpu(), redirect_stdout(sys.stderr):
        importlib.import_module("sam3d_objects.pipeline.inference_pipeline_pointmap")
    if attention == "sdpa":
        from sam3d_bento.engines.sam3d.attention import use_packed

        use_packed()
        attention = "packed"
    source = found if found == "sam3d_objects" else f"sam3d {importlib.metadata.version('sam3d')}"
    return Upstream(source, attention, tuple(missing))


def _attention(device_type: str) -> str:
    """Return the attention backend for the environment variable that upstream reads at its import.

    It is a kernel for packed sequences if one is installed, else `sdpa`.
    """
    if device_type == "cuda":
        for backend in ("flash_attn", "xformers"):
            if standins.installed(backend):
                return backend
    return "sdpa"


@contextmanager
def _named_gpu() -> Iterator[None]:
    """Prevent set_attention_backend() of pipeline/inference_pipeline.py, which runs at import, from choosing a backend.

    Without CUDA, its `gpu_name` is unbound (UnboundLocalError). On an A100, H100 or H200, it replaces our choice by
    flash_attn, even where that is not installed. Within the block it sees a GPU of another name instead.
    """
    import torch

    real = torch.cuda.is_available

    def is_available() -> bool:
        return sys._getframe(1).f_code.co_name == "set_attention_backend" or real()

    with (
        rebound(torch.cuda, "is_available", is_available),
        rebound(torch.cuda, "get_device_name", lambda *_: "GPU"),
    ):
        yield


@contextmanager
def rebound(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Set `owner.name` to `value` within the block, and restore it afterwards."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def overridden(module: Any, method: str, function: Callable[..., Any]) -> Iterator[None]:
    """Use `function` as the `method` of this one `module` within the block, and restore the original afterwards."""
    before = vars(module).get(method)
    setattr(module, method, function)
    try:
        yield
    finally:
        if before is None:
            delattr(module, method)  # the method of the class is visible again
        else:
            setattr(module, method, before)


def _import_torchvision() -> None:
    """Import torchvision, even PyPI's CUDA build together with a CPU build of torch.

    Its compiled operators do not load in that case, and torchvision 0.28 fails on two operators for which it registers
    fake kernels. After these are declared, the import succeeds. Upstream uses none of the operators, only transforms.
    """
    import torch

    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        for operator in ("nms", "qnms"):
            torch.library.define(
                f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )
        importlib.import_module("torchvision")


@contextmanager
def computing_on(device: Any) -> Iterator[None]:
    """Make upstream's fixed references to CUDA mean the CPU within the block, for one run on a CPU.

    pipeline/inference_pipeline.py logs `torch.cuda.current_device()`. representations/gaussian/gaussian_model.py calls
    `.cuda()` and has `device="cuda"` as a default. The autocasts for "cuda" disable themselves, each with a warning,
    which is suppressed. On a GPU this does nothing.
    """
    if device.type == "cuda":
        yield
        return
    import torch
    from sam3d_objects.model.backbone.tdfy_dit.representations.gaussian.gaussian_model import Gaussian

    *others, _ = Gaussian.__init__.__defaults__
    with (
        rebound(torch.cuda, "current_device", lambda: -1),
        rebound(torch.Tensor, "cuda", lambda tensor, *_, **__: tensor),
        rebound(Gaussian.__init__, "__defaults__", (*others, device.type)),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message=".*Disabling autocast.*")
        warnings.filterwarnings("ignore", message=".*device_type of 'cuda'.*")
        yield
