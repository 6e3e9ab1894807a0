"""Choose the kernels of this process: Triton's where they work, else none, with the reason.

Before the first request, each kernel runs once and is compared with its torch form. So a GPU for which the cache has no
kernels, a machine without a C compiler and a kernel that computes something else are all found while loading.
"""

from __future__ import annotations

import importlib.util
import logging
from typing import Any, NamedTuple

import torch

from sam3d_bento.engines.sam3d.kernels import reference
from sam3d_bento.engines.sam3d.kernels.cases import cases

# Lowest compute capability (A100, RTX 30) whose matrix units and asynchronous copies the kernels' tiles were made for.
LEAST_CAPABILITY = (8, 0)
# Largest difference from the torch form, relative to the norm of the result. float16 gives up to 0.0005
# (benchmarks/results/gpu-kernels.json, call 0).
TOLERANCE = 0.003

log = logging.getLogger("sam3d_bento.sam3d")


class Choice(NamedTuple):
    """Kernels for the fused networks. operations: None to compute as upstream. summary: a name, or the reason."""

    operations: Any
    summary: str


def choose(wanted: str, device: torch.device) -> Choice:
    """Return the kernels to compute with on `device`. wanted: `auto` or `off`."""
    if wanted == "off":
        return Choice(None, "off: SAM3D_KERNELS is off")
    if device.type != "cuda":
        return Choice(None, "off: there is no GPU")
    if importlib.util.find_spec("triton") is None:
        return _refused("Triton is not installed")
    if torch.cuda.get_device_capability(device) < LEAST_CAPABILITY:
        return _refused("the GPU is older than compute capability 8.0")
    try:
        from sam3d_bento.engines.sam3d.kernels import triton_operations

        wrong = differing(triton_operations, device)
    except Exception as exc:  # whatever Triton, its compilers or the driver raise: the network runs without them
        log.info("Triton's error", exc_info=True)
        return _refused(f"Triton cannot compile or launch its kernels here ({type(exc).__name__})")
    if wrong is not None:
        return _refused(f"a kernel computes something else than torch ({wrong})")
    return Choice(triton_operations, triton_operations.NAME)


def differing(operations: Any, device: torch.device) -> str | None:
    """Return the name of the first case in which `operations` differ from their torch forms; None if none does."""
    for case in cases(device):
        for found, expected in zip(case.run(operations), case.run(reference), strict=True):
            difference = (found.float() - expected.float()).norm() / expected.float().norm()
            if not float(difference) <= TOLERANCE:  # also where it is not a number
                return case.name
    return None


def _refused(reason: str) -> Choice:
    log.warning("SAM 3D runs slower than it could: %s", reason)
    return Choice(None, f"off: {reason}")
