"""Whether SAM 3D's checkpoints are complete, and what in them is trusted: without torch, before gigabytes are read.

Trusted is a file whose SHA-256 stands in the manifest: this project's, or the folder's own `manifest.json`. Weights are
read as tensors, so their size suffices at a start; configurations and code are compared by their SHA-256.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from sam3d_bento import weights
from sam3d_bento.errors import NotReady
from sam3d_bento.weights.part import WeightsError
from sam3d_bento.weights.sets import SETS, WeightFile, find

CONFIGURATION_SUFFIXES = (".yaml", ".yml")
CODE_SUFFIX = ".py"

NAMED_AT_MOST = 3  # faults in one sentence


def check(directory: Path) -> None:
    """Raise NotReady, naming what is missing or truncated. By size only, because every start asks.

    What must be there is the set `sam3d` of `weights.sets` without its optional files, or what the folder's own
    manifest lists.
    """
    try:
        faults = weights.verify("sam3d", directory, contents=False, optional=False)
    except WeightsError as exc:
        raise NotReady(f"The SAM 3D checkpoints in SAM3D_CHECKPOINT_DIR cannot be checked. {exc}") from exc
    except OSError as exc:
        raise NotReady(f"The folder named by SAM3D_CHECKPOINT_DIR cannot be read ({exc.strerror}).") from exc
    if faults:
        told = [fault.sentence.rstrip(".") for fault in faults[:NAMED_AT_MOST]]
        if more := len(faults) - len(told):
            told.append(f"and {more} more, which `sam3d-bento weights verify --set sam3d` names")
        raise NotReady(f"The SAM 3D checkpoints in SAM3D_CHECKPOINT_DIR are incomplete: {'; '.join(told)}.")


def check_configurations(directory: Path) -> None:
    """Raise NotReady, naming it, when a configuration or a file of code is not the one that the manifest lists.

    Reads some hundred kilobytes. What the manifest does not list is not looked at.
    """
    for file in _listed(directory):
        if not file.optional and file.name.endswith((*CONFIGURATION_SUFFIXES, CODE_SUFFIX)):
            try:
                fault = weights.check(file, directory / file.name)
            except OSError as exc:
                raise NotReady(f"{file.name} in SAM3D_CHECKPOINT_DIR cannot be read ({exc.strerror}).") from exc
            if fault:
                raise NotReady(f"The SAM 3D checkpoints in SAM3D_CHECKPOINT_DIR are not used: {fault.sentence}")


def is_released(directory: Path, file: Path) -> bool:
    """Return whether a file of the folder is, by name and SHA-256, one of the released ones."""
    names = {listed.name: listed.sha256 for listed in SETS["sam3d"].files}
    known = names.get(file.relative_to(directory).as_posix()) if file.is_relative_to(directory) else None
    return known is not None and known == _sha256(file)


def is_listed(directory: Path, file: Path) -> bool:
    """Return whether a manifest has the SHA-256 of a file. Reads all of it: seconds for some gigabytes."""
    known = {listed.sha256 for listed in (*_listed(directory), *SETS["sam3d"].files)}
    return _sha256(file) in known


@contextmanager
def verified_code(directory: Path) -> Iterator[Path]:
    """Give a folder, for the time, with the code that the manifest lists, and nothing else.

    DINOv2 is imported from its own folder, so whatever else lies there could be imported too: another module, or
    bytecode of another content. Raises NotReady for a file whose SHA-256 is not that of the manifest.
    """
    with tempfile.TemporaryDirectory(prefix="sam3d-code-") as folder:
        for file in _listed(directory):
            if file.name.endswith(CODE_SUFFIX):
                content = (directory / file.name).read_bytes()
                if hashlib.sha256(content).hexdigest() != file.sha256:
                    raise NotReady(f"{file.name} in SAM3D_CHECKPOINT_DIR has another content than the manifest says.")
                copy = Path(folder, file.name)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(content)
        yield Path(folder)


def is_code_folder(directory: Path, name: str) -> bool:
    """Return whether the manifest lists code for torch.hub in a folder of this name."""
    path = PurePosixPath(name)
    return not path.is_absolute() and str(path / "hubconf.py") in {file.name for file in _listed(directory)}


def _listed(directory: Path) -> tuple[WeightFile, ...]:
    """Return what the manifest lists. Raises NotReady where it cannot be used."""
    try:
        return find("sam3d", directory).files
    except WeightsError as exc:
        raise NotReady(f"The SAM 3D checkpoints in SAM3D_CHECKPOINT_DIR cannot be checked. {exc}") from exc
    except OSError as exc:
        raise NotReady(f"The folder named by SAM3D_CHECKPOINT_DIR cannot be read ({exc.strerror}).") from exc


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
