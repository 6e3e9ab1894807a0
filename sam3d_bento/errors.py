"""Everything that can go wrong, as one tree. A leaf is one thing that a caller may handle.

    Sam3DError
    ├── RequestError                 the request is at fault: correct it and send it again
    │   ├── BadRequest               400  a field is wrong, or the image is corrupt
    │   ├── Unauthorized             401  the key is missing or unknown
    │   ├── NotFound                 404  no such route, asset or job (any more)
    │   ├── MethodNotAllowed         405  the route exists, this method does not
    │   ├── UploadTimeout            408  the upload came too slowly
    │   ├── Cancelled                409  the caller cancelled the job
    │   ├── TooLarge                 413  too many bytes or pixels
    │   ├── UnsupportedMedia         415  a format that is not read
    │   ├── NoObject                 422  nothing to reconstruct in the picture
    │   └── KeyReused                422  the idempotency key belongs to another request
    ├── Busy                         429  the queue is full
    ├── Internal                     500  a fault of ours
    │   └── BadResult                500  the result failed its check
    ├── Unavailable                       the service cannot work now
    │   ├── NotReady                 503  loading, or the load failed
    │   ├── GpuOutOfMemory           503  the GPU's memory did not suffice
    │   ├── EngineLost               503  the engine process died and was replaced
    │   └── StorageUnavailable       503  the store of results does not do what it is asked
    ├── TransferFailed               502  another host did not give a file, or did not take one
    ├── DeadlineExceeded             504  the run took longer than allowed
    └── StorageFull                  507  no room to keep the result

The message of an error is a sentence for the person who sees it: no path, no traceback.
"""

from typing import ClassVar


class Sam3DError(Exception):
    """Base of the tree. The message is shown to the client as it is."""

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds


class RequestError(Sam3DError):
    """The request is at fault; sending the same again gives the same answer."""


class BadRequest(RequestError):
    """A field is unknown, missing or out of range, or the image is corrupt."""

    status, code, title = 400, "bad_request", "The request is not understood"


class Unauthorized(RequestError):
    """The API key is missing or unknown."""

    status, code, title = 401, "unauthorized", "A valid API key is required"


class NotFound(RequestError):
    """There is no such route, or no such asset or job any more."""

    status, code, title = 404, "not_found", "Not found"


class MethodNotAllowed(RequestError):
    """The route exists, but not with this method."""

    status, code, title = 405, "method_not_allowed", "Method not allowed"


class UploadTimeout(RequestError):
    """The upload came too slowly."""

    status, code, title, retryable = 408, "upload_timeout", "The upload took too long", True


class Cancelled(RequestError):
    """The caller cancelled the job, or went away."""

    status, code, title = 409, "cancelled", "The job was cancelled"


class TooLarge(RequestError):
    """The upload has too many bytes, or the image too many pixels."""

    status, code, title = 413, "too_large", "The upload is too large"


class UnsupportedMedia(RequestError):
    """The image is in a format that is not read."""

    status, code, title = 415, "unsupported_media", "The format is not supported"


class NoObject(RequestError):
    """The mask is empty, or covers the whole frame."""

    status, code, title = 422, "no_object", "No object was found"


class KeyReused(RequestError):
    """The idempotency key came before, with another input."""

    status, code, title = 422, "idempotency_key_reused", "The idempotency key belongs to another request"


class Busy(Sam3DError):
    """The queue is full."""

    status, code, title, retryable = 429, "busy", "The service is busy", True


class Internal(Sam3DError):
    """A fault of the service."""

    status, code, title = 500, "internal", "Internal error"


class BadResult(Internal):
    """The mesh or the texture failed its check, so it was not handed out."""

    status, code, title = 500, "bad_result", "The result failed its check"


class Unavailable(Sam3DError):
    """The service cannot do the work now; the same request may succeed later."""

    retryable = True


class NotReady(Unavailable):
    """The engine is still loading, or its load failed."""

    status, code, title = 503, "not_ready", "The service is not ready"


class GpuOutOfMemory(Unavailable):
    """The memory of the GPU did not suffice for this run."""

    status, code, title = 503, "gpu_out_of_memory", "Out of GPU memory"


class EngineLost(Unavailable):
    """The engine process died during the run and was replaced."""

    status, code, title = 503, "engine_lost", "The engine was restarted"


class StorageUnavailable(Unavailable):
    """The store of results cannot be reached, or refuses what it is asked."""

    status, code, title = 503, "storage_unavailable", "The store of results is unavailable"


class TransferFailed(Sam3DError):
    """Another host did not give the file that it was asked for, or did not take the result."""

    status, code, title, retryable = 502, "transfer_failed", "A file could not be transferred", True


class DeadlineExceeded(Sam3DError):
    """The run took longer than the deadline allows; it was stopped."""

    status, code, title, retryable = 504, "deadline_exceeded", "The run took too long", True


class StorageFull(Sam3DError):
    """There is no room to keep the result."""

    status, code, title, retryable = 507, "storage_full", "Storage is full", True


def by_code() -> dict[str, type[Sam3DError]]:
    """Return the classes that have a code, by their codes."""
    found: dict[str, type[Sam3DError]] = {}
    rest = [Sam3DError]
    while rest:
        kind = rest.pop()
        if "code" in vars(kind):
            found[kind.code] = kind
        rest += kind.__subclasses__()
    return found


def shown(name: str) -> str:
    """A name of the client's as it may stand in a sentence: printable, and not long."""
    printable = "".join(character if character.isprintable() else "?" for character in name)
    return printable if len(printable) <= 40 else f"{printable[:40]}…"
