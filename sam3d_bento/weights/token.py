"""Hugging Face token for gated weight files, which is needed only while they are fetched."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pydantic import SecretStr

from sam3d_bento.weights.part import WeightsError

# Path at which BuildKit mounts the secret with the id hf_token.
SECRET_FILE = Path("/run/secrets/hf_token")
# Environment variable with the token, as for huggingface_hub.
VARIABLE = "HF_TOKEN"

# Characters of a bearer token (RFC 6750).
_TOKEN = re.compile(r"[A-Za-z0-9_.~+/=-]+")


def find(file: Path | None = None) -> SecretStr | None:
    """Read the token from `file`, else from SECRET_FILE if it exists, else from the environment variable HF_TOKEN.

    Returns None if there is none. Raises WeightsError, without quoting the text, if the text is not a token.
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
        raise WeightsError(f"{place} does not contain a token. Expected one line of letters and digits.")
    return SecretStr(text.strip())
