"""A file from the web, continued where an earlier attempt broke off.

Nothing that a server says gets into a sentence or an exception here: it may echo the token that it was sent.
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

TIMEOUT_SECONDS = 60  # of silence, not of the whole download
PAUSES_SECONDS = (1, 2, 4, 8)  # before another attempt; when the last one brought nothing either, that is all

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_PASSING = (408, 429, 500, 502, 503, 504)  # statuses of a server that may do better in a while
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class Refused(WeightsError):
    """A server answered with a status that is no success.

    by_first: whether it is the server that was asked, not one that it redirected to.
    """

    def __init__(self, status: int, *, by_first: bool) -> None:
        super().__init__(f"the server answered {status} ({http.client.responses.get(status, 'of no standard')})")
        self.status = status
        self.by_first = by_first


class _Dropped(WeightsError):
    """The connection ended too early; another attempt may go on from there."""


def download(url: str, part: Part, token: SecretStr | None = None) -> None:
    """Append to `part` what it lacks of the file at `url`.

    Only https is spoken; a loopback address may be plain. token: sent as a bearer token to the server of `url`, never
    to another one that it redirects to. A connection that drops is tried again, until several attempts together have
    brought nothing new. Raises WeightsError, Refused for a status; `part` keeps what may be the beginning of the file.
    """
    failures, furthest = 0, part.received
    while part.received < part.size:
        try:
            _attempt(url, part, token)
        except _Dropped:
            # Only a block that never arrived before counts as new: no server keeps this going for ever.
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
        if exc.code in _PASSING:
            raise _Dropped(f"the server answered {exc.code}, again and again") from None
        if exc.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and part.received:
            part.restart()
            raise _Dropped("the server has less of the file than had arrived") from None
        raise Refused(exc.code, by_first=_origin(exc.url) == _origin(url)) from None
    except (OSError, http.client.HTTPException, ValueError) as exc:
        # urllib wraps what fails before the answer, and only that
        raise _failure(exc.reason if isinstance(exc, urllib.error.URLError) else exc) from None


def _open(url: str, part: Part, token: SecretStr | None) -> Any:
    _refuse_plain(url)
    request = urllib.request.Request(url)  # noqa: S310  # the line above
    if part.received:
        request.add_header("Range", f"bytes={part.received}-")
        if part.tag:
            request.add_header("If-Range", part.tag)
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token.get_secret_value()}")
    return urllib.request.build_opener(_Redirects).open(request, timeout=TIMEOUT_SECONDS)


def _receive(response: Any, part: Part) -> None:
    """Append the body. Raises WeightsError before the first byte when it cannot be the file."""
    start, total = 0, response.headers.get("Content-Length")
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        said = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if said is None:
            raise WeightsError("the server answered with a part of the file, and not with which")
        start, total = int(said[1]), said[2]
    elif response.status != http.HTTPStatus.OK:
        raise Refused(response.status, by_first=True)
    if total and total.isdecimal() and int(total) != part.size:
        raise WeightsError(f"it has {int(total):,} bytes; it should have {part.size:,}")
    if start != part.received:  # a server that knows no ranges, or has another version by now, begins at the beginning
        part.restart()
        if start:
            raise _Dropped("the server answered with another part of the file than asked for")
    tag = response.headers.get("ETag", "")
    part.tag = tag if tag.startswith('"') else None
    while block := response.read(BLOCK_BYTES):
        part.append(block)
    if part.received < part.size:
        if response.chunked:  # then it did not break off: the body says itself where it ends
            received = part.received
            part.restart()
            raise WeightsError(f"it has {received:,} bytes; it should have {part.size:,}")
        raise _Dropped(f"the connection ended after {part.received:,} of {part.size:,} bytes")


def _failure(exc: object) -> WeightsError:
    """What went wrong, in words of our own."""
    match exc:
        case TimeoutError():
            return _Dropped(f"the server was silent for {TIMEOUT_SECONDS} seconds")
        case http.client.IncompleteRead() | http.client.RemoteDisconnected() | ssl.SSLEOFError():
            return _Dropped("the server closed the connection")
        case ConnectionError():
            return _Dropped(exc.strerror or "the connection broke")
        case ssl.SSLError():
            return WeightsError(f"no secure connection ({exc.reason})")
        case OSError():  # names that are not found, full disks
            return WeightsError(exc.strerror or type(exc).__name__)
        case _:  # HTTPException, and the ValueError of an address that is none
            return WeightsError("the server's answer is not proper HTTP")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _refuse_plain(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise WeightsError("the address, or one that it redirects to, is not https")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to https alone. An unredirected header, the token, goes along within one server only."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        _refuse_plain(newurl)
        redirected = super().redirect_request(req, fp, code, msg, headers, newurl)
        token = req.unredirected_hdrs.get("Authorization")
        if redirected and token and _origin(newurl) == _origin(req.full_url):
            redirected.add_unredirected_header("Authorization", token)
        return redirected
