"""The OpenAPI document: valid, complete, and derived from what is declared elsewhere."""

import itertools
import re
from typing import get_args

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Mount, Route

from sam3d_bento import reconstruction
from sam3d_bento.errors import by_code
from sam3d_bento.formats import FORMATS, FormatOptions
from sam3d_bento.options import EXPORT_OPTIONS, Options
from sam3d_bento.serving.middleware.authentication import is_open
from sam3d_bento.serving.middleware.security_headers import EXPOSED_HEADERS
from sam3d_bento.serving.openapi import document, fields, schemas
from sam3d_bento.serving.routes.api import UPLOAD_ADVICE
from sam3d_bento.serving.routes.request_body import FILE_FIELDS, OBJECTS_FIELD, TEXT_FIELDS
from tests.serving.conftest import application

# Pages for people, and BentoML's page and its files, which ours replace.
PAGES = {"/", "/m/{id}", "/docs", "/studio/", "/static_content/"}


@pytest.fixture(scope="module")
def described():
    return document.build("", keys=True, metrics_need_key=True)


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def resolved(document, part):
    """What a reference into the components leads to."""
    while "$ref" in part:
        _, kind, name = part["$ref"].removeprefix("#/").split("/")
        part = document["components"][kind][name]
    return part


def form(document, path, media_type="multipart/form-data"):
    content = document["paths"][path]["post"]["requestBody"]["content"]
    return resolved(document, content[media_type]["schema"])


@pytest.mark.parametrize(
    ("base", "keys", "metrics"), [("", False, False), ("/base", True, False), ("https://m.example/base", True, True)]
)
def test_it_is_an_openapi_document(base, keys, metrics):
    made = document.build(base, keys=keys, metrics_need_key=metrics)
    OpenAPIV31SpecValidator(made).validate()
    assert made["servers"][0]["url"] == (base or "/")


def routes(found, below=""):
    """The routes of an application, those of what it mounts among them: (method, path)."""
    for route in found:
        if isinstance(route, Mount) and hasattr(route.app, "routes"):
            yield from routes(route.app.routes, below + route.path)
        elif isinstance(route, Route):
            yield from ((method.lower(), below + route.path) for method in route.methods)
        else:
            yield "get", f"{below}{route.path}/"


def test_it_has_every_route_of_the_service_and_no_other(described):
    there = {(method, path) for method, path in routes(application().routes) if path not in PAGES}
    assert {(method, path) for method, path, _ in operations(described)} == there


def test_no_two_schemas_share_a_name():
    assert not set(schemas.of_responses()) & set(fields.components())


def test_operations_have_names_that_clients_can_use(described):
    names = [operation["operationId"] for _, _, operation in operations(described)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][A-Za-z0-9]+", name) for name in names)
    assert {tag for *_, operation in operations(described) for tag in operation["tags"]} == {
        tag["name"] for tag in described["tags"]
    }


def test_every_error_is_the_answer_of_some_operation_with_its_status(described):
    found = set()
    for _, _, operation in operations(described):
        for status, answer in operation["responses"].items():
            content = resolved(described, answer).get("content", {})
            examples = content.get("application/problem+json", {}).get("examples", {})
            for code, example in examples.items():
                value = resolved(described, example)["value"]
                assert (str(value["status"]), value["code"]) == (status, code)
                found.add(code)
    # That of a method which no operation has, and that of serverless jobs.
    assert set(by_code()) - found == {"method_not_allowed", "transfer_failed"}


def test_every_error_response_is_a_problem_document_and_says_what_it_carries(described):
    for method, path, operation in operations(described):
        for status, answer in operation["responses"].items():
            answer = resolved(described, answer)
            assert "X-Request-Id" in answer["headers"], (path, status)
            if method == "head":
                assert "content" not in answer
            elif int(status) >= 400:
                assert "application/problem+json" in answer["content"], (path, status)
                if status in ("429", "503"):
                    assert "Retry-After" in answer["headers"], (path, status)


def test_every_header_that_pages_may_read_is_described(described):
    sent = {
        name
        for *_, operation in operations(described)
        for answer in operation["responses"].values()
        for name in resolved(described, answer)["headers"]
    }
    assert set(EXPOSED_HEADERS) <= sent
    assert sent == set(described["components"]["headers"])


def test_forms_and_queries_have_the_options_as_they_are_declared(described):
    declared = Options.model_json_schema()["properties"]
    for path, others in (("/api/inference", {"response"}), ("/api/jobs", set())):
        fields = form(described, path)["properties"]
        assert set(fields) == {*FILE_FIELDS, OBJECTS_FIELD, *others, *Options.model_fields} - {"file"}
        query = {
            parameter["name"]: parameter
            for parameter in described["paths"][path]["post"]["parameters"]
            if parameter["in"] == "query"
        }
        assert set(query) == {*others, *Options.model_fields}
        for name, option in declared.items():
            component = resolved(described, fields[name])
            assert component["description"] == option["description"]
            kinds = [kind for kind in option.get("anyOf", [option]) if kind != {"type": "null"}]
            assert component.get("enum") == (kinds[0].get("enum") if len(kinds) == 1 else None)
            assert fields[name].get("default") == option["default"]
            # A client would send it, a second time beside the form's.
            assert "default" not in query[name]["schema"]
            assert "default" not in component
    assert set(form(described, "/api/mask")["properties"]) == {"image", "mask", "box", "points", "candidate"}


def test_an_export_has_the_fields_that_its_route_takes(described):
    for media_type in ("application/json", "multipart/form-data", "application/x-www-form-urlencoded"):
        fields = form(described, "/api/assets/{id}/export", media_type)["properties"]
        assert set(fields) == {"format", *EXPORT_OPTIONS, *FormatOptions.model_fields}
        assert resolved(described, fields["format"])["enum"] == list(FORMATS)
        assert all("default" not in field for name, field in fields.items() if name != "format")


def test_no_field_of_a_form_is_unknown_to_the_reader(described):
    known = TEXT_FIELDS | FormatOptions.model_fields.keys() | {*FILE_FIELDS}
    for path in ("/api/inference", "/api/jobs", "/api/mask", "/api/assets/{id}/export"):
        assert form(described, path)["properties"].keys() <= known
        assert form(described, path)["additionalProperties"] is False


@pytest.mark.parametrize(("keys", "metrics"), list(itertools.product([False, True], repeat=2)))
def test_it_says_where_a_key_is_needed(keys, metrics):
    made = document.build("", keys=keys, metrics_need_key=metrics)
    for method, path, operation in operations(made):
        needed = keys and not is_open(method.upper(), path.replace("{id}", "0" * 32), metrics=not metrics)
        assert bool(operation["security"]) == needed, (method, path)
        if needed:
            assert "401" in operation["responses"]
    assert made["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert made["components"]["securitySchemes"]["apiKey"]["name"] == "X-API-Key"


def test_every_example_is_one_of_its_schema(described):
    schemas = described["components"]["schemas"]
    examined = 0
    for name, schema in schemas.items():
        for example in schema.get("examples", []):
            jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", **described}).validate(example)
            assert not isinstance(example, dict) or set(example) <= set(schema["properties"])
            examined += 1
    assert examined >= 3
    problem = jsonschema.Draft202012Validator({"$ref": "#/components/schemas/Problem", **described})
    for example in described["components"]["examples"].values():
        problem.validate(example["value"])
    for header in described["components"]["headers"].values():
        jsonschema.validate(header["example"], header["schema"])


def test_a_mask_has_the_sources_that_masks_have(described):
    source = described["components"]["schemas"]["MaskFacts"]["properties"]["source"]
    assert source["enum"] == list(get_args(reconstruction.MaskSource))
    assert described["components"]["headers"]["X-Mask-Source"]["schema"]["enum"] == source["enum"]


def test_exactly_the_routes_that_take_depth_say_how_it_becomes_smaller(described):
    taking = set()
    for _, path, operation in operations(described):
        form = resolved(described, operation.get("requestBody", {})).get("content", {}).get("multipart/form-data")
        if form and "depth" in resolved(described, form["schema"]).get("properties", {}):
            taking.add(path)
    advised = {path for path in described["paths"] if any(pattern.fullmatch(path) for pattern in UPLOAD_ADVICE)}
    assert taking == advised
    assert "/api/inference" in taking
