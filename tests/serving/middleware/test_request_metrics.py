import pytest

from sam3d_bento.errors import Sam3DError
from sam3d_bento.serving.middleware.request_metrics import outcome, template
from sam3d_bento.serving.routes import api

ID = "0" * 32


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/", "/"),
        ("/health", "/health"),
        ("/api/inference", "/api/inference"),
        (f"/api/assets/{ID}.glb", "/api/assets/{id}.glb"),
        (f"/api/assets/{ID}.webp", "/api/assets/{id}.webp"),
        (f"/api/assets/{ID}/export", "/api/assets/{id}/export"),
        ("/api/assets/anything-at-all.glb", "/api/assets/{id}.glb"),
        (f"/api/jobs/{ID}/events", "/api/jobs/{id}/events"),
        ("/studio/vendor/three.js", "/studio/"),
        ("/studio/made/up", "/studio/"),
        ("/studio", "none"),
        ("/made/up", "none"),
        ("/api/inference/", "none"),
        ("", "none"),
    ],
)
def test_a_path_is_counted_by_its_route(path, route):
    assert template(path, api.app.routes) == route


def test_a_status_says_by_itself_what_it_was():
    assert [outcome(status) for status in (200, 202, 307)] == ["done"] * 3
    assert outcome(0) == "gone"
    assert outcome(404) == "not_found"
    assert outcome(401) == "unauthorized"
    assert outcome(413) == "too_large"
    assert outcome(418) == "status_4xx"
    assert outcome(599) == "status_5xx"


def test_every_error_has_an_outcome_of_its_status():
    def leaves(kind):
        for child in kind.__subclasses__():
            yield from leaves(child)
            if "status" in vars(child):
                yield child

    codes = {kind.status: set() for kind in leaves(Sam3DError)}
    for kind in leaves(Sam3DError):
        codes[kind.status].add(kind.code)
    for status, known in codes.items():
        assert outcome(status) in known
