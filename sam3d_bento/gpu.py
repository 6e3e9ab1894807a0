"""Read the GPU's memory from NVML. The service process uses this, because it never touches CUDA."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

with warnings.catch_warnings():
    # pynvml 13 is NVIDIA's nvidia-ml-py under its old name, and warns about that at every import.
    warnings.simplefilter("ignore", FutureWarning)
    import pynvml


@dataclass(frozen=True)
class GpuMemory:
    """Memory of the first visible GPU, used by all processes together, in bytes."""

    name: str
    used_bytes: int
    total_bytes: int


def memory() -> GpuMemory | None:
    """Return the memory in use now, or None on a machine without an NVIDIA GPU or driver."""
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


def description() -> dict[str, Any] | None:
    """Return the driver and the cards as JSON values, or None on a machine without an NVIDIA GPU or driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        cuda = pynvml.nvmlSystemGetCudaDriverVersion_v2()  # 12040 means 12.4
        cards = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            device = pynvml.nvmlDeviceGetHandleByIndex(index)
            info = pynvml.nvmlDeviceGetMemoryInfo(device)
            name = str(pynvml.nvmlDeviceGetName(device))
            cards.append({"name": name, "total_bytes": int(info.total), "used_bytes": int(info.used)})
        driver = str(pynvml.nvmlSystemGetDriverVersion())
        return {"driver": driver, "cuda": f"{cuda // 1000}.{cuda % 1000 // 10}", "cards": cards}
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()
