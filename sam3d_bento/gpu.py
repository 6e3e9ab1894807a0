"""What NVML says of the GPU's memory. Asked by the service process, which never touches CUDA."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

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


def description() -> dict[str, Any] | None:
    """The driver and the cards, JSON values; None on a machine without an NVIDIA GPU or driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        cuda = pynvml.nvmlSystemGetCudaDriverVersion_v2()  # 12040: 12.4
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
