"""Requests made up by schemathesis from our OpenAPI document, to every operation but the streams of events.

What the document allows and what it does not is asked; each answer must be one that the document promises.
"""

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import content_type_conformance, not_a_server_error, status_code_conformance
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import response_headers_conformance, response_schema_conformance

from sam3d_bento.serving.openapi.operations import OPERATIONS

pytestmark = [pytest.mark.api, pytest.mark.filterwarnings("ignore")]  # of schemathesis's own libraries

EXAMPLES = 40
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ASKED = {
    f"{method} {operation.path}": operation
    for operation in OPERATIONS
    if not operation.path.endswith("/events")
    for method in (operation.method, *(["head"] if operation.method == "get" else []))
}
# Without parameters and without a body, nothing can be wrong with a request.
FALLIBLE = [name for name, operation in ASKED.items() if operation.parameters or operation.body]
# The engine gives no gaussians, and its result has no size in metres.
NEVER_DONE = {f"get /api/assets/{{id}}.{suffix}" for suffix in ("splats.ply", "splats.glb", "urdf.zip", "mjcf.zip")}

schemathesis.serializer.alias("image/*", "application/octet-stream")


@pytest.fixture(scope="module")
def document(instant_server):
    return httpx.get(f"{instant_server.url}/docs.json").json()


@pytest.fixture(scope="module")
def schema(document):
    return schemathesis.openapi.from_dict(document)


@pytest.fixture
def ids(instant_server):
    """Ids that exist: of a result and of a job."""
    photo = {"content": b"\0", "headers": {"content-type": "image/png"}}
    with instant_server.client() as http:
        job = http.post("/api/jobs", **photo).json()["id"]
        result = http.post("/api/inference", **photo).headers["x-asset-id"]
    return {"assets": result, "jobs": job}


def ask_all(server, schema, name, mode, ids):
    """Send made-up requests to an operation; the statuses of the answers. Half of them name what exists."""
    method, path = name.split()
    statuses = set()

    @seed(1)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=schema[path][method.upper()].as_strategy(generation_mode=mode), exists=st.booleans())
    def ask(case, exists):
        if exists and "id" in (case.path_parameters or {}):
            case.path_parameters["id"] = ids[path.split("/")[2]]
        answer = case.call_and_validate(base_url=server.url, checks=CHECKS, timeout=60)
        statuses.add(answer.status_code)

    ask()
    return statuses


@pytest.mark.parametrize("name", ASKED)
def test_what_the_document_allows_has_an_answer_that_it_promises(instant_server, schema, ids, name):
    statuses = ask_all(instant_server, schema, name, GenerationMode.POSITIVE, ids)
    assert any(status < 300 for status in statuses) or name in NEVER_DONE, statuses
    assert instant_server.wait_until(200)["losses"] == 0


@pytest.mark.parametrize("name", FALLIBLE)
def test_what_the_document_forbids_has_an_answer_that_it_promises(instant_server, schema, ids, name):
    ask_all(instant_server, schema, name, GenerationMode.NEGATIVE, ids)
    assert instant_server.wait_until(200)["losses"] == 0


def test_an_answer_that_the_document_lacks_is_noticed(instant_server, document, ids):
    paths = document["paths"]
    answers = paths["/api/jobs/{id}"]["get"]["responses"]
    without = {status: answer for status, answer in answers.items() if status != "404"}
    changed = document | {"paths": paths | {"/api/jobs/{id}": {"get": {**paths["/api/jobs/{id}"]["get"]}}}}
    changed["paths"]["/api/jobs/{id}"]["get"]["responses"] = without
    schema = schemathesis.openapi.from_dict(changed)
    with pytest.raises(FailureGroup, match="Undocumented status code"):
        ask_all(instant_server, schema, "get /api/jobs/{id}", GenerationMode.POSITIVE, ids)
