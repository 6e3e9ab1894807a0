"""Which hosts this process may fetch from and write to: those that the operator named, at public addresses only.

A job's sender chooses addresses, so each is taken for an attempt to reach what only this machine can reach. A host must
be named in `SAM3D_ALLOWED_HOSTS`. What it resolves to must be public: whoever writes into a zone that is allowed could
else name any private address. The connection goes to the address that was judged (`PublicResolver`), so that a second
look-up cannot answer otherwise. A loopback host is reached when it is named itself.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from sam3d_bento.errors import BadRequest

SETTING = "SAM3D_ALLOWED_HOSTS"
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")


class PrivateAddressError(OSError):
    """A host's name leads to an address that is not public. aiohttp takes an OSError for a failed look-up."""


class AllowedHosts:
    """The hosts of `SAM3D_ALLOWED_HOSTS`: exact names, or `*.example.com` for all names below example.com."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = patterns

    def check(self, address: str, field: str) -> URL:
        """The address of the job's field `field`, as it was sent (its signature covers every character).

        Raises BadRequest that names the field, and of the address no more than the host: the rest may be a secret.
        """
        if not self._patterns:
            raise BadRequest(f"The field '{field}' is not taken here: the setting {SETTING} names no host.")
        try:
            url = URL(address, encoded=True)
            host = (url.raw_host or "").lower()
        except ValueError:
            raise BadRequest(f"The field '{field}' is not a URL.") from None
        if not host or not (address.isascii() and address.isprintable()) or " " in address:
            raise BadRequest(f"The field '{field}' is not a URL.")
        if url.raw_user is not None or url.raw_password is not None:
            raise BadRequest(f"The field '{field}' must not carry a user or a password.")
        if not self._names(host):
            raise BadRequest(f"The host of the field '{field}' is not one of those that the setting {SETTING} names.")
        # Without TLS anybody on the way could read a signed address. Nothing is on the way to this machine itself.
        if url.scheme != "https" and not (url.scheme == "http" and host in LOOPBACK_HOSTS):
            raise BadRequest(f"The field '{field}' must be an https URL.")
        if _is_address(host) and not self.permits(host, host):
            raise BadRequest(f"The host of the field '{field}' has no public address.")
        return url

    def permits(self, host: str, address: str) -> bool:
        """Whether `address` (IPv4 or IPv6, as text) may be connected to for `host`, a host that `check` let pass."""
        if not _is_address(address):
            return False
        found = ipaddress.ip_address(address)
        if host in LOOPBACK_HOSTS:
            return found.is_loopback
        return _is_public(found)

    def _names(self, host: str) -> bool:
        return any(
            host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern for pattern in self._patterns
        )


class PublicResolver(AbstractResolver):
    """Looks names up with `inner`, and gives aiohttp only addresses that `hosts` permits; it connects to just these.

    aiohttp does not look up an address written as such: `AllowedHosts.check` judges those.
    """

    def __init__(self, hosts: AllowedHosts, inner: AbstractResolver | None = None) -> None:
        self._hosts = hosts
        self._inner = inner or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The host's permitted addresses. Raises PrivateAddressError when there is none, OSError like `inner`."""
        found = await self._inner.resolve(host, port, family)
        permitted = [result for result in found if self._hosts.permits(host.lower(), result["host"])]
        if not permitted:
            raise PrivateAddressError("the name leads to no public address")
        return permitted

    async def close(self) -> None:
        """Release the inner resolver."""
        await self._inner.close()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if not address.is_global or address.is_multicast:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return True
    # IPv6 that carries an IPv4 address (mapped, NAT64, 6to4, Teredo) may end at a private one.
    return address in GLOBAL_UNICAST and address.sixtofour is None and address.teredo is None
