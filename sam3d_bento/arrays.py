"""Array types of this package, each named after numpy's name of its elements. Docstrings give the shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating[Any]]  # of any precision
Int32 = npt.NDArray[np.int32]
Indices = npt.NDArray[np.intp]
UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
