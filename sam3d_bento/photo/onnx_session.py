"""Load networks with ONNX Runtime: on the CPU, without telemetry, and with little memory."""

from __future__ import annotations

import os
from typing import Any

MAX_THREADS = 4  # these networks are small: more threads mostly wait for each other


def runtime() -> Any:
    """Return the module onnxruntime, imported without its telemetry.

    Since 1.29, onnxruntime's packages for Linux report to Microsoft which models run where, and store an identifier of
    the machine for this (https://github.com/microsoft/onnxruntime/pull/27379), unless this variable is set before it
    is loaded.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime


def options() -> Any:
    """Return the options of a session."""
    options = runtime().SessionOptions()
    options.intra_op_num_threads = min(MAX_THREADS, os.cpu_count() or 1)
    options.inter_op_num_threads = 1
    # With onnxruntime 1.32 and u2netp this takes 0.1 s more per photo, but some 300 MB stay resident instead of 690.
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads would burn a shared CPU
    options.log_severity_level = 3  # errors only
    return options
