"""The Hugging Face token that gated weight files are fetched with, at build time only."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pydantic import SecretStr

from sam3d_bento.weights.part import WeightsError

SECRET_FILE = Path("/run/secrets/hf_token")  # where BuildKit mounts the secret with the id hf_token
VARIABLE = "HF_TOKEN"

_TOKEN = re.compile(r"[A-Za-z0-9_.~+/=-]+")  # what may stand after "Bearer" in a header (RFC 6750)


def find(file: Path | None = None) -> SecretStr | None:
    """The token in `file`; without one, in SECRET_FILE if that is there, else in the environment variable HF_TOKEN.

    Raises WeightsError, without the text, when what is found is no token.
    """
    if file is None and SECRET_FILE.is_file():
        file = SECRET_FILE
    if file is None:
        text, place = os.environ.get(VARIABLE, ""), f"The environment variable {VARIABLE}"
        if not text.strip():
            return None
    else:
        place = f"The file {file}"
        try:
            text = file.read_text(encoding="ascii", errors="replace")
        except OSError as exc:
            raise WeightsError(f"{place} cannot be read ({exc.strerror}).") from exc
    if not _TOKEN.fullmatch(text.strip()):
        raise WeightsError(f"{place} holds no token: one line of letters and digits is expected.")
    return SecretStr(text.strip())
