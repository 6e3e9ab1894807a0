"""Load networks in the ONNX format, for the CPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sam3d_bento.errors import NotReady

MAX_THREADS = 4  # the networks here are small: more threads mostly wait for each other


def runtime() -> Any:
    """Return the module onnxruntime, which must not be imported in another way.

    Since 1.29, its packages for Linux report to Microsoft which models run where, and store an identifier of the
    machine for this (https://github.com/microsoft/onnxruntime/pull/27379), unless this variable is set before.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime


def session_options() -> Any:
    """Return the options of a session that shares the CPU and the memory with others."""
    options = runtime().SessionOptions()
    options.intra_op_num_threads = min(MAX_THREADS, os.cpu_count() or 1)
    options.inter_op_num_threads = 1
    # With onnxruntime 1.32 and u2netp this takes 0.1 s more per photo, but some 300 MB stay resident instead of 690.
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads would burn a shared CPU
    options.log_severity_level = 3  # errors only
    return options


def load(path: Path, name: str) -> Any:
    """Return a session of the network in a file. name: what the message calls it. Raises NotReady."""
    try:
        return runtime().InferenceSession(str(path), session_options(), providers=["CPUExecutionProvider"])
    except Exception as exc:  # onnxruntime's errors have no common base below Exception
        raise NotReady(f"The {name} cannot be loaded; its file is damaged or of another kind.") from exc
