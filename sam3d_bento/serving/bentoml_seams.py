"""Reach into BentoML 1.4.39 and its uvicorn, where they have no setting or public name for it.

Their log, the tracer, the supervisor of the serving process, the end of the server.
"""

from __future__ import annotations

import atexit
import functools
import gc
import logging
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Collection
from typing import Any, Literal

import uvicorn
from bentoml._internal import log as bentoml_log
from bentoml._internal.configuration.containers import BentoMLContainer
from opentelemetry.trace import Tracer

import sam3d_bento
from sam3d_bento import parent_death
from sam3d_bento.logs import JsonFormatter

# `python -m` of the process that serves; the supervisor's is `bentoml`, or a program that calls `bentoml.serve`.
WORKER_PROGRAM = "_bentoml_impl.worker.service"
# Not SAM3D_: it is no setting.
SUPERVISOR_VARIABLE = "_SAM3D_SUPERVISOR_PID"


def adopt_logs(log_format: Literal["console", "json"]) -> None:
    """Make BentoML's supervisor, its server and uvicorn log as this package does. Does nothing for the console format.

    BentoML's command reads its logging dictionary after it has imported the service, but its server reads it before. So
    both the dictionary and the handlers that were made from it are changed.
    """
    if log_format != "json":
        return
    bentoml_log.SERVER_LOGGING_CONFIG["formatters"]["traced"] = {"()": JsonFormatter}
    for name in bentoml_log.SERVER_LOGGING_CONFIG["loggers"]:
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(JsonFormatter())


def tracer() -> Tracer:
    """Return a tracer of the provider that BentoML has configured and with which it makes the spans of requests.

    Call it only after the server's app has been made: the provider takes the service's name from the app.
    """
    found: Tracer = BentoMLContainer.tracer_provider.get().get_tracer("sam3d_bento", sam3d_bento.__version__)
    return found


def is_worker_process() -> bool:
    """Return whether this is the process that BentoML's supervisor has started to serve, not the supervisor."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return spec is not None and spec.name == WORKER_PROGRAM


def end_with_supervisor() -> None:
    """Let the serving process get SIGTERM when its supervisor ends, however it ends; else it would hold port and GPU.

    To be called when the service is imported, which the supervisor does too, before it starts the serving process: it
    leaves its process id in the environment. It starts the serving process in its main thread (see `parent_death`).

    Both end without a last look for garbage, which takes a second of the processor, and of a busy one ten or more.
    """
    atexit.register(gc.freeze)
    if not is_worker_process():
        os.environ[SUPERVISOR_VARIABLE] = str(os.getpid())
        return
    if SUPERVISOR_VARIABLE in os.environ:
        parent_death.end_with(int(os.environ[SUPERVISOR_VARIABLE]), signal.SIGTERM)


def supervisor_is_gone() -> bool:
    """Return whether the supervisor of this serving process has ended."""
    expected = os.environ.get(SUPERVISOR_VARIABLE)
    return is_worker_process() and expected is not None and os.getppid() != int(expected)


def on_stop(callback: Callable[[], None]) -> Callable[[], Collection[Any]] | None:
    """Call `callback` after uvicorn's handler of SIGTERM and SIGINT, which closes the port and waits for connections.

    Return what lists uvicorn's open connections. None, and nothing is done, where no uvicorn serves (in tests, say).
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    if not isinstance(server, uvicorn.Server) or threading.current_thread() is not threading.main_thread():
        return None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, functools.partial(_handle_stop, server, callback))
    return lambda: server.server_state.connections


def _handle_stop(
    server: uvicorn.Server, callback: Callable[[], None], number: int, frame: types.FrameType | None
) -> None:
    server.handle_exit(number, frame)
    callback()
