"""What the real service answers is what its OpenAPI document promises, field by field."""

import json

import jsonschema
import numpy as np
import pytest

from tests.support.scene_files import png

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def document(server):
    with server.client() as http:
        return http.get("/docs.json").json()


@pytest.fixture
def fits(document):
    """A function that holds a value against a schema of the document: valid, and no field that is not named there."""

    def check(value, name, absent=frozenset()):
        validator = jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", **document})
        validator.validate(value)
        assert set(value) == set(document["components"]["schemas"][name]["properties"]) - absent

    return check


def test_a_report_and_its_headers(server, document, disc, fits):
    with server.client() as http:
        small = {"texture_size": "512", "target_faces": "1000", "response": "link"}
        answer = http.post("/api/inference", files={"image": disc((0, 90, 200))}, data=small)
    report = answer.json()
    fits(report, "Report", absent={"objects", "frame"})
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
    fits(seen[-1]["report"], "Report", absent={"objects", "frame"})


def test_the_report_of_a_scene_and_of_its_objects(server, fits):
    photo = np.full((200, 400, 3), 255, np.uint8)
    labels = np.zeros((200, 400), np.uint8)
    for label, left in ((1, 40), (2, 240)):
        photo[40:160, left : left + 120] = (40 * label, 90, 200)
        labels[40:160, left : left + 120] = label
    form = {"target_faces": "1000", "texture_size": "512", "response": "link"}
    with server.client() as http:
        answer = http.post("/api/inference", files={"image": png(photo), "labels": png(labels)}, data=form)
    report = answer.json()
    fits(report, "Report", absent={"pose", "deviation", "normal_map"})
    assert len(report["objects"]) == 2
    for described in report["objects"]:
        fits(described, "SceneObject")


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
