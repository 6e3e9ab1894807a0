"""Turn a photo into a textured GLB. See README.md."""

import importlib
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Return the BentoML service for `from sam3d_bento import Sam3D`.

    It is imported when it is asked for, and not by an import statement: engine processes and the command line import
    this package too, and BentoML would cost each of them a second and 60 MB.
    """
    if name == "Sam3D":
        return importlib.import_module("sam3d_bento.service").Sam3D
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
