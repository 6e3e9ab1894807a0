"""Build the answer to a job: the report of the run with the GLB or a link to it, or an error.

The SDK treats a dict with `error` as a failed job. Its test server accepts only a string there, so the error is JSON in
a string, as in the SDK's own errors.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from sam3d_bento.errors import Sam3DError, TooLarge

# Largest answer. RunPod carries 10 MB after /run and 20 MB after /runsync (docs.runpod.io, "Handler functions",
# "Payload limits"). A handler does not know which of the two was called, nor whether a megabyte is 10^6 bytes. The
# envelope of the answer needs room as well.
MAX_ANSWER_BYTES = 9_500_000


def inline(report: dict[str, Any], glb: bytes) -> dict[str, Any]:
    """Return the report with the GLB as base64 in `glb_base64`. Raises TooLarge when RunPod would not carry it."""
    size = (len(glb) + 2) // 3 * 4 + len(json.dumps(report))
    if size > MAX_ANSWER_BYTES:
        raise TooLarge(
            f"The result's file has {len(glb)} bytes, which is too much for an answer of RunPod's. Send 'output_url', a"
            " presigned URL that takes the file; or ask for a smaller 'texture_size', or fewer 'target_faces'. Or its"
            " operator names a bucket in SAM3D_OUTPUT_URL, and a link is answered."
        )
    return {**report, "glb_base64": base64.b64encode(glb).decode("ascii")}


def failure(error: Sam3DError) -> dict[str, Any]:
    """Return an error as the SDK expects it, with the fields `code`, `detail` and `retryable` of the HTTP service."""
    return {"error": json.dumps({"code": error.code, "detail": error.detail, "retryable": error.retryable})}
