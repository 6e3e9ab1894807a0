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
    """Return the id that this request's responses and log lines carry."""
    return str(request.scope["state"]["request_id"])


def client_id(request: Request) -> bytes:
    """Return what tells the clients apart that show different API keys; empty where no key is asked for."""
    found: bytes = request.scope["state"].get("client_id", b"")
    return found


def reservation(request: Request) -> Reservation | None:
    """Return what the request's body has reserved (`UploadLimit`); None where nobody counts."""
    found: Reservation | None = request.scope.get("state", {}).get("reservation")
    return found


def note(request: Request, **fields: Any) -> None:
    """Add fields (JSON values) to the log line at the request's end."""
    request.scope["state"]["log_fields"].update(fields)
