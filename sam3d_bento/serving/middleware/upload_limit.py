"""Refuses bodies that are too large, that stop coming, or that come too slowly, before anything buffers them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sam3d_bento.errors import BadRequest, Sam3DError, TooLarge, UploadTimeout
from sam3d_bento.serving import problems
from sam3d_bento.serving.request_context import request_id

# A chunk is some 64 kB: a client that sends none for so long is gone or holds the connection on purpose.
STALL_SECONDS = 30.0
# One that sends a byte now and then would hold it for ever. A phone with a bad connection sends 10 kB a second.
GRACE_SECONDS = 60.0
MIN_BYTES_PER_SECOND = 4_000.0


class UploadLimit:
    """Answers 413 to a body above `max_bytes`, and 408 to one that stops coming for `stall_seconds`, or that after
    `grace_seconds` has come at less than `bytes_per_second` since its begin.

    A declared length is judged before a byte is read; otherwise the bytes are counted as they come. So no body takes
    longer than grace_seconds or max_bytes / bytes_per_second, whichever is more. clock: monotonic, in seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        max_bytes: int,
        stall_seconds: float = STALL_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
        bytes_per_second: float = MIN_BYTES_PER_SECOND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.stall_seconds = stall_seconds
        self.grace_seconds = grace_seconds
        self.bytes_per_second = bytes_per_second
        self.clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal: Sam3DError | None = None
        started = False
        begun: float | None = None
        seen = 0
        complete = False

        async def counted() -> Message:
            nonlocal refusal, begun, seen, complete
            if complete:  # what comes now is only the client's going away
                return await receive()
            if begun is None:  # a body is asked for late when the handler looks at other things first
                begun = self.clock()
            # What has come so far has paid for so much time.
            left = begun + max(self.grace_seconds, seen / self.bytes_per_second) - self.clock()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, min(self.stall_seconds, left)))
            except TimeoutError:
                refusal = self._too_slow(left)
                raise refusal from None
            seen += len(message.get("body", b""))
            if seen > self.max_bytes:
                refusal = self._too_large()
                raise refusal
            complete = not message.get("more_body", False)
            return message

        async def tracked(message: Message) -> None:
            nonlocal started
            if refusal is not None and not started:
                return  # what the inner layers make of the refusal; it is answered below
            started = True
            await send(message)

        refusal = self._judge_declared(scope)
        if refusal is None:
            try:
                await self.app(scope, counted, tracked)
            except Sam3DError as exc:
                if exc is not refusal:
                    raise
        if refusal is not None and not started:
            answer = problems.response(refusal, request_id(Request(scope)))
            answer.headers["Connection"] = "close"  # the rest of the body is not read
            await answer(scope, receive, send)

    def _judge_declared(self, scope: Scope) -> Sam3DError | None:
        declared = Request(scope).headers.get("content-length")
        if declared is None:
            return None
        if not declared.isascii() or not declared.isdigit():
            return BadRequest("The header Content-Length is not a number.")
        digits = declared.lstrip("0") or "0"  # Python refuses to read thousands of them
        return self._too_large() if len(digits) > 18 or int(digits) > self.max_bytes else None

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The upload is larger than {self.max_bytes} bytes.")

    def _too_slow(self, left: float) -> UploadTimeout:
        if left > self.stall_seconds:
            return UploadTimeout(f"No data came for {self.stall_seconds:g} seconds.")
        return UploadTimeout(
            f"The upload came at less than {self.bytes_per_second:g} bytes a second for {self.grace_seconds:g} seconds."
        )
