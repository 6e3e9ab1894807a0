"""The network that says how surely each pixel of a photo is the object: one of rembg's, on the CPU."""

from __future__ import annotations

import os
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
from sam3d_bento.weights import sets

# Of rembg's models those that run on this machine, are one file <name>.onnx, and give one mask. Left out on purpose:
# rembg's default, bria-rmbg, whose weights are not for commercial use.
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
MAX_THREADS = 4  # these networks are small: more threads mostly wait for each other

# What rembg 2.0.86 imports and a MaskModel never calls: the module, and what is taken of it.
LEFT_OUT = {
    "jsonschema": "validate",  # checks the prompts of its `sam`
    "pooch": "retrieve",  # downloads
    "pymatting.alpha.estimate_alpha_cf": "estimate_alpha_cf",
    "pymatting.foreground.estimate_foreground_ml": "estimate_foreground_ml",
    "pymatting.util.util": "stack_images",
}


class MaskModel:
    """rembg with one model, loaded once, on the CPU. Nothing is ever downloaded.

    The file is `directory`/<name>.onnx; when it is in the manifest of `weights`, its SHA-256 is checked before use.
    Raises NotReady when the model is unknown, not there, or not what it should be.
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
        """How surely each pixel is the object: (H, W) uint8 for rgb (H, W, 3) uint8, stretched to 0..255 by rembg."""
        from rembg import remove

        mask = remove(Image.fromarray(rgb), session=self._session, only_mask=True)
        return np.asarray(mask, dtype=np.uint8)


def _session(name: str, path: Path) -> Any:
    """A session of rembg with the model file at `path`. Raises NotReady when it cannot be loaded."""
    # Since 1.29 onnxruntime's packages for Linux tell Microsoft which models run where, and keep an identifier of the
    # machine for it (https://github.com/microsoft/onnxruntime/pull/27379), unless this is set before it is loaded.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    with _without(LEFT_OUT):
        from rembg.sessions import sessions

    def local_file(cls: type, *args: Any, **kwargs: Any) -> str:
        return str(path)

    # This hook says where the file is. Left to itself, rembg 2.0.86 searches several folders, of which another may
    # come first, and downloads what it does not find.
    local = type("LocalSession", (sessions[name],), {"download_models": classmethod(local_file)})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(MAX_THREADS, os.cpu_count() or 1)
    options.inter_op_num_threads = 1
    # onnxruntime 1.32, u2netp: 0.1 s more per photo, but some 300 MB resident instead of 690
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads would burn a shared CPU
    options.log_severity_level = 3  # errors only
    try:
        return local(name, options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # onnxruntime's errors have no common base below Exception
        raise NotReady(f"The mask model '{name}' cannot be loaded; its file is damaged or of another kind.") from exc


@contextmanager
def _without(modules: Mapping[str, str]) -> Iterator[None]:
    """Within the block these modules are stand-ins, with one function each that refuses to be called.

    Afterwards others import the real ones; those that had been imported before are left as they are. It spares every
    start pooch's SSH client and jsonschema, a third of a second. And pymatting 1.1.16 compiles with numba on its first
    import, for 90 s, and keeps the result beside the package, for this CPU: a read-only or freshly started container
    never has it. Once compiled, it still takes over a second.
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
