"""Reach into BentoML 1.4.40 and its uvicorn, where they have no setting or public name for it.

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

import bentoml
import uvicorn
from _bentoml_sdk.io_models import IORootModel
from bentoml._internal import log as bentoml_log
from bentoml._internal.configuration.containers import BentoMLContainer
from opentelemetry.trace import Tracer
from starlette.types import Scope

import sam3d_bento
from sam3d_bento import parent_death
from sam3d_bento.logs import JsonFormatter

# `python -m` of the process that serves; the supervisor's is `bentoml`, or a program that calls `bentoml.serve`.
WORKER_PROGRAM = "_bentoml_impl.worker.service"
# Not SAM3D_: it is no setting.
SUPERVISOR_VARIABLE = "_SAM3D_SUPERVISOR_PID"

# An input or output that is one value. BentoML's client sends one of bytes as it is.
RootModel = IORootModel


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


def is_dependency() -> bool:
    """Return whether this process serves a service that another one names in `bentoml.depends`, and not the main one.

    Its socket is open to the services of its process group alone, where BentoML makes it a file (`by_group_socket`).
    """
    found: bool = bentoml.server_context.service_type == "service"
    return found


def by_group_socket(scope: Scope) -> bool:
    """Return whether a request came over the socket that BentoML has made for the services of one process group.

    BentoML 1.4.40 gives each dependency a socket file in a folder that it makes for the group with mode 0700
    (`_bentoml_impl/server/serving.py`, `mkdtemp`). So whoever can connect to it runs as this user, and could read the
    file of keys as well. Uvicorn takes `server` of the scope from the connection's own socket, never from the request:
    a path and None for a socket file, an address and a port for a port. The main service has a port. On Windows, in
    WSL and with BENTOML_NO_UDS dependencies have one too, and then this is False.
    """
    server = scope.get("server")
    return is_dependency() and server is not None and server[1] is None and server[0].startswith("/")


def end_with_supervisor() -> None:
    """Let the serving process get SIGTERM when its supervisor ends, however it ends; else it would hold port and GPU.

    To be called in the supervisor before it starts the serving process, and in that one: the supervisor leaves its
    process id in the environment. It starts the serving process in its main thread (see `parent_death`).

    Both end without a last garbage collection, which takes a second of CPU, and on a busy machine ten or more.
    """
    atexit.register(gc.freeze)
    if not is_worker_process():
        os.environ[SUPERVISOR_VARIABLE] = str(os.getpid())
        return
    # A dependency's environment is made before its supervisor is told of it: then it is the parent that there is now.
    supervisor = os.environ.setdefault(SUPERVISOR_VARIABLE, str(os.getppid()))
    parent_death.end_with(int(supervisor), signal.SIGTERM)


def supervisor_is_gone() -> bool:
    """Return whether the supervisor of this serving process has ended."""
    expected = os.environ.get(SUPERVISOR_VARIABLE)
    return is_worker_process() and expected is not None and os.getppid() != int(expected)


def on_stop(callback: Callable[[], object]) -> Callable[[], Collection[Any]] | None:
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
    server: uvicorn.Server, callback: Callable[[], object], number: int, frame: types.FrameType | None
) -> None:
    server.handle_exit(number, frame)
    callback()
