"""Download and upload files: one GET or PUT each at an allowed host, limited in bytes and time, without redirects.

An address may be presigned, which makes it a secret. Errors therefore name only the host, and nothing is logged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from sam3d_bento.errors import BadRequest, TooLarge, TransferFailed
from sam3d_bento.serverless.hosts import AllowedHosts, PrivateAddressError, PublicResolver

# Longest transfer. The worker with its GPU is idle meanwhile. The largest upload needs 3 Mbit/s to arrive in time.
TIMEOUT_SECONDS = 60.0
# Bytes that are read at once from a download.
CHUNK_BYTES = 1 << 16


class Transfers:
    """Downloads and uploads files. hosts: the allowed hosts. max_bytes: of the largest download.

    resolver: the inner resolver of `PublicResolver`.
    """

    def __init__(
        self,
        hosts: AllowedHosts,
        max_bytes: int,
        timeout_seconds: float = TIMEOUT_SECONDS,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._hosts = hosts
        self._max_bytes = max_bytes
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._resolver = resolver

    def check(self, address: str, field: str) -> URL:
        """Check an address as `AllowedHosts.check` does. To refuse it before the run is cheaper than after it."""
        return self._hosts.check(address, field)

    async def download(self, url: URL, field: str) -> bytes:
        """Return the file at a checked `url`, at most `max_bytes`. Raises BadRequest, TooLarge, TransferFailed."""
        # No compression, because a compressed answer could expand to any size.
        headers = {"Accept-Encoding": "identity"}
        async with (
            self._session(url, field) as session,
            session.get(url, headers=headers, allow_redirects=False) as response,
        ):
            _judge(response, url, field, (200,))
            received = bytearray()
            if (response.content_length or 0) <= self._max_bytes:
                async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                    received += chunk
                    if len(received) > self._max_bytes:
                        break
                else:
                    return bytes(received)
            raise TooLarge(f"The file at '{field}' is larger than {self._max_bytes} bytes.")

    async def upload(self, url: URL, field: str, body: bytes, media_type: str) -> None:
        """PUT `body` to a checked `url`. Raises BadRequest, TransferFailed."""
        headers = {"Content-Type": media_type}
        async with (
            self._session(url, field) as session,
            session.put(url, data=body, headers=headers, allow_redirects=False) as response,
        ):
            _judge(response, url, field, (200, 201, 204))

    @asynccontextmanager
    async def _session(self, url: URL, field: str) -> AsyncIterator[aiohttp.ClientSession]:
        """Open a session for one request. Its failures become errors of the tree that do not contain the address."""
        connector = aiohttp.TCPConnector(resolver=PublicResolver(self._hosts, self._resolver), use_dns_cache=False)
        try:
            async with aiohttp.ClientSession(
                connector=connector, timeout=self._timeout, auto_decompress=False
            ) as session:
                yield session
        except TimeoutError:
            raise TransferFailed(
                f"The host {url.host} of '{field}' was not done after {self._timeout.total:g} seconds."
            ) from None
        except aiohttp.ClientError as exc:
            # `from None`, here and above, because the message of aiohttp's exception may contain the whole address.
            if isinstance(exc.__cause__, PrivateAddressError):
                raise BadRequest(f"The host of the field '{field}' has no public address.") from None
            raise TransferFailed(f"The connection to the host {url.host} of '{field}' failed.") from None


def _judge(response: aiohttp.ClientResponse, url: URL, field: str, good: tuple[int, ...]) -> None:
    """Raise unless the status is one of `good`."""
    if response.status in good:
        return
    if 300 <= response.status < 400:
        raise BadRequest(f"The host {url.host} answered with a redirect to '{field}'; redirects are not followed.")
    sentence = f"The host {url.host} answered {response.status} to '{field}'."
    raise BadRequest(sentence) if response.status < 500 else TransferFailed(sentence)
