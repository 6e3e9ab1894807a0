"""Check API keys against a file that may change while the service runs."""

from __future__ import annotations

import hashlib
import hmac
import logging
from pathlib import Path

from sam3d_bento import api_key, logs
from sam3d_bento.settings import SettingsError

# Permission bit of a file that every user of the machine may read.
READABLE_BY_ALL = 0o004

log = logging.getLogger("sam3d_bento.keys")


class Keys:
    """Keys in a file, which is read again when it changes, so that keys can be exchanged without a restart.

    If the file cannot be read or is not a list of keys, no key is accepted. Only digests are kept in memory.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[int, ...] | None = None
        self._digests: tuple[bytes, ...] = ()

    def claim(self) -> None:
        """Read the file if it has changed. Raises SettingsError if it cannot be used."""
        try:
            stat = self._path.stat()
        except OSError as exc:
            self._digests, self._version = (), None
            raise SettingsError(f"The file of API keys cannot be read ({exc.strerror}).") from exc
        version = (stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size)
        if version == self._version:
            return
        self._digests, self._version = (), version
        self._digests = tuple(_digest(key.get_secret_value()) for key in api_key.read_all(self._path))
        logs.event(log, "read the file of API keys", count=len(self._digests))
        # A warning only, because Kubernetes and Docker mount secrets with this mode, in containers with one user.
        if stat.st_mode & READABLE_BY_ALL:
            logs.event(log, "every user of this machine can read the file of API keys", logging.WARNING)

    def identify(self, given: str) -> bytes | None:
        """Return the digest of a known key, else None. It takes the same time for every unknown key."""
        try:
            self.claim()
        except SettingsError as exc:
            logs.event(log, "no API key is accepted", logging.ERROR, reason=str(exc))
            return None
        digest = _digest(given)
        known = False
        for one in self._digests:
            known |= hmac.compare_digest(one, digest)
        return digest if known else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
