"""What a job answers: the report of the run and the way to the GLB, or an error.

The SDK takes a dict with `error` for a failed job. A text must be in it (its test server refuses anything else), so the
error is JSON in a text, as the SDK's own errors are.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from sam3d_bento.errors import Sam3DError, TooLarge

# RunPod: 10 MB for a job's answer after /run, 20 MB after /runsync (docs.runpod.io, "Handler functions", "Payload
# limits"). A handler does not know which it was, nor whether a megabyte is 10^6 bytes; and the envelope needs room.
MAX_ANSWER_BYTES = 9_500_000


def inline(report: dict[str, Any], glb: bytes) -> dict[str, Any]:
    """The report with the GLB as base64 in `glb_base64`. Raises TooLarge when RunPod would not carry it."""
    size = (len(glb) + 2) // 3 * 4 + len(json.dumps(report))
    if size > MAX_ANSWER_BYTES:
        raise TooLarge(
            f"The result's file has {len(glb)} bytes, which is too much for an answer of RunPod's. Send 'output_url', a"
            " presigned URL that takes the file; or ask for a smaller 'texture_size', or fewer 'target_faces'. Or its"
            " operator names a bucket in SAM3D_OUTPUT_URL, and a link is answered."
        )
    return {**report, "glb_base64": base64.b64encode(glb).decode("ascii")}


def failure(error: Sam3DError) -> dict[str, Any]:
    """The error as the SDK takes it: `code`, `detail` and `retryable`, as in a problem document of the HTTP service."""
    return {"error": json.dumps({"code": error.code, "detail": error.detail, "retryable": error.retryable})}
