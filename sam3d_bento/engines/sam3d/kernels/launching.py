"""Launch Triton kernels, or do something else with the same calls: compile them for a GPU that is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Called with the kernel, the grid, the arguments and the options of each launch, instead of launching.
Substitute = Callable[[Any, tuple[int, ...], tuple[Any, ...], dict[str, Any]], None]

_substitute: Substitute | None = None


def launch(kernel: Any, grid: tuple[int, ...], *args: Any, **options: Any) -> None:
    """Launch a Triton kernel. options: its constants, `num_warps` and `num_stages`."""
    if _substitute is None:
        kernel[grid](*args, **options)
    else:
        _substitute(kernel, grid, args, options)


@contextmanager
def instead(substitute: Substitute) -> Iterator[None]:
    """Call `substitute` within the block instead of launching kernels."""
    global _substitute
    _substitute = substitute
    try:
        yield
    finally:
        _substitute = None
