"""The routes that describe the API: /docs.json and the page /docs. The page itself is tested in a browser."""

import re

import jsonschema
import pytest

import sam3d_bento
from tests.support.fake_runner import photo


def validator(document, name):
    return jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", **document})


def test_the_document_describes_this_service(serve):
    http = serve(public_url="https://models.example/base/")
    answer = http.get("/docs.json", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-encoding"] == "gzip"
    document = answer.json()
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["version"] == sam3d_bento.__version__
    assert document["servers"][0]["url"] == "/base"


def test_bentomls_client_still_finds_what_it_reads(serve):
    routes = {route["name"]: route["route"] for route in serve().get("/schema.json").json()["routes"]}
    assert routes["inference"] == "/api/inference"


@pytest.mark.parametrize(
    ("path", "schema"), [("/health", "Health"), ("/api/options", "Capabilities"), ("/nowhere", "Problem")]
)
def test_an_answer_has_the_fields_that_the_document_names(serve, path, schema):
    http = serve()
    document = http.get("/docs.json").json()
    answer = http.get(path).json()
    validator(document, schema).validate(answer)
    assert set(answer) == set(document["components"]["schemas"][schema]["properties"])


def test_a_job_that_failed_has_the_fields_that_the_document_names(serve):
    http = serve()
    document = http.get("/docs.json").json()
    job = http.post("/api/jobs", files=photo("refuse")).json()
    with http.stream("GET", job["links"]["events"]) as events:
        assert "event: failed" in list(events.iter_lines())
    job = http.get(job["links"]["self"]).json()
    validator(document, "Job").validate(job)
    assert job["problem"]["code"] == "no_object"
    assert set(job) == set(document["components"]["schemas"]["Job"]["properties"])
    assert set(job["links"]) == set(document["components"]["schemas"]["JobLinks"]["properties"])


def test_the_page_loads_only_what_lies_here(serve):
    http = serve()
    page = http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "'unsafe" not in page.headers["content-security-policy"].replace("'wasm-unsafe-eval'", "")
    assert page.headers["content-security-policy"] == http.get("/").headers["content-security-policy"]
    assert not re.search(r"(src|href)=\"(https?:)?//", page.text)
    assert "<style" not in page.text
    assert not re.search(r"<script(?![^>]*src=)", page.text)
    named = re.findall(r'(?:src|href)="(studio/[^"]+)"', page.text)
    assert len(named) >= 4
    for path in named:
        assert http.get(f"/{path}").status_code == 200, path


def test_the_studio_links_to_the_page(serve):
    assert '<a href="docs"' in serve().get("/").text
