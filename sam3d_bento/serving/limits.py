"""Refuses bodies that are too large, or that stop coming, before anything buffers them."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sam3d_bento.errors import BadRequest, Sam3DError, TooLarge, UploadTimeout
from sam3d_bento.serving import problems
from sam3d_bento.serving.requests import request_id

# A chunk is some 64 kB: a client that sends none for so long is gone or holds the connection on purpose.
STALL_SECONDS = 30.0


class UploadLimit:
    """Answers 413 to a body above `max_bytes`, and 408 to one of which nothing comes for `stall_seconds`.

    A declared length is judged before a byte is read; otherwise the bytes are counted as they come.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, stall_seconds: float = STALL_SECONDS) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.stall_seconds = stall_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal: Sam3DError | None = None
        started = False
        seen = 0
        complete = False

        async def counted() -> Message:
            nonlocal refusal, seen, complete
            if complete:  # what comes now is only the client's going away
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), self.stall_seconds)
            except TimeoutError:
                refusal = UploadTimeout(f"No data came for {self.stall_seconds:g} seconds.")
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
        return self._too_large() if int(declared) > self.max_bytes else None

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The upload is larger than {self.max_bytes} bytes.")
