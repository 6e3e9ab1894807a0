"""Name the service for bentofile.yaml: `bentoml serve` and `bentoml build` in this folder find it here."""

from sam3d_bento.service import Sam3D

__all__ = ["Sam3D"]
