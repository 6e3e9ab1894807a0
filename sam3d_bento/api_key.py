"""API keys in files: the keys that a service accepts, one a line, and the key that a client sends.

A key is 16 to 200 printable ASCII characters without spaces: `openssl rand -hex 32` makes one. Empty lines and lines
that begin with `#` are ignored. No key is ever in an environment variable, an argument, a log line or an error.
"""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import SecretStr

from sam3d_bento.settings import SettingsError

# A whole key. Shorter keys could be guessed over the network, because nothing here counts attempts.
KEY = re.compile(r"[\x21-\x7e]{16,200}")


def read_all(path: Path) -> list[SecretStr]:
    """Return the keys in the file.

    Raises SettingsError when the file cannot be read or is not a list of keys. The error never contains a key.
    """
    try:
        lines = path.read_text("ascii", errors="replace").splitlines()
    except OSError as exc:
        raise SettingsError(f"The file of API keys cannot be read ({exc.strerror}).") from exc
    keys = []
    for number, line in enumerate(lines, 1):
        key = line.strip()
        if not key or key.startswith("#"):
            continue
        if not KEY.fullmatch(key):
            raise SettingsError(
                f"Line {number} of the file of API keys is not a key: "
                "16 to 200 printable ASCII characters without spaces."
            )
        keys.append(SecretStr(key))
    if not keys:
        raise SettingsError("The file of API keys contains no key.")
    return keys


def read_one(path: Path) -> SecretStr:
    """Return the only key in the file. Raises SettingsError as `read_all` does, and when there are several keys."""
    keys = read_all(path)
    if len(keys) > 1:
        raise SettingsError("The file contains several API keys. A client needs a file with one key.")
    return keys[0]
