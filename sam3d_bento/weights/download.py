"""Download a file from the web, and resume an interrupted download.

No text from a server appears in a sentence or an exception here, because a server may echo the token.
"""

from __future__ import annotations

import http.client
import re
import ssl
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from sam3d_bento.weights.part import BLOCK_BYTES, Part, WeightsError

# Longest silence of the server. The whole download may take longer.
TIMEOUT_SECONDS = 60
# Pauses before further attempts. If the last attempt brings no new bytes either, the download fails.
PAUSES_SECONDS = (1, 2, 4, 8)

# Hosts that plain HTTP is allowed for.
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
# HTTP statuses after which another attempt may succeed.
_TEMPORARY_STATUSES = (408, 429, 500, 502, 503, 504)
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class Refused(WeightsError):
    """Response with an error status.

    by_first: whether it came from the first server, not from one that it redirected to.
    """

    def __init__(self, status: int, *, by_first: bool) -> None:
        super().__init__(f"the server answered {status} ({http.client.responses.get(status, 'not a standard status')})")
        self.status = status
        self.by_first = by_first


class _Dropped(WeightsError):
    """Connection that ended too early. Another attempt may continue."""


def download(url: str, part: Part, token: SecretStr | None = None) -> None:
    """Append the missing bytes of the file at `url` to `part`.

    Only HTTPS is allowed, except for loopback addresses. A dropped connection is tried again until several attempts in
    a row have brought no new bytes.

    token: sent as a bearer token to the server of `url`, never to another server that it redirects to.
    Raises WeightsError, and Refused for an error status. `part` keeps the bytes that have arrived.
    """
    failures, furthest = 0, part.received
    while part.received < part.size:
        try:
            _attempt(url, part, token)
        except _Dropped:
            # Only a block that has never arrived before counts as new, so that no server can keep this loop running.
            if part.received >= furthest + BLOCK_BYTES:
                failures, furthest = 0, part.received
            if failures == len(PAUSES_SECONDS):
                raise
            time.sleep(PAUSES_SECONDS[failures])
            failures += 1


def _attempt(url: str, part: Part, token: SecretStr | None) -> None:
    try:
        with _open(url, part, token) as response:
            _receive(response, part)
    except urllib.error.HTTPError as exc:
        exc.close()
        if exc.code in _TEMPORARY_STATUSES:
            raise _Dropped(f"the server answered {exc.code} repeatedly") from None
        if exc.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and part.received:
            part.restart()
            raise _Dropped("the server's file is shorter than the part that has arrived") from None
        raise Refused(exc.code, by_first=_origin(exc.url) == _origin(url)) from None
    except (OSError, http.client.HTTPException, ValueError) as exc:
        # urllib wraps only errors that occur before the response
        raise _failure(exc.reason if isinstance(exc, urllib.error.URLError) else exc) from None


def _open(url: str, part: Part, token: SecretStr | None) -> Any:
    _refuse_plain(url)
    request = urllib.request.Request(url)  # noqa: S310  # checked in the line above
    if part.received:
        request.add_header("Range", f"bytes={part.received}-")
        if part.tag:
            request.add_header("If-Range", part.tag)
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token.get_secret_value()}")
    return urllib.request.build_opener(_Redirects).open(request, timeout=TIMEOUT_SECONDS)


def _receive(response: Any, part: Part) -> None:
    """Append the body to `part`. Raises WeightsError before the first byte if the headers do not fit the file."""
    start, total = 0, response.headers.get("Content-Length")
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        content_range = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if content_range is None:
            raise WeightsError("the server sent part of the file without a valid Content-Range")
        start, total = int(content_range[1]), content_range[2]
    elif response.status != http.HTTPStatus.OK:
        raise Refused(response.status, by_first=True)
    if total and total.isdecimal() and int(total) != part.size:
        raise WeightsError(f"the file has {int(total):,} bytes instead of {part.size:,}")
    if start != part.received:  # the server does not support ranges, or its file has changed: start from byte 0
        part.restart()
        if start:
            raise _Dropped("the server sent a different part of the file than requested")
    tag = response.headers.get("ETag", "")
    part.tag = tag if tag.startswith('"') else None
    while block := response.read(BLOCK_BYTES):
        part.append(block)
    if part.received < part.size:
        if response.chunked:  # a chunked body marks its end, so the connection was not cut
            received = part.received
            part.restart()
            raise WeightsError(f"the file has {received:,} bytes instead of {part.size:,}")
        raise _Dropped(f"the connection ended after {part.received:,} of {part.size:,} bytes")


def _failure(exc: object) -> WeightsError:
    """Return the error for an exception of urllib, without any text from the server."""
    match exc:
        case TimeoutError():
            return _Dropped(f"the server was silent for {TIMEOUT_SECONDS} seconds")
        case http.client.IncompleteRead() | http.client.RemoteDisconnected() | ssl.SSLEOFError():
            return _Dropped("the server closed the connection")
        case ConnectionError():
            return _Dropped(exc.strerror or "the connection broke")
        case ssl.SSLError():
            return WeightsError(f"no secure connection could be made ({exc.reason})")
        case OSError():  # such as an unknown host name or a full disk
            return WeightsError(exc.strerror or type(exc).__name__)
        case _:  # HTTPException, or the ValueError of an invalid address
            return WeightsError("the server's response is not valid HTTP")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _refuse_plain(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise WeightsError("the address, or one that it redirects to, does not use https")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirect handler that follows only to HTTPS, and sends the token only to the server that it was given for."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        _refuse_plain(newurl)
        redirected = super().redirect_request(req, fp, code, msg, headers, newurl)
        token = req.unredirected_hdrs.get("Authorization")
        if redirected and token and _origin(newurl) == _origin(req.full_url):
            redirected.add_unredirected_header("Authorization", token)
        return redirected
