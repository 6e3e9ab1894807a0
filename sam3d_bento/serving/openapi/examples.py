"""Give an example of each large JSON response, for the page of the API and for readers of the document."""

from __future__ import annotations

from typing import Any

ID = "fcd15084e03bc0e0ad408b89173a91fb"
JOB_ID = "11c49ddd8df74ec4a3cb354e901afce8"
REQUEST_ID = "5fe5aaaba5de9247"

SECONDS = {"queue": 0.0004, "decode": 0.0107, "mask": 0.9658, "reconstruct": 1.4478, "export": 2.1504}
FACTS = {
    "summary": "Preview engine: a simple shape is fitted to the silhouette; thickness and back are guessed.",
    "guesses": True,
    "seeded": False,
    "splats": False,
    "ignores": ["seed", "quality", "colour_source"],
}

REPORT: dict[str, Any] = {
    "id": ID,
    "url": f"http://127.0.0.1:8000/api/assets/{ID}.glb",
    "request_id": REQUEST_ID,
    "engine": "preview",
    "engine_version": "preview-silhouette/3",
    "engine_facts": FACTS,
    "seed": 7,
    "name": "chair",
    "options": {"texture_size": 1024, "target_faces": 40000, "quality": "standard", "shape": "auto"},
    "mask": {
        "source": "rembg",
        "coverage": 0.476,
        "model": None,
        "score": None,
        "candidate": None,
        "candidates": [],
        "objects": [{"box": [420, 310, 1980, 1640], "coverage": 0.476}],
    },
    "warnings": ["shape_guessed"],
    "details": {"shape": "lathe"},
    "faces": 39980,
    "vertices": 21258,
    "holes_filled": 0,
    "holes_kept": 0,
    "deviation": None,
    "normal_map": None,
    "watertight": True,
    "texture_size": 1024,
    "colour_source": "mesh",
    "scale": {
        "source": "unit",
        "metres": [0.82, 1.0, 0.61],
        "relative_error": None,
        "factor": 1.0,
        "shift": 0.0,
        "measured": None,
    },
    "camera": {
        "fx": 3360.0,
        "fy": 3360.0,
        "cx": 1200.0,
        "cy": 900.0,
        "width": 2400,
        "height": 1800,
        "source": "assumed",
    },
    "seconds": SECONDS,
    "gpu_peak_bytes": None,
    "retries": 0,
    "prompt_encodes": 0,
    "bytes": 1696620,
}

RESULT: dict[str, Any] = {
    "id": ID,
    "name": "chair",
    "page": f"http://127.0.0.1:8000/m/{ID}",
    "expires_in_seconds": 3412.5,
    "kept": False,
    "keepable": True,
    "exportable": True,
    "files": {
        "glb": {
            "url": f"http://127.0.0.1:8000/api/assets/{ID}.glb",
            "media_type": "model/gltf-binary",
            "bytes": 1696620,
        },
        "stl": {"url": f"http://127.0.0.1:8000/api/assets/{ID}.stl", "media_type": "model/stl", "bytes": None},
    },
}

JOB: dict[str, Any] = {
    "id": JOB_ID,
    "objects": [],
    "state": "done",
    "stage": None,
    "stage_fraction": 0.0,
    "fraction": 1.0,
    "position": None,
    "estimated_seconds": None,
    "created": "2026-11-30T19:21:38.275Z",
    "seconds": SECONDS,
    "warnings": ["shape_guessed"],
    "report": REPORT,
    "result": "kept",
    "problem": None,
    "links": {
        "self": f"/api/jobs/{JOB_ID}",
        "events": f"/api/jobs/{JOB_ID}/events",
        "asset": f"/api/assets/{ID}.glb",
    },
}

HEALTH: dict[str, Any] = {
    "status": "ready",
    "reason": None,
    "engine": "preview",
    "engine_version": "preview-silhouette/3",
    "device": "cpu",
    "engine_facts": FACTS,
    "gpu_memory": None,
    "queue": {"running": 0, "exporting": 0, "waiting": 0, "limit": 8},
    "run": None,
    "loads": 1,
    "losses": 0,
    "processes": {"engine": {"state": "ready", "reason": None, "loads": 1, "losses": 0}},
}

# By the names of the schemas.
EXAMPLES = {"Report": REPORT, "Result": RESULT, "Job": JOB, "Health": HEALTH}
