"""Refuses bodies that are too large, that stop coming, or that come too slowly, before anything buffers them.

Also those for which there is no room: a body's bytes are reserved (`admission`) before it is read.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sam3d_bento.errors import BadRequest, Sam3DError, TooLarge, UploadTimeout
from sam3d_bento.serving import problems
from sam3d_bento.serving.admission import Budget, Reservation
from sam3d_bento.serving.request_context import request_id

Value = TypeVar("Value")

# A chunk is some 64 kB: a client that sends none for so long is gone or holds the connection on purpose.
STALL_SECONDS = 30.0
# One that sends a byte now and then would hold it for ever. A phone with a bad connection sends 10 kB a second.
GRACE_SECONDS = 60.0
MIN_BYTES_PER_SECOND = 4_000.0

# A body of single bytes costs the event loop 50 microseconds for each. TCP brings some 1,400 bytes at a time, and a
# program that writes line by line some 80: the first number is for programs that write a small form byte by byte.
MAX_MESSAGES = 20_000
MIN_BYTES_PER_MESSAGE = 64


class UploadLimit:
    """Answers 413 to a body above `max_bytes`, and 408 to one that stops coming for `stall_seconds`, or that after
    `grace_seconds` has come at less than `bytes_per_second` since its begin.

    A declared length is judged before a byte is read; otherwise the bytes are counted as they come. So no body takes
    longer than grace_seconds or max_bytes / bytes_per_second, whichever is more. clock: monotonic, in seconds.

    route_limits: smaller limits, in bytes, of the paths that match. advice: what the 413 of the paths that match says
    more. A body in more than MAX_MESSAGES pieces of less than MIN_BYTES_PER_MESSAGE on average is a 400.

    Answers 429 to a body for which `budget` has no room: before it is read when its length is declared, else when the
    room ends. The request's `Reservation` is in its state, for those who keep some of the body longer.
    """

    def __init__(
        self,
        app: ASGIApp,
        max_bytes: int,
        budget: Budget | None = None,
        route_limits: Mapping[re.Pattern[str], int] | None = None,
        advice: Mapping[re.Pattern[str], str] | None = None,
        stall_seconds: float = STALL_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
        bytes_per_second: float = MIN_BYTES_PER_SECOND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.budget = budget
        self.route_limits = route_limits or {}
        self.advice = advice or {}
        self.stall_seconds = stall_seconds
        self.grace_seconds = grace_seconds
        self.bytes_per_second = bytes_per_second
        self.clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        reservation = None if self.budget is None else Reservation(self.budget)
        if reservation is not None:
            scope.setdefault("state", {})["reservation"] = reservation
        try:
            await self._limited(scope, receive, send, reservation)
        finally:
            if reservation is not None:
                reservation.release()

    async def _limited(self, scope: Scope, receive: Receive, send: Send, reservation: Reservation | None) -> None:
        max_bytes = min([self.max_bytes, *matching(self.route_limits, scope)])
        advice = matching(self.advice, scope)
        too_large = TooLarge(" ".join([f"The upload is larger than {max_bytes} bytes.", *advice]))
        refusal: Sam3DError | None = None
        started = False
        begun: float | None = None
        seen = messages = 0
        complete = False

        async def counted() -> Message:
            nonlocal refusal, begun, seen, messages, complete
            if complete:  # what comes now is only the client's going away
                return await receive()
            try:
                if begun is None:  # a body is asked for late when the handler looks at other things first
                    begun = self.clock()
                    _reserve(reservation, int(Headers(scope=scope).get("content-length", 0)))
                # What has come so far has paid for so much time.
                left = begun + max(self.grace_seconds, seen / self.bytes_per_second) - self.clock()
                try:
                    message = await asyncio.wait_for(receive(), max(0.0, min(self.stall_seconds, left)))
                except TimeoutError:
                    raise self._too_slow(left) from None
                seen += len(message.get("body", b""))
                messages += 1
                if seen > max_bytes:
                    raise too_large
                if messages > MAX_MESSAGES + seen / MIN_BYTES_PER_MESSAGE:
                    raise BadRequest("The body comes in too many small pieces. Send larger ones.")
                _reserve(reservation, seen)
            except Sam3DError as error:
                refusal = error
                raise
            complete = not message.get("more_body", False)
            return message

        async def tracked(message: Message) -> None:
            nonlocal started
            if refusal is not None and not started:
                return  # what the inner layers make of the refusal; it is answered below
            started = True
            await send(message)

        refusal = _judge_declared(scope, max_bytes, too_large)
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

    def _too_slow(self, left: float) -> UploadTimeout:
        if left > self.stall_seconds:
            return UploadTimeout(f"No data came for {self.stall_seconds:g} seconds.")
        return UploadTimeout(
            f"The upload came at less than {self.bytes_per_second:g} bytes a second for {self.grace_seconds:g} seconds."
        )


def matching(of_paths: Mapping[re.Pattern[str], Value], scope: Scope) -> list[Value]:
    """Return the values of the patterns that match the request's path."""
    return [value for path, value in of_paths.items() if path.fullmatch(scope["path"])]


def _reserve(reservation: Reservation | None, count: int) -> None:
    """Let the reservation have at least `count` bytes, of those that it was given so far. Raises Busy."""
    if reservation is not None and count > reservation.total:
        reservation.grow(count - reservation.total)


def _judge_declared(scope: Scope, max_bytes: int, too_large: TooLarge) -> Sam3DError | None:
    declared = Headers(scope=scope).get("content-length")
    if declared is None:
        return None
    if not declared.isascii() or not declared.isdigit():
        return BadRequest("The header Content-Length is not a number.")
    digits = declared.lstrip("0") or "0"  # Python refuses to read thousands of them
    return too_large if len(digits) > 18 or int(digits) > max_bytes else None
