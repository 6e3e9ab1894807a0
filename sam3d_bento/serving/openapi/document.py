"""Put the OpenAPI document together."""

from __future__ import annotations

from typing import Any

import sam3d_bento
from sam3d_bento.errors import Busy, Internal, NotReady, Sam3DError, Unauthorized
from sam3d_bento.serving.middleware.authentication import is_open
from sam3d_bento.serving.middleware.open_requests import PROBES
from sam3d_bento.serving.openapi import fields, responses, schemas
from sam3d_bento.serving.openapi.operations import OPERATIONS, TAGS, Operation

VERSION = "3.1.1"
DESCRIPTION = """A photo of an object goes in, a textured 3D model comes out.

Every error is an `application/problem+json` with a sentence in `detail`, a stable `code`, `retryable` and the
`request_id`. A method that a path does not have is a 405 (`method_not_allowed`), an unknown path a 404 (`not_found`).
Bodies may come with `Content-Encoding: gzip` or `deflate`. An `X-Request-Id` of up to 64 letters, digits, `.`, `_` and
`-` is taken over. Responses may get more fields, and lists of codes more codes, without a new version of the API.
"""

SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, as `Authorization: Bearer KEY`."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key, in this header."},
}
WITH_A_KEY: list[dict[str, list[str]]] = [{name: []} for name in SCHEMES]

# An id, where a path is judged that has one.
SOME_ID = "0" * 32


def build(base: str, *, keys: bool, metrics_need_key: bool) -> dict[str, Any]:
    """Return the OpenAPI document of this service.

    base: address or path below which the routes are, without a slash at its end; "" for the root of the host.
    keys: whether the service asks for keys. metrics_need_key: whether it does at `/metrics` too.
    """
    paths: dict[str, dict[str, Any]] = {}
    shared: dict[str, Any] = {}
    for operation in OPERATIONS:
        open_to_all = not keys or _is_open(operation, metrics=not metrics_need_key)
        described = _described(operation, shared, [] if open_to_all else WITH_A_KEY)
        methods = paths.setdefault(operation.path, {})
        methods[operation.method] = described
        if operation.method == "get":
            methods["head"] = _head(described)
    return {
        "openapi": VERSION,
        "info": {
            "title": "sam3d-bento",
            "summary": "A photo in, a textured GLB out.",
            "description": DESCRIPTION,
            "version": sam3d_bento.__version__,
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": base or "/", "description": "This service."}],
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas.of_responses() | fields.components(),
            "responses": dict(sorted(shared.items())),
            "headers": responses.header_components(),
            "examples": responses.examples(),
            "securitySchemes": SCHEMES,
        },
    }


def _is_open(operation: Operation, *, metrics: bool) -> bool:
    return is_open(operation.method.upper(), operation.path.replace("{id}", SOME_ID), metrics=metrics)


def _described(operation: Operation, shared: dict[str, Any], security: list[dict[str, list[str]]]) -> dict[str, Any]:
    """Return an operation as the document has it. Its problem documents are put into `shared`, and referred to."""
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "security": security,
    }
    if operation.description:
        described["description"] = operation.description
    if operation.parameters:
        described["parameters"] = list(operation.parameters)
    if operation.body is not None:
        described["requestBody"] = operation.body
    found = {str(status): response for status, response in operation.responses.items()}
    for status, kinds in responses.by_status(_errors(operation)).items():
        if status not in operation.responses:
            name = responses.problem_name(kinds)
            shared[name] = responses.problem(kinds)
            found[str(status)] = {"$ref": f"#/components/responses/{name}"}
    described["responses"] = dict(sorted(found.items()))
    return described


def _errors(operation: Operation) -> set[type[Sam3DError]]:
    """Return the operation's own errors and those of the layers around the routes."""
    errors = {*operation.errors, Internal, NotReady}  # NotReady: a shortage of descriptors or threads
    if operation.path not in PROBES:
        errors.add(Busy)
    if not _is_open(operation, metrics=False):
        errors.add(Unauthorized)
    return errors


def _head(described: dict[str, Any]) -> dict[str, Any]:
    """Return the operation HEAD beside a GET: the same without a body."""
    name = described["operationId"]
    return described | {
        "operationId": f"head{name[0].upper()}{name[1:]}",
        "summary": f"{described['summary']} (headers alone)",
        "responses": {status: _bodiless(response) for status, response in described["responses"].items()},
    }


def _bodiless(response: dict[str, Any]) -> dict[str, Any]:
    """Return a response of HEAD: that of GET without its content. Of an error, only the status is left."""
    if "$ref" in response:
        return {"description": f"As of GET: {response['$ref'].rpartition('/')[2]}.", "headers": responses.headers()}
    return {name: value for name, value in response.items() if name != "content"}
