"""Limit the hosts that this process may download from and upload to.

The sender of a job chooses the addresses, so each of them may be an attempt to reach what only this machine can reach.
Three rules apply:
  * `SAM3D_ALLOWED_HOSTS` must name the host.
  * The host must resolve to a public address. Otherwise, whoever controls an allowed DNS zone could name any private
    address.
  * The connection goes to the address that was checked (`PublicResolver`), so that a second look-up cannot return
    another one.
A loopback host is allowed when the setting names it.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from sam3d_bento.errors import BadRequest

# Name of the setting, for error messages.
SETTING = "SAM3D_ALLOWED_HOSTS"
# Hosts of this machine itself, which need no public address and no TLS.
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")
# The block from which IANA assigns global unicast addresses of IPv6.
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")


class PrivateAddressError(OSError):
    """Host that resolves to no public address. It is an OSError because aiohttp treats that as a failed look-up."""


class AllowedHosts:
    """Hosts of `SAM3D_ALLOWED_HOSTS`: exact names, or `*.example.com` for all names below example.com."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = patterns

    def check(self, address: str, field: str) -> URL:
        """Return the address in the field `field` of a job as a URL, if it is allowed.

        The address stays as it was sent, because its signature covers every character. Raises BadRequest that names the
        field. The error contains nothing of the address but its host, because the rest may be a secret.
        """
        if not self._patterns:
            raise BadRequest(f"The field '{field}' is not accepted here, because the setting {SETTING} names no host.")
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
        # Without TLS, any host on the path could read a signed address. There is no such host on the path to this
        # machine itself.
        if url.scheme != "https" and not (url.scheme == "http" and host in LOOPBACK_HOSTS):
            raise BadRequest(f"The field '{field}' must be an https URL.")
        if _is_address(host) and not self.permits(host, host):
            raise BadRequest(f"The host of the field '{field}' has no public address.")
        return url

    def permits(self, host: str, address: str) -> bool:
        """Return whether a connection for `host` may go to `address` (IPv4 or IPv6, as text).

        host: one that `check` allowed.
        """
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
    """Resolver that looks names up with `inner` and returns only addresses that `hosts` permits.

    aiohttp connects to these addresses alone. It does not look up a host that is an IP address, so `AllowedHosts.check`
    checks those.
    """

    def __init__(self, hosts: AllowedHosts, inner: AbstractResolver | None = None) -> None:
        self._hosts = hosts
        self._inner = inner or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the permitted addresses of a host.

        Raises PrivateAddressError when there are none, and OSError as `inner` does.
        """
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
    # An IPv6 address that contains an IPv4 address (mapped, NAT64, 6to4, Teredo) may lead to a private one.
    return address in GLOBAL_UNICAST and address.sixtofour is None and address.teredo is None
