"""What `sam3d-bento generate` asks for each photo: this machine's pipeline, or a service elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import SecretStr

from sam3d_bento import malloc
from sam3d_bento.settings import Settings
from sam3d_bento.submission import Asset, OnStageProgress, Submission

if TYPE_CHECKING:
    from sam3d_bento.reconstruction import Reconstruction


@dataclass(frozen=True)
class Generated:
    """asset: the GLB and its report. thumbnail: its picture, WebP."""

    asset: Asset
    thumbnail: bytes


class Generator(Protocol):
    """Turns photos into models, one after the other."""

    def generate(self, submission: Submission, on_progress: OnStageProgress) -> Generated:
        """Raises from the error tree."""


class LocalGenerator:
    """This machine's own pipeline, loaded. save_reconstruction: where the dense mesh goes as well."""

    def __init__(self, settings: Settings, save_reconstruction: Path | None = None) -> None:
        from sam3d_bento.pipeline import Pipeline

        malloc.keep_for_reuse()
        self._pipeline = Pipeline.load(settings)
        self._save_reconstruction = save_reconstruction

    def generate(self, submission: Submission, on_progress: OnStageProgress) -> Generated:
        """See `Generator`."""
        from sam3d_bento.export import render

        malloc.give_back()
        dense: list[Reconstruction] = []
        # A compressed GLB is not read back: its picture is drawn from the dense mesh.
        keeps = submission.options.compress or self._save_reconstruction is not None
        asset = self._pipeline.run(submission, on_progress, dense.append if keeps else None)
        if self._save_reconstruction is not None:
            dense[0].save(self._save_reconstruction)
        return Generated(asset, render.thumbnail(render.of_result(asset.glb, lambda: dense[0])))


class RemoteGenerator:
    """The service at a URL. key: of its API, if it wants one."""

    def __init__(self, url: str, key: SecretStr | None = None) -> None:
        from sam3d_bento.cli.client import RemotePipeline

        self._pipeline = RemotePipeline(url, key)

    def generate(self, submission: Submission, on_progress: OnStageProgress) -> Generated:
        """See `Generator`."""
        asset = self._pipeline.run(submission, on_progress)
        return Generated(asset, self._pipeline.thumbnail(asset.report["id"]))
