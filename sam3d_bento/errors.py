"""All errors of this package, as one tree. Each leaf is one situation that a caller may handle.

    Sam3DError
    ├── RequestError                 the request is wrong: correct it and send it again
    │   ├── BadRequest               400  a field is wrong, or the image is corrupt
    │   ├── Unauthorized             401  the key is missing or unknown
    │   ├── NotFound                 404  no such route, or no such asset or job (any more)
    │   ├── MethodNotAllowed         405  the route exists, this method does not
    │   ├── UploadTimeout            408  the upload was too slow
    │   ├── Cancelled                409  the caller cancelled the job
    │   ├── NoRoomToKeep             409  the quota of kept results is used up
    │   ├── TooLarge                 413  too many bytes or pixels
    │   ├── UnsupportedMedia         415  a format that is not supported
    │   ├── NoObject                 422  nothing to reconstruct in the picture
    │   ├── NoDepth                  422  no depth where the object is
    │   ├── NoScale                  422  a size in metres that nothing tells
    │   └── KeyReused                422  the idempotency key belongs to another request
    ├── Busy                         429  the queue is full
    ├── Internal                     500  a fault of the service
    │   └── BadResult                500  the result failed its check
    ├── Unavailable                       the service cannot work now
    │   ├── NotReady                 503  loading, or the load failed
    │   ├── GpuOutOfMemory           503  the GPU's memory did not suffice
    │   ├── EngineLost               503  the engine process died and was replaced
    │   └── StorageUnavailable       503  the store of results cannot be reached, or refuses a request
    ├── TransferFailed               502  another host did not send a file, or did not accept one
    ├── DeadlineExceeded             504  the run took longer than allowed
    └── StorageFull                  507  no room to keep the result

The message of an error is a sentence for the client. It contains no path and no traceback.
"""

from typing import ClassVar


class Sam3DError(Exception):
    """Root of the tree. The client sees the message as it is."""

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds


class RequestError(Sam3DError):
    """Fault of the request. Sending the same request again gives the same answer."""


class BadRequest(RequestError):
    """Field that is unknown, missing or out of range, or a corrupt image."""

    status, code, title = 400, "bad_request", "The request is not understood"


class Unauthorized(RequestError):
    """Missing or unknown API key."""

    status, code, title = 401, "unauthorized", "A valid API key is required"


class NotFound(RequestError):
    """Route that does not exist, or an asset or job that does not exist or no longer exists."""

    status, code, title = 404, "not_found", "Not found"


class MethodNotAllowed(RequestError):
    """Method that an existing route does not have."""

    status, code, title = 405, "method_not_allowed", "Method not allowed"


class UploadTimeout(RequestError):
    """Upload that was too slow."""

    status, code, title, retryable = 408, "upload_timeout", "The upload took too long", True


class Cancelled(RequestError):
    """Job that its caller cancelled, or whose caller disconnected."""

    status, code, title = 409, "cancelled", "The job was cancelled"


class NoRoomToKeep(RequestError):
    """Result that does not fit into the quota of kept results."""

    status, code, title = 409, "no_room_to_keep", "There is no room to keep another result"


class TooLarge(RequestError):
    """Upload of too many bytes, or an image of too many pixels."""

    status, code, title = 413, "too_large", "The upload is too large"


class UnsupportedMedia(RequestError):
    """Image in a format that is not supported, or a result in a format that cannot be made here."""

    status, code, title = 415, "unsupported_media", "The format is not supported"


class NoObject(RequestError):
    """Photo without an object to reconstruct, for example because the mask is empty or covers the whole frame."""

    status, code, title = 422, "no_object", "No object was found"


class NoDepth(RequestError):
    """Depth map without depth where the object is."""

    status, code, title = 422, "no_depth", "The object has no depth"


class NoScale(RequestError):
    """Size in metres that neither the options nor the photo's depth tell."""

    status, code, title = 422, "no_scale", "The size is not known"


class KeyReused(RequestError):
    """Idempotency key that an earlier request used with another input."""

    status, code, title = 422, "idempotency_key_reused", "The idempotency key belongs to another request"


class Busy(Sam3DError):
    """Full queue."""

    status, code, title, retryable = 429, "busy", "The service is busy", True


class Internal(Sam3DError):
    """Fault of the service."""

    status, code, title = 500, "internal", "Internal error"


class BadResult(Internal):
    """Mesh or texture that failed its check, and is therefore not returned."""

    status, code, title = 500, "bad_result", "The result failed its check"


class Unavailable(Sam3DError):
    """Service that cannot do the work now. The same request may succeed later."""

    retryable = True


class NotReady(Unavailable):
    """Engine that is still loading, or whose load failed."""

    status, code, title = 503, "not_ready", "The service is not ready"


class GpuOutOfMemory(Unavailable):
    """GPU whose memory did not suffice for this run."""

    status, code, title = 503, "gpu_out_of_memory", "Out of GPU memory"


class EngineLost(Unavailable):
    """Engine process that died during the run and was replaced."""

    status, code, title = 503, "engine_lost", "The engine was restarted"


class StorageUnavailable(Unavailable):
    """Store of results that cannot be reached, or that refuses a request."""

    status, code, title = 503, "storage_unavailable", "The store of results is unavailable"


class TransferFailed(Sam3DError):
    """File that another host did not send, or result that another host did not accept."""

    status, code, title, retryable = 502, "transfer_failed", "A file could not be transferred", True


class DeadlineExceeded(Sam3DError):
    """Run that took longer than the deadline allows, and was stopped."""

    status, code, title, retryable = 504, "deadline_exceeded", "The run took too long", True


class StorageFull(Sam3DError):
    """Storage without room for the result."""

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
    """Return a name from the client as a message may quote it: printable, at most 40 characters and an ellipsis."""
    printable = "".join(character if character.isprintable() else "?" for character in name)
    return printable if len(printable) <= 40 else f"{printable[:40]}…"
