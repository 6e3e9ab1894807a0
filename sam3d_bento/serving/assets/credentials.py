"""Keys of an S3 bucket, read from a file in the format of AWS's shared credentials file, such as a mounted Secret:

    [default]
    aws_access_key_id = ...
    aws_secret_access_key = ...
    aws_session_token = ...          (only with temporary keys)

No key gets into an environment variable, a log line or an error.
"""

from __future__ import annotations

import configparser
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from obstore.store import S3Credential

# Section of the file that has the keys.
PROFILE = "default"
# Time after which the file is read again, so that a rotation needs no restart. Kubernetes updates a mounted Secret
# within about a minute.
REREAD_AFTER = timedelta(minutes=1)


class CredentialsFile:
    """Provider of the keys for the object store's client, which reads the file again every minute."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self) -> S3Credential:
        """Return the keys. Raises OSError if the file cannot be read, ValueError if it does not contain them."""
        # Interpolation is off, because a key may contain `%`.
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
