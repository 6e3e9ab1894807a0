"""Run meshoptimizer's simplifier, which collapses edges by quadric error of places and attributes, and moves vertices.

No wheel has its `simplifyWithUpdate` for all processors. So the WebAssembly of meshoptimizer's npm package is run by
wasmtime, at two thirds of the speed of native code. It is beside this module, with its licence (MIT);
tools/vendor_meshoptimizer/build.mjs writes it from the package that the lock file names with its hash. Equal
input gives equal output on every processor.

Garland and Heckbert: Simplifying Surfaces with Color and Texture using Quadric Error Metrics (IEEE Visualization 1998);
Hoppe: New Quadric Metric for Simplifying Meshes with Appearance Attributes (IEEE Visualization 1999).
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import wasmtime

from sam3d_bento.arrays import Bool, Float32, Int32

PROGRAM = Path(__file__).with_name("meshopt_simplifier.wasm")

ANY_ERROR = 1e9  # share of the extent; the number of faces alone ends the simplification
NO_OPTIONS = 0
ALIGNMENT_BYTES = 16  # of every array in the program's memory


class SimplifierFailed(Exception):
    """The program stopped before its end: for example, its memory of at most 4 GB was too small."""


def collapse_edges(
    vertices: Float32,
    faces: Int32,
    attributes: Float32,
    weight: float,
    target_faces: int,
    locked: Bool | None = None,
) -> tuple[Float32, Int32, Float32]:
    """Collapse edges until at most `target_faces` faces are left, or no further edge can be collapsed.

    vertices (V, 3) float32, faces (F, 3) int32, attributes (V, A) float32, A from 1 to 32. weight: the distance, as a
    share of the extent, that counts as much as a difference of 1 in an attribute. locked (V,) bool: vertices that keep
    their place; none if left out. Returns the vertices that are left, at new places, their faces, and their attributes.
    Borders hardly move, and edges of more than two faces are not collapsed. Raises SimplifierFailed.
    """
    locks = np.zeros(len(vertices), bool) if locked is None else locked
    try:
        return _Program().simplify(vertices, faces, attributes, weight, target_faces, locks)
    except (wasmtime.Trap, wasmtime.WasmtimeError) as exc:
        raise SimplifierFailed(str(exc).splitlines()[0]) from exc


@cache
def _compiled() -> tuple[wasmtime.Engine, wasmtime.Module]:
    """Compile the program, once for this process: that takes a tenth of a second."""
    engine = wasmtime.Engine()
    return engine, wasmtime.Module(engine, PROGRAM.read_bytes())


class _Program:
    """The program with a memory of its own, which is freed with this object."""

    def __init__(self) -> None:
        engine, module = _compiled()
        self._store = wasmtime.Store(engine)
        instance: Any = wasmtime.Instance(self._store, module, [])
        self._exports = instance.exports(self._store)
        self._exports["__wasm_call_ctors"](self._store)

    def simplify(
        self, vertices: Float32, faces: Int32, attributes: Float32, weight: float, target_faces: int, locked: Bool
    ) -> tuple[Float32, Int32, Float32]:
        """Simplify as `collapse_edges` does."""
        width = attributes.shape[1]
        places, values = self._put(vertices, np.float32), self._put(attributes, np.float32)
        weights = self._put(np.full(width, weight), np.float32)
        indices = self._put(faces, np.uint32)
        locks = self._put(locked, np.uint8)
        error = self._put(np.zeros(1), np.float32)
        floats = np.dtype(np.float32).itemsize
        count = self._exports["meshopt_simplifyWithUpdate"](
            self._store,
            indices,
            faces.size,
            places,
            len(vertices),
            3 * floats,
            values,
            width * floats,
            weights,
            width,
            locks,
            3 * target_faces,
            ANY_ERROR,
            NO_OPTIONS,
            error,
        )
        return (
            self._get(places, (len(vertices), 3), np.float32),
            self._get(indices, (count // 3, 3), np.int32),
            self._get(values, attributes.shape, np.float32),
        )

    def _put(self, array: npt.NDArray[Any], dtype: type[np.generic]) -> int:
        """Copy an array into the program's memory; return its address there."""
        data = np.ascontiguousarray(array, dtype)
        address: int = self._exports["sbrk"](self._store, -(-data.nbytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES)
        if address == -1:
            raise SimplifierFailed("no memory")
        address &= 0xFFFFFFFF  # wasmtime returns addresses above 2 GB as negative numbers
        ctypes.memmove(self._base() + address, data.ctypes.data, data.nbytes)
        return address

    def _get(self, address: int, shape: tuple[int, ...], dtype: type[np.generic]) -> npt.NDArray[Any]:
        """Copy an array out of the program's memory."""
        array = np.empty(shape, dtype)
        ctypes.memmove(array.ctypes.data, self._base() + address, array.nbytes)
        return array

    def _base(self) -> int:
        """Return the address of the program's memory in this process. It may change when the memory grows."""
        return ctypes.addressof(self._exports["memory"].data_ptr(self._store).contents)
