"""Input of one export: what the first three steps of a run hand to the last one.

    file: length of the head (8 bytes, big-endian), the head (JSON in UTF-8), the arrays

The head says where each array begins and has everything that is no array. The file is written to memory that two
processes share (`serving.worker.handover`), so it is laid out for speed: nothing is compressed, copied or summed.
"""

from __future__ import annotations

import json
import math
import mmap
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from sam3d_bento.errors import BadRequest
from sam3d_bento.options import Options
from sam3d_bento.reconstruction import Reconstruction

# Each array begins at a multiple of this, as NumPy's own memory does.
ALIGNMENT_BYTES = 64
# Length of the field that gives the length of the head.
LENGTH_BYTES = 8


@dataclass(frozen=True)
class ExportInput:
    """Input of one export.

    extras: JSON values for the GLB's `asset.extras`. figures: JSON values for the report alone, on the engine and its
    run. seconds: of each stage so far.
    """

    reconstruction: Reconstruction
    options: Options
    extras: dict[str, Any]
    figures: dict[str, Any]
    seconds: dict[str, float]

    def write(self, file: BinaryIO) -> None:
        """Write everything but the reconstruction's warnings and details, which `extras` contain.

        file: empty. Raises OSError if there is no room.
        """
        arrays = {name: np.asarray(array, order="C") for name, array in self.reconstruction.to_arrays().items()}
        places, end = {}, 0
        for name, array in arrays.items():
            places[name] = {"dtype": array.dtype.str, "shape": array.shape, "offset": end}
            end = _aligned(end + array.nbytes)
        document = {
            "options": self.options.model_dump(mode="json"),
            "extras": self.extras,
            "figures": self.figures,
            "seconds": self.seconds,
            "arrays": places,
        }
        head = json.dumps(document).encode()
        file.write(len(head).to_bytes(LENGTH_BYTES) + head)
        position = LENGTH_BYTES + len(head)
        for array in arrays.values():
            file.write(bytes(_aligned(position) - position))
            file.write(array.reshape(-1).view(np.uint8).data)
            position = _aligned(position) + array.nbytes
        file.flush()

    @classmethod
    def read(cls, file: BinaryIO) -> ExportInput:
        """Read what `write` wrote. The arrays are the file's memory, and private: a change reaches nobody else.

        Raises ValueError, KeyError or TypeError for any other file.
        """
        content = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        length = int.from_bytes(content[:LENGTH_BYTES])
        head = json.loads(content[LENGTH_BYTES : LENGTH_BYTES + length])
        begin = _aligned(LENGTH_BYTES + length)
        arrays = {
            name: np.frombuffer(
                content, np.dtype(place["dtype"]), math.prod(place["shape"]), begin + place["offset"]
            ).reshape(place["shape"])
            for name, place in head["arrays"].items()
        }
        try:
            reconstruction = Reconstruction.from_arrays(arrays)
        except BadRequest as exc:  # no client has sent these arrays
            raise ValueError(exc.detail) from exc
        return cls(
            reconstruction,
            Options.model_validate(head["options"]),
            head["extras"],
            head["figures"],
            head["seconds"],
        )


def _aligned(position: int) -> int:
    """Return the first aligned position from this one on."""
    return -(-position // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
