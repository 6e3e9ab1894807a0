"""The service as service.py wires it, around runners that take no time."""

import functools

from sam3d_bento.serving import backend

RUNNERS = "tests.support.instant_runner:"
backend.MASK_LOADER = f"{RUNNERS}InstantMask"
backend.POSTPROCESS_LOADER = f"{RUNNERS}InstantFiles.load"

from sam3d_bento import service  # noqa: E402  # after that, because it makes a backend

service.Backend = functools.partial(backend.Backend, engine_loader=f"{RUNNERS}InstantRunner")
Sam3D = service.Sam3D
