"""The weight files on this machine: fetched, and verified.

A set lies in one folder. A file stands under its name only when its size and SHA-256 are those of the manifest: it is
written beside, checked, and renamed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sam3d_bento.weight_sets import WeightFile, find
from sam3d_bento.weight_sources import FAILURES, WeightsError


@dataclass(frozen=True)
class Fault:
    """What is wrong with one file of a set."""

    name: str
    kind: Literal["missing", "size", "sha256"]
    sentence: str


def fetch(set_name: str, to: Path, report: Callable[[str], None]) -> list[Path]:
    """Make every file of the set stand in the folder `to`, and return their paths.

    A file that is there and right is not fetched again; a wrong one is replaced. `report` gets a sentence per step.
    Raises WeightsError, saying for each source why it failed, or where a person gets a file that has none; no wrong
    or partial file is left behind then.
    """
    wanted = find(set_name, to)
    _make(to)
    paths, absent = [], [name for name in wanted.present if not (to / name).is_file()]
    for file in wanted.files:
        if file.sources:
            paths.append(_fetch_file(file, to, report))
        elif fault := check(file, to / file.name):
            report(fault.sentence)
            absent.append(file.name)
        else:
            report(f"{file.name} is already there.")
            paths.append(to / file.name)
    if absent:  # told last: what can be fetched is there by now
        raise WeightsError(f"Missing or wrong, and not to be fetched: {', '.join(absent)}. {wanted.elsewhere}")
    return paths


def verify(set_name: str, directory: Path, *, contents: bool = True) -> list[Fault]:
    """What is wrong with the set in `directory`; empty when nothing is. contents: as in `check`.

    Raises WeightsError for an unknown set or an unusable manifest.
    """
    wanted = find(set_name, directory)
    faults = [check(file, directory / file.name, contents=contents) for file in wanted.files]
    absent = [name for name in wanted.present if not (directory / name).is_file()]
    return [fault for fault in faults if fault] + [Fault(name, "missing", f"{name} is missing.") for name in absent]


def check(file: WeightFile, path: Path, *, contents: bool = True) -> Fault | None:
    """What is wrong with `file` at `path`; None when it is there and right.

    contents: read it and compare the SHA-256 too, a second for each GB or two; without, the size alone decides.
    """
    if not path.is_file():
        return Fault(file.name, "missing", f"{file.name} is missing ({file.size:,} bytes).")
    size = path.stat().st_size
    if size != file.size:
        return Fault(file.name, "size", f"{file.name} has {size:,} bytes; it should have {file.size:,}.")
    if not contents:
        return None
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if digest != file.sha256:
        return Fault(file.name, "sha256", f"{file.name} has another content than expected (SHA-256 {digest}).")
    return None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise WeightsError(f"The folder {folder} cannot be made ({exc.strerror}).") from exc


def _fetch_file(file: WeightFile, folder: Path, report: Callable[[str], None]) -> Path:
    path = folder / file.name
    fault = check(file, path)
    if fault is None:
        report(f"{file.name} is already there.")
        return path
    if fault.kind != "missing":
        report(f"{fault.sentence} It is replaced.")
    _make(path.parent)
    failures = []
    for source in file.sources:
        report(f"{file.name} ({file.size:,} bytes) comes from {source} ...")
        # One name per process: two fetches at once do each other no harm. Not `tempfile`, which would make the
        # file readable to this user only, while a service often runs as another one.
        beside = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with beside.open("wb") as target:
                source.write_to(target, file.size)
                target.flush()
                os.fsync(target.fileno())
            if wrong := check(file, beside):
                raise WeightsError(wrong.sentence.rstrip("."))
            beside.replace(path)
        except FAILURES as exc:
            failures.append(f"{source}: {exc}")
        else:
            report(f"{file.name} is there and verified.")
            return path
        finally:
            beside.unlink(missing_ok=True)
    raise WeightsError(f"{file.name} could not be fetched. " + ". ".join(failures) + ".")
