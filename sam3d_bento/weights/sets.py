"""Sets of weight files: their files, sizes, hashes, sources and folders.

weights.json lists the files of each set, in groups of one licence and one source. If the set allows it, a folder may
replace this list by its own `manifest.json`, for example for fine-tuned weights. It has the form
{"files": {"name in the folder": {"size": bytes, "sha256": hex}}}.

Meta publishes hashes only to people with access. The hashes of its files here are those that
leftumbrella/AliSam3DObjectDocker records. dinov2/ contains the licence and the files that its hubconf.py imports, with
the hashes of a clone at the commit in the address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from sam3d_bento.settings import EngineName, Settings
from sam3d_bento.weights.part import WeightsError
from sam3d_bento.weights.sources import HubFile, Member, Source, Url, Wheel

# Name of the list in a folder that replaces the set's own list.
MANIFEST = "manifest.json"
# Name that stands for all sets together.
ALL = "all"


@dataclass(frozen=True)
class WeightFile:
    """Weight file: name in the folder, exact size in bytes, SHA-256, and sources in the order in which they are tried.

    optional: whether the service can run without it.
    """

    name: str
    size: int
    sha256: str
    licence: str
    sources: tuple[Source, ...]
    optional: bool = False


@dataclass(frozen=True)
class WeightSet:
    """Weight files in one folder that one part of the program needs.

    folder: the setting that names the folder. below: the folder's name below a folder with all sets.
    takes_manifest: whether a manifest in the folder replaces `files`.
    engine: the engine that needs the set; None if every engine does. extra: no engine needs it; it adds something.
    """

    folder: Callable[[Settings], Path]
    below: str
    files: tuple[WeightFile, ...]
    takes_manifest: bool = False
    engine: EngineName | None = None
    extra: bool = False

    def optional(self, settings: Settings) -> bool:
        """Return whether the service can run without the set, perhaps by using another engine."""
        return self.extra or (self.engine is not None and settings.engine == "auto")


def find(set_name: str, directory: Path) -> WeightSet:
    """Return the set that `directory` should contain. Raises WeightsError for an unknown name or a bad manifest."""
    if set_name not in SETS:
        raise WeightsError(f"There is no weight set '{set_name}'. The sets are: {', '.join(SETS)}.")
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
        weight_set, files=tuple(WeightFile(name, entry.size, entry.sha256, "", ()) for name, entry in listed.items())
    )


def places(set_name: str, to: Path | None) -> dict[str, Path]:
    """Return the folder of the set, or of every set for ALL: below `to`, or the service's own folders if it is None.

    Raises SettingsError if the service's settings are needed and invalid.
    """
    names = SETS if set_name == ALL else [set_name]
    if to is None:
        settings = Settings.from_environ()
        return {name: SETS[name].folder(settings) for name in names}
    return {name: to / SETS[name].below for name in names}


def holding(name: str) -> tuple[str, WeightFile] | None:
    """Return the name of the set that contains the file `name`, and the file; None if no set contains it."""
    return next(
        ((set_name, file) for set_name, weight_set in SETS.items() for file in weight_set.files if file.name == name),
        None,
    )


def in_use(settings: Settings) -> list[str]:
    """Return the names of the sets that these settings need. A user's own mask model belongs to no set."""
    mask = holding(f"{settings.mask_model}.onnx")
    engines = [
        name
        for name, weight_set in SETS.items()
        if weight_set.engine and settings.engine in ("auto", weight_set.engine)
    ]
    return [*([mask[0]] if mask else []), *engines]


def extras() -> list[str]:
    """Return the names of the sets that add something which no run needs."""
    return [name for name, weight_set in SETS.items() if weight_set.extra]


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.name or "\0" in name:
        raise ValueError("the name must be a relative path inside the folder")
    return name


class _Entry(BaseModel):
    size: Annotated[int, Field(strict=True, ge=0)]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$", to_lower=True)]


_Files = Annotated[dict[Annotated[str, AfterValidator(_inside)], _Entry], Field(min_length=1)]


class _Manifest(BaseModel):
    files: _Files


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _FromWheel(_Strict):
    wheel: str
    folder: str

    def source(self, name: str) -> Source:
        return Wheel(self.wheel, f"{self.folder}/{name}")


class _FromUrl(_Strict):
    url: str

    def source(self, name: str) -> Source:
        return Url(f"{self.url}/{name}")


class _FromHub(_Strict):
    hub: str
    revision: str
    folder: str = ""
    gated: bool = False

    def source(self, name: str) -> Source:
        return HubFile(self.hub, self.revision, str(PurePosixPath(self.folder, name)), self.gated)


class _FromArchive(_Strict):
    """A zip archive in a Hugging Face repository; the files are its members."""

    archive: str
    hub: str
    revision: str
    size: int
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

    def source(self, name: str) -> Source:
        return Member(HubFile(self.hub, self.revision, self.archive), self.size, self.sha256, name)


class _Group(_Strict):
    """Files of one licence and one source. folder: subfolder of the set's folder. File names are relative to it."""

    folder: str = ""
    licence: str
    optional: bool = False
    sources: list[_FromWheel | _FromUrl | _FromArchive | _FromHub]
    files: _Files

    def weight_files(self) -> Iterator[WeightFile]:
        for name, entry in self.files.items():
            sources = tuple(origin.source(name) for origin in self.sources)
            path = str(PurePosixPath(self.folder, name))
            yield WeightFile(path, entry.size, entry.sha256, self.licence, sources, self.optional)


def _listed() -> dict[str, tuple[WeightFile, ...]]:
    content = resources.files("sam3d_bento.weights").joinpath("weights.json").read_bytes()
    groups = TypeAdapter(dict[str, list[_Group]]).validate_json(content)
    return {name: tuple(file for group in listed for file in group.weight_files()) for name, listed in groups.items()}


_FILES = _listed()

SETS: dict[str, WeightSet] = {
    # U²-Net (Qin et al. 2020), small variant: 0.5 s for a photo on two cores.
    "mask": WeightSet(lambda settings: settings.mask_dir, "mask", _FILES["mask"]),
    # IS-Net (Qin et al. 2022): finer outlines, at 2.5 s and 2.4 GB of memory. BiRefNet-lite (MIT) has still finer
    # outlines, but others measured 3 s on four faster cores and 8 GB, as much as the rest of the service needs.
    "mask-isnet-general-use": WeightSet(lambda settings: settings.mask_dir, "mask", _FILES["mask-isnet-general-use"]),
    # MoGe-2 (Wang et al. 2025), small variant: how large things are, for `scale=metric` without depth.
    "size": WeightSet(lambda settings: settings.size_dir, "size", _FILES["size"], extra=True),
    # MobileSAM (Zhang et al. 2023): understands clicks and boxes, 0.1 s each once a photo is encoded.
    "prompts": WeightSet(lambda settings: settings.prompt_dir, "prompts", _FILES["prompts"], extra=True),
    "sam3d": WeightSet(
        lambda settings: settings.checkpoint_dir, "hf", _FILES["sam3d"], takes_manifest=True, engine="sam3d"
    ),
}
