"""The service as sam3d_bento/service.py wires it, around an engine that can be made to fail.

Its patience with clients and with its disks is short.
"""

import functools

from sam3d_bento.serving.assets import threads
from sam3d_bento.serving.backend import Backend
from sam3d_bento.serving.connections import downloads, limits
from sam3d_bento.serving.middleware import upload_limit

upload_limit.UploadLimit = functools.partial(upload_limit.UploadLimit, stall_seconds=4.0, grace_seconds=5.0)

threads.PATIENCE_SECONDS = threads.WRITE_PATIENCE_SECONDS = 3.0
limits.WRITE_STALL_SECONDS = 4
downloads.GRACE_SECONDS = 6.0
downloads.LOOK_SECONDS = 1.0

from sam3d_bento import service  # noqa: E402  # after that, because it takes its limits when it is imported

service.Backend = functools.partial(Backend, engine_loader="tests.support.faulty_runner:FaultyPreview")
Sam3D = service.Sam3D
