"""Generators of `sam3d-bento generate`: the pipeline of this machine, or a remote service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import SecretStr

from sam3d_bento import malloc
from sam3d_bento.cli.generation.progress import OnJobProgress, of_stages
from sam3d_bento.formats import FILE_TYPES, Format, require
from sam3d_bento.serving.worker.run_times import RunTimes
from sam3d_bento.settings import Settings
from sam3d_bento.submission import Submission

if TYPE_CHECKING:
    from sam3d_bento.reconstruction import Reconstruction


@dataclass(frozen=True)
class Generated:
    """Result of a generator. files: the model in each format that was asked for. picture: of the model, WebP."""

    files: dict[Format, bytes]
    picture: bytes
    report: dict[str, Any]


class Generator(Protocol):
    """Generator of models from photos, one after the other."""

    def generate(self, submission: Submission, formats: Sequence[Format], on_progress: OnJobProgress) -> Generated:
        """Return the model of a photo in these formats, and a picture of it. Raises errors from `errors`."""


class LocalGenerator:
    """Generator that runs the pipeline in this process. The constructor loads the pipeline.

    save_reconstruction: file to save the dense mesh to, or None.
    """

    def __init__(self, settings: Settings, save_reconstruction: Path | None = None) -> None:
        from sam3d_bento.pipeline import Pipeline

        malloc.keep_for_reuse()
        self._pipeline = Pipeline.load(settings)
        self._run_times = RunTimes()
        self._save_reconstruction = save_reconstruction

    def generate(self, submission: Submission, formats: Sequence[Format], on_progress: OnJobProgress) -> Generated:
        """See `Generator`. A format whose extra is not installed is refused before the run."""
        from sam3d_bento.export.glb.scene import read_scene
        from sam3d_bento.export.render import thumbnail
        from sam3d_bento.postprocess import converted
        from sam3d_bento.reconstruction import NamedReconstruction

        for wanted in formats:
            require(wanted)
        malloc.give_back()
        dense: dict[str, Reconstruction] = {}
        needs_dense = any(FILE_TYPES[wanted].from_reconstruction for wanted in formats)

        def keep(made: Reconstruction | NamedReconstruction) -> None:
            if self._save_reconstruction is not None:
                made.save(self._save_reconstruction)
            if needs_dense:
                named = made if isinstance(made, NamedReconstruction) else NamedReconstruction("", made)
                dense[named.name] = named.reconstruction

        is_kept = needs_dense or self._save_reconstruction is not None
        asset = self._pipeline.run(submission, of_stages(self._run_times, on_progress), keep if is_kept else None)
        self._run_times.learn(asset.report["seconds"], len(asset.report.get("objects", "1")))
        meshes = read_scene(asset.glb)
        files = {wanted: converted(asset.glb, meshes, dense, wanted) for wanted in formats}
        return Generated(files, thumbnail(*(each.in_scene() for each in meshes)), asset.report)


class RemoteGenerator:
    """Generator that uses the service at a URL. key: the API key, if the service needs one."""

    def __init__(self, url: str, key: SecretStr | None = None) -> None:
        from sam3d_bento.cli.generation.client import RemotePipeline

        self._pipeline = RemotePipeline(url, key)

    def generate(self, submission: Submission, formats: Sequence[Format], on_progress: OnJobProgress) -> Generated:
        """See `Generator`."""
        asset = self._pipeline.run(submission, on_progress)
        result = asset.report["id"]
        files = {
            wanted: asset.glb if wanted == "glb" else self._pipeline.file(result, FILE_TYPES[wanted].suffix)
            for wanted in formats
        }
        return Generated(files, self._pipeline.file(result, "webp"), asset.report)
