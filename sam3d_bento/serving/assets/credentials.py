"""Keys of an S3 bucket, from a file in the format of AWS's shared credentials file, as a Secret is mounted:

    [default]
    aws_access_key_id = ...
    aws_secret_access_key = ...
    aws_session_token = ...          (only with temporary keys)

No key is ever in an environment variable, a log line or an error.
"""

from __future__ import annotations

import configparser
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from obstore.store import S3Credential

PROFILE = "default"
# Kubernetes brings a changed Secret into a running container within about a minute; a rotation needs no restart.
REREAD_AFTER = timedelta(minutes=1)


class CredentialsFile:
    """Called by the object store's client for the keys; the file is read again every minute."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self) -> S3Credential:
        """The keys. Raises OSError when the file cannot be read, ValueError when they are not in it."""
        # Interpolation is off: a `%` may be part of a key.
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_string(self.path.read_text("utf-8"))
            section = parser[PROFILE]
            return {
                "access_key_id": section["aws_access_key_id"],
                "secret_access_key": section["aws_secret_access_key"],
                "token": section.get("aws_session_token"),
                "expires_at": datetime.now(UTC) + REREAD_AFTER,
            }
        except (configparser.Error, KeyError, UnicodeDecodeError):
            # `from None`: the parser's own message quotes lines of the file.
            raise ValueError(
                "The credentials file has no [default] profile with an access key and its secret."
            ) from None
