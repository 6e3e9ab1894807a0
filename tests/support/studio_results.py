"""Results for the browser tests of the viewer and of the page of a result."""

import json

import httpx

from tests.support.waiting import PATIENCE

QUICK = {"target_faces": "1000", "texture_size": "512"}


def make_result(server, photo, *, key=None, **options):
    """Let the service make a result of a photo (PNG bytes); return its report. The photo is called box.png."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    files = {"image": ("box.png", photo, "image/png")}
    answer = httpx.post(
        f"{server.url}/api/inference/link", files=files, data={**QUICK, **options}, headers=headers, timeout=PATIENCE
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def make_scene(server, photo, boxes):
    """Let the service make a scene of the objects in boxes (left, top, right, bottom), by their names."""
    polygons = {name: [x0, y0, x1, y0, x1, y1, x0, y1] for name, (x0, y0, x1, y1) in boxes.items()}
    objects = [{"name": name, "polygons": [polygon]} for name, polygon in polygons.items()]
    return make_result(server, photo, objects=json.dumps(objects))


def open_result(visit, server, report, **visiting):
    """Open the page of a result; return the studio's view of it once the model is shown."""
    studio = visit(server.url, **visiting)
    studio.page.goto(f"{server.url}/m/{report['id']}")
    studio.wait_for_model()
    studio.page.wait_for_selector("#download")
    return studio
