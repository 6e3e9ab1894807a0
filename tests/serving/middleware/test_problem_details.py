import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from sam3d_bento import errors
from sam3d_bento.serving import problems
from sam3d_bento.serving.middleware.access_log import AccessLog
from sam3d_bento.serving.middleware.problem_details import ProblemDetails
from sam3d_bento.serving.request_context import request_id


def leaves(kind=errors.Sam3DError):
    for child in kind.__subclasses__():
        yield from leaves(child)
        if "status" in vars(child):
            yield child


def client(*routes):
    return TestClient(AccessLog(ProblemDetails(Starlette(routes=list(routes)))), raise_server_exceptions=False)


@pytest.mark.parametrize("kind", list(leaves()), ids=lambda kind: kind.code)
def test_every_error_has_the_one_shape(kind):
    async def fail(request):
        return problems.response(kind("A sentence.", retry_after_seconds=3), request_id(request))

    answer = client(Route("/", fail)).get("/", headers={"X-Request-Id": "abc-1"})
    assert answer.status_code == kind.status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "3"
    assert answer.json() == {
        "type": "about:blank",
        "title": kind.title,
        "status": kind.status,
        "detail": "A sentence.",
        "code": kind.code,
        "retryable": kind.retryable,
        "request_id": "abc-1",
    }


def test_codes_are_unique():
    codes = [kind.code for kind in leaves()]
    assert len(codes) == len(set(codes)) == 23


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "bad_request"),
        (404, "not_found"),
        (405, "method_not_allowed"),
        (500, "internal"),
        (503, "not_ready"),
        (504, "deadline_exceeded"),
        (418, "bad_request"),
        (599, "internal"),
    ],
)
def test_a_foreign_error_is_reshaped_and_keeps_its_status(status, code):
    async def fail(request):
        return JSONResponse([{"error": "Traceback in /srv/app.py"}], status)

    answer = client(Route("/", fail)).get("/")
    assert (answer.status_code, answer.json()["status"], answer.json()["code"]) == (status, status, code)
    assert "/srv" not in answer.text


def test_unknown_routes_and_methods_too():
    async def ok(request):
        return PlainTextResponse("ok")

    http = client(Route("/", ok))
    assert http.get("/nowhere").json()["code"] == "not_found"
    refused = http.delete("/")
    assert refused.json()["code"] == "method_not_allowed"
    assert set(refused.headers["allow"].split(", ")) == {"GET", "HEAD"}
    assert refused.json()["request_id"] == refused.headers["x-request-id"]


def test_a_fault_in_a_route_has_the_shape_and_keeps_its_secrets():
    async def broken(request):
        raise ZeroDivisionError("a secret detail")

    answer = client(Route("/", broken)).get("/")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text


def test_successes_pass_untouched():
    async def ok(request):
        return Response(b"\x00\x01", media_type="model/gltf-binary", headers={"X-Seed": "7"})

    answer = client(Route("/", ok)).get("/")
    assert (answer.content, answer.headers["content-type"]) == (b"\x00\x01", "model/gltf-binary")


def test_the_health_report_keeps_its_own_shape():
    async def loading(request):
        return JSONResponse({"status": "starting"}, 503)

    assert client(Route("/health", loading)).get("/health").json() == {"status": "starting"}


def test_the_page_of_a_result_says_itself_that_there_is_none():
    async def gone(request):
        return Response("<p>gone", 404, media_type=request.query_params["type"])

    http = client(Route("/m/{id}", gone), Route("/more/{id}", gone))
    assert http.get("/m/1?type=text/html").text == "<p>gone"
    assert http.get("/m/1?type=text/plain").json()["code"] == "not_found"
    assert http.get("/more/1?type=text/html").json()["code"] == "not_found"
