"""What NVML says of the GPU's memory. Asked by the service process, which never touches CUDA."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

with warnings.catch_warnings():
    # pynvml 13 is NVIDIA's nvidia-ml-py under its old name, and says so at every import.
    warnings.simplefilter("ignore", FutureWarning)
    import pynvml


@dataclass(frozen=True)
class GpuMemory:
    """Memory of the first visible GPU, over all processes, in bytes."""

    name: str
    used_bytes: int
    total_bytes: int


def memory() -> GpuMemory | None:
    """Memory in use now, or None on a machine without an NVIDIA GPU or driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        device = pynvml.nvmlDeviceGetHandleByIndex(0)
        info = pynvml.nvmlDeviceGetMemoryInfo(device)
        return GpuMemory(str(pynvml.nvmlDeviceGetName(device)), int(info.used), int(info.total))
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()
