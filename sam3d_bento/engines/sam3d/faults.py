"""Classify the exceptions of the GPU's libraries by their messages, without importing torch."""

from __future__ import annotations

import re

# Messages of a lack of memory. torch: torch.OutOfMemoryError and "CUDA error: out of memory"; spconv and cumm:
# "tensorview/tensor.h:223 cuda failed with error 2 out of memory"; cuBLAS and cuDNN: "CUBLAS_STATUS_ALLOC_FAILED".
_MEMORY = re.compile(r"out of memory|_STATUS_ALLOC_FAILED|failed to allocate", re.IGNORECASE)

# Messages of errors after which the CUDA context of the process is lost: every further CUDA call fails, or may give
# wrong numbers.
_STICKY = re.compile(
    r"CUDA error|cuda failed with error|CUBLAS_STATUS|CUDNN_STATUS|cudaError|device-side assert"
    r"|illegal memory access|unspecified launch failure|NVRTC_ERROR",
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the GPU's memory did not suffice. The process can then free its memory and continue."""
    return isinstance(error, RuntimeError) and _MEMORY.search(str(error)) is not None


def is_sticky(error: BaseException) -> bool:
    """Return whether the error means that this process can no longer use the GPU."""
    return isinstance(error, RuntimeError) and not is_out_of_memory(error) and _STICKY.search(str(error)) is not None
