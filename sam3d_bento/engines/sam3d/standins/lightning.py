"""What upstream executes of lightning 2.3: one `isinstance` in model/io.py, which nothing of ours is."""

from __future__ import annotations

from sam3d_bento.engines.sam3d import standins


class LightningModule:
    """No model here is one."""


def install() -> None:
    """Take the package's place."""
    standins.module("lightning.pytorch", LightningModule=LightningModule)
    standins.module("lightning.pytorch.utilities.consolidate_checkpoint")
