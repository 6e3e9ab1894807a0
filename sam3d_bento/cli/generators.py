"""Generators of `sam3d-bento generate`: the pipeline of this machine, or a remote service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from sam3d_bento import malloc
from sam3d_bento.settings import Settings
from sam3d_bento.submission import Asset, OnStageProgress, Submission


@dataclass(frozen=True)
class Generated:
    """Result of a generator. asset: the GLB and its report. thumbnail: a picture of it, WebP."""

    asset: Asset
    thumbnail: bytes


class Generator(Protocol):
    """Generator of GLBs from photos, one after the other."""

    def generate(self, submission: Submission, on_progress: OnStageProgress) -> Generated:
        """Return the GLB of a photo and a picture of it. Raises errors from `errors`."""


class LocalGenerator:
    """Generator that runs the pipeline in this process. The constructor loads the pipeline.

    save_reconstruction: file to save the dense mesh to, or None.
    """

    def __init__(self, settings: Settings, save_reconstruction: Path | None = None) -> None:
        from sam3d_bento.pipeline import Pipeline

        malloc.keep_for_reuse()
        self._pipeline = Pipeline.load(settings)
        self._save_reconstruction = save_reconstruction

    def generate(self, submission: Submission, on_progress: OnStageProgress) -> Generated:
        """See `Generator`."""
        from sam3d_bento.export.glb.read import read_glb
        from sam3d_bento.export.render import thumbnail

        malloc.give_back()
        target = self._save_reconstruction
        save = None if target is None else lambda reconstruction: reconstruction.save(target)
        asset = self._pipeline.run(submission, on_progress, save)
        return Generated(asset, thumbnail(read_glb(asset.glb)))


class RemoteGenerator:
    """Generator that uses the service at a URL. key: the API key, if the service needs one."""

    def __init__(self, url: str, key: SecretStr | None = None) -> None:
        from sam3d_bento.cli.client import RemotePipeline

        self._pipeline = RemotePipeline(url, key)

    def generate(self, submission: Submission, on_progress: OnStageProgress) -> Generated:
        """See `Generator`."""
        asset = self._pipeline.run(submission, on_progress)
        return Generated(asset, self._pipeline.thumbnail(asset.report["id"]))
