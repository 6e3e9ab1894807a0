"""What HTTP libraries write by default is taken as the file that it is, to the byte."""

import re

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from sam3d_bento.options import Options
from sam3d_bento.serving.middleware.access_log import AccessLog
from sam3d_bento.serving.middleware.content_encoding import ContentEncoding
from sam3d_bento.serving.routes import upload_form
from sam3d_bento.serving.routes.handlers import problem_responses
from tests.support import client_requests


@pytest.fixture(scope="module")
def http():
    @problem_responses
    async def show(request):
        options = request.url.path == "/api/inference"
        submission = (await upload_form.read(request, options=options)).submission
        assert submission.mask is None
        return Response(submission.photo, headers={"X-Seed": str(submission.options.seed)})

    routes = [Route(path, show, methods=["POST"]) for path in ("/api/inference", "/api/mask")]
    return TestClient(AccessLog(ContentEncoding(Starlette(routes=routes), 10_000)), raise_server_exceptions=True)


@pytest.mark.parametrize("name", client_requests.NAMES)
def test_a_library_s_request_gives_its_photo(http, name):
    request = client_requests.parsed(name)
    http.headers = {}  # those of the request, and no others
    answer = http.post(request.path, content=request.body, headers=request.headers)
    assert answer.status_code == 200, answer.text
    assert answer.content == client_requests.PHOTO.read_bytes()
    assert answer.headers["x-seed"] == ("7" if name.endswith("-seed") else str(Options().seed))


def test_each_request_has_its_source_named():
    listed = re.findall(r"^\| `(\S+)\.http` \| .+ \|$", (client_requests.FOLDER / "README.md").read_text(), re.M)
    assert sorted(listed) == client_requests.NAMES
