"""Fetch and verify weight files on this machine.

The files of a set are in one folder. A download is written to a hidden file beside its final place (`Part`). It gets
its final name only after its size and SHA-256 were compared with the manifest.
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

# Files that are fetched or checked at a time. One connection seldom uses the whole bandwidth; four burden no server.
MAX_PARALLEL_FILES = 4


@dataclass(frozen=True)
class Fault:
    """Fault of one file of a set. sentence: describes it for people."""

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
    """Fetch every file of the set into the folder `to`, and return the paths.

    Files that are already correct are kept, wrong ones are replaced. No wrong or partial file ever has the final name.

    token: Hugging Face token, for gated files.
    on_message: called with a sentence for each step. on_progress: called with a file and the number of bytes that have
    arrived. Both are called from several threads.

    Raises WeightsError after all other files were fetched. It names each file that could not be fetched, and why. The
    bytes that arrived stay in the hidden file, and the next call continues from there.
    """
    wanted = find(set_name, to).files
    _make(to)
    stopped = threading.Event()

    def report_progress(file: WeightFile, received: int) -> None:
        if stopped.is_set():
            raise WeightsError("it was stopped")
        on_progress(file, received)

    def attempt(file: WeightFile) -> str | None:
        try:
            _fetch_file(file, to, token, on_message, report_progress)
        except WeightsError as exc:
            return str(exc)
        except OSError as exc:
            return exc.strerror or type(exc).__name__
        return None

    largest_first = sorted(wanted, key=lambda file: -file.size)
    with ThreadPoolExecutor(MAX_PARALLEL_FILES) as pool:
        try:
            failures = dict(zip(largest_first, pool.map(attempt, largest_first), strict=True))
        finally:
            stopped.set()  # after Ctrl-C, the threads end at their next block
    names: dict[str, list[str]] = {}
    for file in wanted:
        if reason := failures[file]:
            names.setdefault(reason, []).append(file.name)
    if names:  # one sentence for all files that failed for the same reason
        sentences = (f"{', '.join(failed)} could not be fetched. {reason}." for reason, failed in names.items())
        raise WeightsError("\n".join(sentences))
    return [to / file.name for file in wanted]


def verify(set_name: str, directory: Path, *, contents: bool = True, optional: bool = True) -> list[Fault]:
    """Check the set in `directory`, and return the faults that were found.

    contents: as in `check`. optional: also check the files that the service can run without.
    Raises WeightsError for an unknown set or an invalid manifest, OSError for a file that cannot be read.
    """
    wanted = [file for file in find(set_name, directory).files if optional or not file.optional]
    with ThreadPoolExecutor(MAX_PARALLEL_FILES) as pool:
        faults = pool.map(lambda file: check(file, directory / file.name, contents=contents), wanted)
        return [fault for fault in faults if fault]


def check(file: WeightFile, path: Path, *, contents: bool = True) -> Fault | None:
    """Check the file at `path`, and return its fault; None if it is correct.

    contents: also read the file and compare its SHA-256, at 1 to 2 GB per second. Otherwise only the size is compared.
    """
    if not path.is_file():
        without = "; the service can run without it" if file.optional else ""
        return Fault(file.name, "missing", f"{file.name} is missing ({file.size:,} bytes){without}.")
    size = path.stat().st_size
    if size != file.size:
        return Fault(file.name, "size", f"{file.name} has {size:,} bytes instead of {file.size:,}.")
    if not contents:
        return None
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if digest != file.sha256:
        sentence = f"{file.name} has the wrong content (SHA-256 {digest} instead of {file.sha256})."
        return Fault(file.name, "sha256", sentence)
    return None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise WeightsError(f"The folder {folder} cannot be created ({exc.strerror}).") from exc


def _fetch_file(
    file: WeightFile,
    folder: Path,
    token: SecretStr | None,
    on_message: Callable[[str], None],
    on_progress: Callable[[WeightFile, int], None],
) -> None:
    """Fetch one file, unless it is already correct.

    Raises WeightsError or OSError with the reason. The caller adds the file's name.
    """
    path = folder / file.name
    fault = check(file, path)
    if fault and not file.sources:
        raise WeightsError(
            f"{fault.sentence} The {MANIFEST} in the folder gives no source for it. Copy the file into the folder"
        )
    if fault:
        if fault.kind != "missing":
            on_message(f"{fault.sentence} Replacing it.")
        _make(path.parent)
        with hold(
            path,
            file.size,
            file.sha256,
            waiting=lambda: on_message(f"{file.name} is being fetched by another process. Waiting for it."),
            on_progress=lambda received: on_progress(file, received),
        ) as part:
            if check(file, path):  # the other process has not completed it
                _download_from_sources(file, path, part, token, on_message)
                return
    on_progress(file, file.size)
    on_message(f"{file.name} is already complete.")


def _download_from_sources(
    file: WeightFile, path: Path, part: Part, token: SecretStr | None, on_message: Callable[[str], None]
) -> None:
    """Try the file's sources in order until one delivers it. Raises WeightsError with the reason of each source."""
    failures = []
    for source in file.sources:
        begun = f", from byte {part.received:,} on" if part.received else ""
        on_message(f"Fetching {file.name} ({file.size:,} bytes) from {source}{begun} ...")
        try:
            source.download_into(part, token)
            part.move_to(path)
        except WeightsError as exc:
            failures.append(f"{source.site}: {exc}")
        else:
            return on_message(f"{file.name} is fetched and verified.")
    raise WeightsError(". ".join(failures))
