"""Keep the finished objects of a scene in files, so that they outlive the process that made them."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from sam3d_bento.submission import Asset

log = logging.getLogger("sam3d_bento.finished_objects")


class FinishedObjects:
    """Folder of finished objects, by their place in the scene; None keeps nothing.

    An object is there when its report is, which is written last. What cannot be written is not kept.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def save(self, index: int, asset: Asset) -> None:
        """Keep an object."""
        if self._folder is None:
            return
        try:
            self._folder.mkdir(exist_ok=True)
            (self._folder / f"{index}.glb").write_bytes(asset.glb)
            part = self._folder / f"{index}.part"
            part.write_text(json.dumps(asset.report))
            part.replace(self._folder / f"{index}.json")
        except OSError:  # such as a full disk: the scene goes on, and only the loss of the process would lose more
            log.exception("object %d of the scene is not kept", index + 1)

    def load(self, index: int) -> Asset | None:
        """Return an object that an earlier process kept, or None."""
        if self._folder is None:
            return None
        try:
            report = json.loads((self._folder / f"{index}.json").read_text())
            return Asset((self._folder / f"{index}.glb").read_bytes(), report)
        except (OSError, ValueError):
            return None
