"""What the real service answers is what its OpenAPI document promises, field by field."""

import json

import jsonschema
import pytest

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def document(server):
    with server.client() as http:
        return http.get("/docs.json").json()


@pytest.fixture
def fits(document):
    """A function that holds a value against a schema of the document: valid, and no field that is not named there."""

    def check(value, name):
        validator = jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", **document})
        validator.validate(value)
        assert set(value) == set(document["components"]["schemas"][name]["properties"])

    return check


def test_a_report_and_its_headers(server, document, disc, fits):
    with server.client() as http:
        small = {"texture_size": "512", "target_faces": "1000", "response": "link"}
        answer = http.post("/api/inference", files={"image": disc((0, 90, 200))}, data=small)
    report = answer.json()
    fits(report, "Report")
    fits(report["mask"], "MaskFacts")
    promised = document["paths"]["/api/inference"]["post"]["responses"]["200"]["headers"]
    assert {name.lower() for name in promised} - {"content-disposition"} <= answer.headers.keys()


def test_a_job_and_each_of_its_events(server, disc, fits):
    with server.client() as http:
        job = http.post("/api/jobs", files={"image": disc((0, 90, 200))}, data={"target_faces": "1000"}).json()
        fits(job, "Job")
        with http.stream("GET", job["links"]["events"]) as events:
            seen = [json.loads(line[6:]) for line in events.iter_lines() if line.startswith("data: ")]
    assert seen[-1]["state"] == "done"
    for state in seen:
        fits(state, "Job")
        fits(state["links"], "JobLinks")
    fits(seen[-1]["report"], "Report")


def test_the_state_and_the_capabilities_of_the_service(server, fits):
    with server.client() as http:
        health, capabilities = http.get("/health").json(), http.get("/api/options").json()
    fits(health, "Health")
    fits(health["queue"], "Queue")
    fits(health["processes"]["engine"], "ProcessState")
    fits(capabilities, "Capabilities")
    fits(capabilities["engine"], "Engine")
    fits(capabilities["limits"], "Limits")
    fits(capabilities["export"], "ExportCapabilities")
    fits(capabilities["export"]["formats"]["stl"], "ExportFormat")
