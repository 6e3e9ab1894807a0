"""Access the context of the current request: the service's backend, the request's id, its log fields."""

from __future__ import annotations

from typing import Any

import bentoml
from starlette.requests import Request

from sam3d_bento.serving.admission import Reservation
from sam3d_bento.serving.backend import Backend


def backend() -> Backend:
    """Return the running service's backend."""
    found: Backend = bentoml.get_current_service().backend
    return found


def request_id(request: Request) -> str:
    """Return the request's id, which is in its response and log lines."""
    return str(request.scope["state"]["request_id"])


def client_id(request: Request) -> bytes:
    """Return an id of the client's API key; empty if the service needs no key."""
    found: bytes = request.scope["state"].get("client_id", b"")
    return found


def reservation(request: Request) -> Reservation | None:
    """Return the reservation of the request's body (`UploadLimit`); None without a byte budget."""
    found: Reservation | None = request.scope.get("state", {}).get("reservation")
    return found


def note(request: Request, **fields: Any) -> None:
    """Add fields (JSON values) to the log line at the request's end."""
    request.scope["state"]["log_fields"].update(fields)
