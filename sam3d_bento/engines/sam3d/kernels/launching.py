"""Launch Triton kernels, or compile them for a GPU that is not there.

`triton_operations` launches each kernel through `launch`. Within `compiling`, the same calls compile their kernels and
launch nothing, so that what is compiled ahead of time is what is launched later, with the same specialisations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Called with each kernel that is compiled, instead of a launch. None: kernels are launched.
_on_compiled: Callable[[Any], None] | None = None


def launch(kernel: Any, grid: tuple[int, ...], *args: Any, **options: Any) -> None:
    """Launch a Triton kernel. options: its constants, `num_warps` and `num_stages`."""
    if _on_compiled is not None:
        _on_compiled(kernel.warmup(*args, grid=grid, **options))
        return
    kernel[grid](*args, **options)


@contextmanager
def compiling(on_compiled: Callable[[Any], None]) -> Iterator[None]:
    """Compile kernels within the block instead of launching them. on_compiled: called with each compiled kernel."""
    global _on_compiled
    _on_compiled = on_compiled
    try:
        yield
    finally:
        _on_compiled = None
