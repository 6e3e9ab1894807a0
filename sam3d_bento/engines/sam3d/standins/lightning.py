"""Stand-in for lightning 2.3. Upstream executes one `isinstance` in model/io.py, which is false for all its models."""

from __future__ import annotations

from sam3d_bento.engines.sam3d import standins


class LightningModule:
    """Class of which no model here is an instance."""


def install() -> None:
    """Install this stand-in in `sys.modules`."""
    standins.module("lightning.pytorch", LightningModule=LightningModule)
    standins.module("lightning.pytorch.utilities.consolidate_checkpoint")
