"""What belongs to the request that is being answered: the service's backend, the request's id, its log fields."""

from __future__ import annotations

from typing import Any

import bentoml
from starlette.requests import Request

from sam3d_bento.serving.admission import Reservation
from sam3d_bento.serving.backend import Backend


def backend() -> Backend:
    """The running service's backend."""
    found: Backend = bentoml.get_current_service().backend
    return found


def request_id(request: Request) -> str:
    """The id that this request's responses and log lines carry."""
    return str(request.scope["state"]["request_id"])


def reservation(request: Request) -> Reservation | None:
    """Return what the request's body has reserved (`UploadLimit`); None where nobody counts."""
    found: Reservation | None = request.scope.get("state", {}).get("reservation")
    return found


def note(request: Request, **fields: Any) -> None:
    """Add fields (JSON values) to the request's closing log line."""
    request.scope["state"]["log_fields"].update(fields)
