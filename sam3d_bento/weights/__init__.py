"""The weight files on this machine: fetched, and verified.

A set lies in one folder. A file stands under its name only when its size and SHA-256 are those of the manifest: it
arrives in a hidden part beside (`Part`), which is checked, and renamed.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from sam3d_bento.weights.part import Part, WeightsError, hold
from sam3d_bento.weights.sets import MANIFEST, WeightFile, find

PARALLEL = 4  # files at a time: one connection seldom fills a line, and no server is bothered by four


@dataclass(frozen=True)
class Fault:
    """What is wrong with one file of a set."""

    name: str
    kind: Literal["missing", "size", "sha256"]
    sentence: str


def fetch(
    set_name: str,
    to: Path,
    on_message: Callable[[str], None],
    *,
    token: SecretStr | None = None,
    on_progress: Callable[[WeightFile, int], None] = lambda file, received: None,
) -> list[Path]:
    """Make every file of the set stand in the folder `to`, and return their paths.

    A file that is there and right is not fetched again; a wrong one is replaced. `on_message` gets a sentence per step,
    `on_progress` how many bytes of a file are there. Both are called from several threads. token: of Hugging Face, for
    gated files.

    Raises WeightsError at the end, when everything else was fetched, naming each file that cannot be had and why. What
    arrived of it then waits in its hidden part, and the next call goes on from there; no wrong or partial file ever
    stands under the final name.
    """
    wanted = find(set_name, to).files
    _make(to)
    stopped = threading.Event()

    def listen(file: WeightFile, received: int) -> None:
        if stopped.is_set():
            raise WeightsError("it was stopped")
        on_progress(file, received)

    def attempt(file: WeightFile) -> str | None:
        try:
            _fetch_file(file, to, token, on_message, listen)
        except WeightsError as exc:
            return str(exc)
        except OSError as exc:
            return exc.strerror or type(exc).__name__
        return None

    largest_first = sorted(wanted, key=lambda file: -file.size)
    with ThreadPoolExecutor(PARALLEL) as pool:
        try:
            failures = dict(zip(largest_first, pool.map(attempt, largest_first), strict=True))
        finally:
            stopped.set()  # after Ctrl-C, the threads end at their next block, not after gigabytes
    names: dict[str, list[str]] = {}
    for file in wanted:
        if reason := failures[file]:
            names.setdefault(reason, []).append(file.name)
    if names:  # told last: what can be fetched is there by now; and once, where many files fail alike
        told = (f"{', '.join(failed)} could not be fetched. {reason}." for reason, failed in names.items())
        raise WeightsError("\n".join(told))
    return [to / file.name for file in wanted]


def verify(set_name: str, directory: Path, *, contents: bool = True, optional: bool = True) -> list[Fault]:
    """What is wrong with the set in `directory`; empty when nothing is. contents: as in `check`.

    optional: look also at what the service runs without.
    Raises WeightsError for an unknown set or an unusable manifest, OSError for what cannot be read.
    """
    wanted = [file for file in find(set_name, directory).files if optional or not file.optional]
    with ThreadPoolExecutor(PARALLEL) as pool:
        faults = pool.map(lambda file: check(file, directory / file.name, contents=contents), wanted)
        return [fault for fault in faults if fault]


def check(file: WeightFile, path: Path, *, contents: bool = True) -> Fault | None:
    """What is wrong with `file` at `path`; None when it is there and right.

    contents: read it and compare the SHA-256 too, a second for each GB or two; without, the size alone decides.
    """
    if not path.is_file():
        without = "; the service runs without it" if file.optional else ""
        return Fault(file.name, "missing", f"{file.name} is missing ({file.size:,} bytes){without}.")
    size = path.stat().st_size
    if size != file.size:
        return Fault(file.name, "size", f"{file.name} has {size:,} bytes; it should have {file.size:,}.")
    if not contents:
        return None
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if digest != file.sha256:
        said = f"{file.name} has another content than expected (SHA-256 {digest} instead of {file.sha256})."
        return Fault(file.name, "sha256", said)
    return None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise WeightsError(f"The folder {folder} cannot be made ({exc.strerror}).") from exc


def _fetch_file(
    file: WeightFile,
    folder: Path,
    token: SecretStr | None,
    on_message: Callable[[str], None],
    on_progress: Callable[[WeightFile, int], None],
) -> None:
    """Raises WeightsError or OSError; the message says why, and leaves the name to the caller."""
    path = folder / file.name
    fault = check(file, path)
    if fault and not file.sources:
        raise WeightsError(
            f"{fault.sentence} The folder's own {MANIFEST} lists it and names no source: put it into the folder"
        )
    if fault:
        if fault.kind != "missing":
            on_message(f"{fault.sentence} It is replaced.")
        _make(path.parent)
        with hold(
            path,
            file.size,
            file.sha256,
            waiting=lambda: on_message(f"{file.name} is being fetched by somebody else; that is awaited."),
            on_progress=lambda received: on_progress(file, received),
        ) as part:
            if check(file, path):  # else that one has brought it
                _bring(file, path, part, token, on_message)
                return
    on_progress(file, file.size)
    on_message(f"{file.name} is already there.")


def _bring(
    file: WeightFile, path: Path, part: Part, token: SecretStr | None, on_message: Callable[[str], None]
) -> None:
    failures = []
    for source in file.sources:
        begun = f", from byte {part.received:,} on" if part.received else ""
        on_message(f"{file.name} ({file.size:,} bytes) comes from {source}{begun} ...")
        try:
            source.bring(part, token)
            part.move_to(path)
        except WeightsError as exc:
            failures.append(f"{source.site}: {exc}")
        else:
            return on_message(f"{file.name} is there and verified.")
    raise WeightsError(". ".join(failures))
