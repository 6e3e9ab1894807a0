import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from sam3d_bento.serving.middleware.security_headers import SecurityHeaders, cors

ORIGIN = "https://app.example.com"


def client(*origins):
    def answer(request):
        return PlainTextResponse("hello", headers={"Referrer-Policy": "origin"})

    layers = [Middleware(SecurityHeaders, shared=bool(origins))]
    if origins:
        layers.append(Middleware(CORSMiddleware, **cors(origins)))
    return TestClient(Starlette(routes=[Route("/", answer, methods=["GET", "POST"])], middleware=layers))


def test_every_answer_says_what_it_may_do(serve):
    http = serve()
    for method, path in (
        ("GET", "/"),
        ("GET", "/studio/pages/main.js"),
        ("GET", "/health"),
        ("GET", "/livez"),
        ("GET", "/metrics"),
        ("GET", "/api/options"),
        ("GET", "/nowhere"),
        ("PUT", "/api/options"),
        ("POST", "/api/inference"),
    ):
        headers = http.request(method, path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["x-frame-options"] == "DENY", path
        assert headers["referrer-policy"] == "no-referrer", path
        assert headers["cross-origin-resource-policy"] == "same-origin", path
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path


def test_an_answer_may_say_otherwise():
    assert client().get("/").headers["referrer-policy"] == "origin"


def test_other_sites_may_not_read_unless_they_are_named():
    asked = {"Origin": ORIGIN}
    assert "access-control-allow-origin" not in client().get("/", headers=asked).headers
    assert client(ORIGIN).get("/", headers=asked).headers["access-control-allow-origin"] == ORIGIN
    other = client("https://other.example.com").get("/", headers=asked)
    assert "access-control-allow-origin" not in other.headers
    assert "access-control-allow-credentials" not in client(ORIGIN).get("/", headers=asked).headers
    assert client("*").get("/", headers=asked).headers["access-control-allow-origin"] == "*"


def test_an_allowed_site_may_read_our_headers_and_embed_answers():
    headers = client(ORIGIN).get("/", headers={"Origin": ORIGIN}).headers
    exposed = headers["access-control-expose-headers"].split(", ")
    assert {"Server-Timing", "X-Seed", "X-Asset-Id", "X-Request-Id", "Location"} <= set(exposed)
    assert headers["cross-origin-resource-policy"] == "cross-origin"


@pytest.mark.parametrize(("origin", "status"), [(ORIGIN, 200), ("https://other.example.com", 400)])
def test_a_browser_asks_before_it_sends_a_key(origin, status):
    asks = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, idempotency-key",
    }
    assert client(ORIGIN).options("/", headers=asks).status_code == status
