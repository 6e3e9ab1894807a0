"""Compile all kernels for GPUs that are not there, with the C stubs that launch them: `python -m … FOLDER`.

Triton compiles a kernel at its first launch, and a stub in C for each signature, for which it needs a C compiler. The
base image has none. While it is built, this program fills a folder that Triton then reads as its cache
(TRITON_CACHE_DIR). It makes the calls that the service makes (`cases`), with a driver that names another GPU than this
machine has, so Triton itself computes the names in the folder.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

# Compute capabilities: A100; RTX 4090 and L4; H100 and H200.
TARGETS = (80, 89, 90)
WARP_SIZE = 32


class Compiled(NamedTuple):
    """A compiled kernel. case: what it was compiled for. shared_bytes: shared memory that a block of it needs."""

    case: str
    kernel: str
    target: int
    shared_bytes: int


class _Driver:
    """Triton's driver of a GPU of compute capability `target` that is not there."""

    def __init__(self, target: int) -> None:
        from triton.backends.compiler import GPUTarget

        self._target = GPUTarget("cuda", target, WARP_SIZE)

    def get_current_target(self) -> Any:
        return self._target

    def get_current_device(self) -> int:
        return int(self._target.arch)  # Triton keeps compiled kernels by the device's number

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_active_torch_device(self) -> Any:
        import torch

        return torch.device("meta")


def compile_all(targets: Sequence[int] = TARGETS) -> Iterator[Compiled]:
    """Compile every kernel and its C stub for each target; yield each as it is done. It uses Triton's cache.

    A C compiler must be there.
    """
    import triton

    from sam3d_bento.engines.sam3d.kernels import triton_operations
    from sam3d_bento.engines.sam3d.kernels.cases import cases
    from sam3d_bento.engines.sam3d.kernels.launching import instead

    for target in targets:
        triton.runtime.driver.set_active(_Driver(target))
        for case in cases("meta"):
            found: list[tuple[Any, Any]] = []
            with instead(partial(_compile, found)):
                case.run(triton_operations)
            for kernel, compiled in found:
                _compile_stub(compiled)
                yield Compiled(case.name, kernel.fn.__name__, target, compiled.metadata.shared)
    _compile_utilities()


def _compile(found: list[tuple[Any, Any]], kernel: Any, grid: Any, args: Any, options: Any) -> None:
    """Compile a kernel instead of launching it, and add both to `found`."""
    found.append((kernel, kernel.warmup(*args, grid=grid, **options)))


def _compile_stub(compiled: Any) -> None:
    from triton.backends.nvidia.driver import CudaLauncher

    try:
        CudaLauncher(compiled.src, compiled.metadata)
    except ImportError:  # it is in the cache, and cannot be loaded without a GPU's driver
        return


def _compile_utilities() -> None:
    from triton.backends.nvidia.driver import CudaUtils

    try:
        CudaUtils()
    except ImportError:  # as above
        return


def write_stand_in(folder: Path) -> None:
    """Write a library with the name of the GPU's driver into `folder`, against which the stubs are linked.

    It defines what they call. With an empty library, linkers that leave out what is not needed would leave it out, and
    the stubs would not find the real driver later.
    """
    triton = importlib.util.find_spec("triton")
    assert triton is not None
    assert triton.submodule_search_locations is not None
    backend = Path(triton.submodule_search_locations[0], "backends", "nvidia")
    sources = (backend / "driver.c").read_text() + (backend / "driver.py").read_text()
    names = sorted(set(re.findall(r"\bcu[A-Z]\w*", sources)))
    source, library = folder / "driver.c", folder / "libcuda.so.1"
    source.write_text("".join(f"int {name}(void) {{ return 0; }}\n" for name in names))
    compiler = os.environ.get("CC", "gcc")
    options = ["-w", "-shared", "-fPIC", f"-Wl,-soname,{library.name}", "-o", str(library)]
    subprocess.run([compiler, str(source), *options], check=True)  # noqa: S603  # the compiler of this build
    (folder / "libcuda.so").symlink_to(library.name)  # the name that Triton 3.1 links against


def main() -> None:
    """Fill the folder that is given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--targets", type=int, nargs="+", default=list(TARGETS), help="compute capabilities, 90 for 9.0"
    )
    options = parser.parse_args()
    os.environ["TRITON_CACHE_DIR"] = str(options.folder.absolute())  # read at Triton's import
    # It says that a stub cannot be loaded, which needs a GPU's driver.
    logging.getLogger("triton.runtime.build").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        write_stand_in(Path(folder))
        os.environ["TRITON_LIBCUDA_PATH"] = folder  # where Triton looks for the library
        done = list(compile_all(options.targets))
    largest = max(done, key=lambda one: one.shared_bytes)
    print(f"{len(done)} calls compiled; at most {largest.shared_bytes:,} bytes of shared memory ({largest.kernel})")


if __name__ == "__main__":
    main()
