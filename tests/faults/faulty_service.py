"""The service as service.py wires it, around an engine that can be made to fail; its patience with uploads is short."""

import functools

from sam3d_bento.serving import limits
from sam3d_bento.serving.backend import Backend

limits.UploadLimit = functools.partial(limits.UploadLimit, stall_seconds=4.0, grace_seconds=5.0)

import service  # noqa: E402  # after that, because it takes its limits when it is imported

service.Backend = functools.partial(Backend, engine_loader="faulty_runner:FaultyPreview")
Sam3D = service.Sam3D
