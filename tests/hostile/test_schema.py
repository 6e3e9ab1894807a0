"""Requests made up from our own OpenAPI document, by schemathesis: what it allows, and what it does not."""

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

pytestmark = [pytest.mark.server, pytest.mark.filterwarnings("ignore")]  # of schemathesis's own libraries

EXAMPLES = 60


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_no_request_that_the_document_leads_to_is_a_5xx(server, mode):
    schema = schemathesis.openapi.from_dict(httpx.get(f"{server.url}/docs.json").json())
    statuses = set()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=schema["/api/inference"]["POST"].as_strategy(generation_mode=mode))
    def ask(case):
        answer = case.call(base_url=server.url)
        if answer.status_code != 422 or answer.json()["code"] != "no_scale":  # `scale=metric` without any depth
            statuses.add(answer.status_code)
        assert answer.status_code < 500, case.as_curl_command()
        assert answer.headers["content-type"] == ["application/problem+json"]

    ask()
    assert statuses <= {400, 413, 415}, "random bytes are no photo"
    assert server.wait_until(200)["losses"] == 0
