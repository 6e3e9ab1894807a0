"""Compressed request bodies: the ASGI wrapper `ContentEncoding` (RFC 9110, sections 8.4 and 15.5.16)."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sam3d_bento.errors import BadRequest, Sam3DError, TooLarge, UnsupportedMedia, shown
from sam3d_bento.serving import problems
from sam3d_bento.serving.admission import Reservation
from sam3d_bento.serving.middleware.upload_limit import matching
from sam3d_bento.serving.request_context import note, request_id, reservation
from sam3d_bento.serving.uploads import Upload

ACCEPTED = "gzip, deflate, identity"
# zlib's window bits: 31 reads gzip's format, 15 zlib's, -15 bare deflate data.
GZIP, ZLIB, BARE = 31, 15, -15
FORMATS = {"gzip": (GZIP,), "x-gzip": (GZIP,), "deflate": (ZLIB, BARE)}
GZIP_MAGIC = b"\x1f\x8b"
# What one call of zlib is given: what it does not use of it is copied.
CHUNK_BYTES = 16_384
# Nobody compresses twice on purpose; each layer costs a pass over the body.
MAX_LAYERS = 3
# bgzip and the like write a gzip file as members of 64 kB.
MAX_MEMBERS = 10_000
NOT_AS_DECLARED = "The body is not what its header Content-Encoding says:"


class ContentEncoding:
    """Decodes bodies with a Content-Encoding, so that what is inside sees none; see `decode`.

    An encoding that is not in `ACCEPTED` is a 415 that names it, with the header Accept-Encoding. Stands inside of
    `UploadLimit`: that bounds the encoded bytes, and `max_bytes` here the decoded ones. advice: as of `UploadLimit`.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, advice: Mapping[re.Pattern[str], str] | None = None) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.advice = advice or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        encodings = _encodings(scope) if scope["type"] == "http" else []
        if not encodings:
            await self.app(scope, receive, send)
            return
        refused = next((name for name in encodings if name not in FORMATS), None)
        try:
            if refused is not None:
                raise UnsupportedMedia(
                    f"The Content-Encoding '{shown(refused)}' is not read here. "
                    "Send the body as it is, or with gzip or deflate."
                )
            if len(encodings) > MAX_LAYERS:
                raise UnsupportedMedia(f"The body has more than {MAX_LAYERS} Content-Encodings.")
            body, first = await _read(receive)
            reserved = reservation(Request(scope))
            for encoding in reversed(encodings):  # they are listed in the order in which they were applied
                if first is None:
                    body = await anyio.to_thread.run_sync(_decoded, body, encoding, self.max_bytes, reserved)
        except Sam3DError as error:
            await self._refuse(error, scope, receive, send)
            return
        messages = _replay(body) if first is None else iter([first])

        async def replayed() -> Message:
            message = next(messages, None)
            return await receive() if message is None else message

        # The length is the encoded body's.
        headers = [pair for pair in scope["headers"] if pair[0] not in (b"content-encoding", b"content-length")]
        await self.app({**scope, "headers": headers}, replayed, send)

    async def _refuse(self, error: Sam3DError, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        if isinstance(error, TooLarge):
            error = TooLarge(" ".join([error.detail, *matching(self.advice, scope)]))
        note(request, outcome=error.code, detail=error.detail)
        answer = problems.response(error, request_id(request))
        if isinstance(error, UnsupportedMedia):
            answer.headers["Accept-Encoding"] = ACCEPTED
            answer.headers["Connection"] = "close"  # the body is not read
        await answer(scope, receive, send)


async def _read(receive: Receive) -> tuple[Upload, Message | None]:
    """Return the whole body, or the message that came in its place: that the client went away, for the inner app."""
    body = Upload()
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return body, message
        await body.write(message.get("body", b""))
        more = message.get("more_body", False)
    return body, None


def _replay(body: Upload) -> Iterator[Message]:
    """Yield the body as messages, and let it go."""
    rest = len(body)
    for chunk in body.chunks():
        rest -= len(chunk)
        yield {"type": "http.request", "body": chunk, "more_body": rest > 0}
    body.close()


def _decoded(body: Upload, encoding: str, max_bytes: int, reserved: Reservation | None) -> Upload:
    """Decode a body as `decode` does, and let it go. What is decoded is reserved as it grows; raises Busy too."""
    share = None if reserved is None else reserved.hand_over(0)
    for window_bits in FORMATS[encoding]:
        output = Upload()
        if share is not None:
            share.release()
            output.keep(share)
        try:
            _inflate(body.view(), window_bits, max_bytes, output, share)
        except _NotThisFormat:
            continue
        body.close()
        return output
    return body


def decode(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Decode a body. encoding: a key of `FORMATS`. max_bytes: the largest result; no more is ever decoded.

    `deflate` is zlib's format; the bare data that some libraries send under this name is read too. A body that is not
    of its format at all is returned as it is: a proxy may decode a body and leave the header. Raises BadRequest when a
    body is damaged or cut short, TooLarge when it holds more than `max_bytes`.
    """
    return _decoded(Upload(body), encoding, max_bytes, None).read()


class _NotThisFormat(Exception):
    """Body that does not begin with the signature of its format. Bare deflate data has no signature."""


def _inflate(body: memoryview, window_bits: int, max_bytes: int, output: Upload, share: Reservation | None) -> None:
    """Decode a body into `output`; of gzip, all its members (RFC 1952, section 2.2). What follows the end is left out.

    share: grows with the output. Raises Busy.
    """
    if not _begins_as(bytes(body[:2]), window_bits):
        raise _NotThisFormat
    position = members = 0
    stream = zlib.decompressobj(window_bits)
    while position < len(body):
        chunk = body[position : position + CHUNK_BYTES]
        try:
            piece = stream.decompress(chunk, max_bytes + 1 - len(output))  # above 0: 0 would be no limit
        except zlib.error:
            if window_bits == BARE:
                raise _NotThisFormat from None
            raise BadRequest(f"{NOT_AS_DECLARED} it is damaged.") from None
        if share is not None:
            share.grow(len(piece))
        output.append(piece)
        if len(output) > max_bytes:
            raise TooLarge(f"The upload is larger than {max_bytes} bytes when it is decoded.")
        position += len(chunk) - len(stream.unused_data)
        if not stream.eof:
            continue
        members += 1
        if window_bits != GZIP or bytes(body[position : position + len(GZIP_MAGIC)]) != GZIP_MAGIC:
            return
        if members == MAX_MEMBERS:
            raise BadRequest(f"The body has more than {MAX_MEMBERS} gzip members.")
        stream = zlib.decompressobj(window_bits)
    if window_bits == BARE:
        raise _NotThisFormat
    raise BadRequest(f"{NOT_AS_DECLARED} it is cut short.")


def _begins_as(body: bytes, window_bits: int) -> bool:
    """Return whether a body begins as gzip's format (RFC 1952, section 2.3) or zlib's (RFC 1950, section 2.2) does."""
    if window_bits == GZIP:
        return body.startswith(GZIP_MAGIC)
    if window_bits == ZLIB:
        return len(body) > 1 and body[0] & 0x8F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    return True


def _encodings(scope: Scope) -> list[str]:
    """Return what the headers Content-Encoding name, in lower case, without `identity`; of requests with a body."""
    if scope["method"] not in ("POST", "PUT", "PATCH"):
        return []
    lines = Headers(scope=scope).getlist("content-encoding")
    names = [name.strip().lower() for line in lines for name in line.split(",")]
    return [name for name in names if name not in ("", "identity")]
