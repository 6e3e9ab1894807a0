"""Run the network that returns how certain each pixel of a photo is to be the object: one of rembg's, on the CPU."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from sam3d_bento import weights
from sam3d_bento.arrays import UInt8
from sam3d_bento.errors import NotReady
from sam3d_bento.photo import onnx
from sam3d_bento.weights import sets

# Those of rembg's models that run on this machine, are a single file <name>.onnx, and give a single mask. rembg's
# default, bria-rmbg, is left out on purpose, because its weights are not for commercial use.
MODELS = (
    "u2netp",
    "u2net",
    "u2net_human_seg",
    "silueta",
    "isnet-general-use",
    "birefnet-general",
    "birefnet-general-lite",
    "birefnet-portrait",
)

# What rembg 2.0.86 imports and a MaskModel never calls: the name of the module, and the function imported from it.
LEFT_OUT = {
    "jsonschema": "validate",  # checks the prompts of its `sam`
    "pooch": "retrieve",  # downloads
    "pymatting.alpha.estimate_alpha_cf": "estimate_alpha_cf",
    "pymatting.foreground.estimate_foreground_ml": "estimate_foreground_ml",
    "pymatting.util.util": "stack_images",
}


class MaskModel:
    """rembg with one model, loaded once, on the CPU. It never downloads anything.

    The file is `directory`/<name>.onnx. If it is in the manifest of `weights`, its SHA-256 is checked before use.
    Raises NotReady when the model is unknown, or its file is missing or not the expected one.
    """

    def __init__(self, name: str, directory: Path) -> None:
        if name not in MODELS:
            raise NotReady(f"There is no mask model '{name}'. These can be used: {', '.join(MODELS)}.")
        path = directory / f"{name}.onnx"
        if known := sets.holding(path.name):
            set_name, file = known
            if fault := weights.check(file, path):
                command = f"sam3d-bento weights fetch --set {set_name}"
                raise NotReady(f"The mask model cannot be used: {fault.sentence} Run `{command}`.")
        elif not path.is_file():
            raise NotReady(f"The mask model '{name}' is missing: put {path.name} into the folder SAM3D_MASK_DIR.")
        self._session = _session(name, path)

    def soft_mask(self, rgb: UInt8) -> UInt8:
        """Return how certain each pixel is to be the object, (H, W) uint8; rembg stretches the values to 0..255.

        rgb: (H, W, 3) uint8 sRGB.
        """
        from rembg import remove

        mask = remove(Image.fromarray(rgb), session=self._session, only_mask=True)
        return np.asarray(mask, dtype=np.uint8)


def _session(name: str, path: Path) -> Any:
    """Return a session of rembg with the model file at `path`. Raises NotReady when it cannot be loaded."""
    options = onnx.session_options()  # before rembg imports onnxruntime
    with _without(LEFT_OUT):
        from rembg.sessions import sessions

    def local_file(cls: type, *args: Any, **kwargs: Any) -> str:
        return str(path)

    # This method returns the path of the file. Without it, rembg 2.0.86 searches several folders, of which another one
    # may come first, and downloads a file that it does not find.
    local = type("LocalSession", (sessions[name],), {"download_models": classmethod(local_file)})
    try:
        return local(name, options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # onnxruntime's errors have no common base below Exception
        raise NotReady(f"The mask model '{name}' cannot be loaded; its file is damaged or of another kind.") from exc


@contextmanager
def _without(modules: Mapping[str, str]) -> Iterator[None]:
    """Replace modules by stand-ins within the block; each has one function, which refuses to be called.

    After the block, other code imports the real modules. Modules that were imported before are not replaced. This saves
    the import of pooch's SSH client and of jsonschema at every start, a third of a second. pymatting 1.1.16 compiles
    with numba on its first import, for 90 s, and stores the result beside the package, for this CPU. A read-only or
    freshly started container never has that result. Even when compiled, importing it takes over a second.
    """
    standing_in = {}
    for module, function in modules.items():
        if module not in sys.modules:
            standing_in[module] = sys.modules[module] = ModuleType(module)
            setattr(standing_in[module], function, _refuse)
    try:
        yield
    finally:
        for module in standing_in:
            del sys.modules[module]


def _refuse(*args: object, **kwargs: object) -> None:
    raise NotImplementedError("This was left out when rembg was imported.")
