"""The service as service.py wires it, around an engine that can be made to fail."""

import functools

import service
from sam3d_bento.serving.backend import Backend

service.Backend = functools.partial(Backend, engine_loader="faulty_runner:FaultyPreview")
Sam3D = service.Sam3D
