"""What an exception from the GPU means for the engine. Knows no torch: the libraries are told apart by their words."""

from __future__ import annotations

import re

# torch.OutOfMemoryError and "CUDA error: out of memory"; spconv and cumm: "tensorview/tensor.h:223 cuda failed with
# error 2 out of memory"; cuBLAS, cuDNN: "CUBLAS_STATUS_ALLOC_FAILED".
_MEMORY = re.compile(r"out of memory|_STATUS_ALLOC_FAILED|failed to allocate", re.IGNORECASE)

# After one of these every further CUDA call of the process fails (or may give wrong numbers): the context is lost.
_STICKY = re.compile(
    r"CUDA error|cuda failed with error|CUBLAS_STATUS|CUDNN_STATUS|cudaError|device-side assert"
    r"|illegal memory access|unspecified launch failure|NVRTC_ERROR",
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the GPU's memory did not suffice. What was allocated can be freed, and the process works on."""
    return isinstance(error, RuntimeError) and _MEMORY.search(str(error)) is not None


def is_sticky(error: BaseException) -> bool:
    """Whether this process can no longer use the GPU."""
    return isinstance(error, RuntimeError) and not is_out_of_memory(error) and _STICKY.search(str(error)) is not None
