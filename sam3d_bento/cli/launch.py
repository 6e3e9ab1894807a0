"""How the service is started: `bentoml serve` on this installation's service.py."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import sam3d_bento

MODULE = "service.py"


def folder() -> Path | None:
    """Where service.py lies: here, or beside the package (a source tree, a bento); None when in neither place."""
    places = (Path(), Path(sam3d_bento.__file__).parents[1])
    return next((place.absolute() for place in places if (place / MODULE).is_file()), None)


def command(place: Path, arguments: Sequence[str]) -> list[str]:
    """The command line. arguments: of `bentoml serve`."""
    return [sys.executable, "-m", "bentoml", "serve", "service:Sam3D", "--working-dir", str(place), *arguments]


def environment() -> dict[str, str]:
    """This process's, with what BentoML reads when it is imported: it takes only the word "true" for a no."""
    return os.environ | {"BENTOML_DO_NOT_TRACK": "True"}
