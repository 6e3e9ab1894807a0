"""Derive the fields of requests from the options and the file formats: of forms, of the query and of JSON bodies."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from sam3d_bento.formats import FORMATS, FormatOptions, takers
from sam3d_bento.options import EXPORT_OPTIONS, PROMPT_OPTIONS, Options

Schema = dict[str, Any]

# Bytes of a file in a form, as OpenAPI 3.0 wrote them. 3.1 allows it, and generators of clients know nothing newer.
FILE: Schema = {"type": "string", "format": "binary"}

PHOTO = FILE | {
    "description": "The photo: JPEG, PNG, WebP, AVIF, BMP, TIFF, GIF; HEIC where it is installed. The field may also be"
    " called `file`."
}
MASK = FILE | {"description": "White where the object is; the size of the upright photo."}
DEPTH = FILE | {
    "description": "Depth of the upright photo: a grey PNG or TIFF of 16 bits in millimetres, .npy, or .npz with"
    " `depth` and perhaps `intrinsics`."
}
POINTMAP = FILE | {
    "description": "Point of each pixel of the upright photo in metres, instead of `depth`: .npy, or .npz with"
    " `pointmap`, (H, W, 3)."
}
MASKS: Schema = {
    "type": "array",
    "items": FILE,
    "description": "A mask of each object of a scene, instead of `mask`. Send the field as often as there are objects.",
}
LABELS = FILE | {
    "description": "Grey PNG of 8 or 16 bits, or one with a palette: each value above 0 is an object of a scene."
}
OBJECTS: Schema = {
    "type": "string",
    "description": "The objects of a scene as a list in JSON, with or without a file name, or `all` for each that the"
    " mask model finds.",
}
DELIVERY: Schema = {
    "type": "string",
    "enum": ["file", "link"],
    "description": "`link`: a JSON report with a download link.",
}
# Values to begin with, where a form on a page would propose an odd one.
EXAMPLES: dict[str, Any] = {"seed": 7}


def component_name(option: str) -> str:
    """Return the name of an option's schema among the document's components: `TextureSize` for `texture_size`."""
    return "".join(word.capitalize() for word in option.split("_"))


def _without_null(schema: Schema) -> Schema:
    """Return a schema without the alternative null: a form and a query leave the field out instead."""
    if "anyOf" not in schema:
        return schema
    kept = [kind for kind in schema["anyOf"] if kind != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return rest | (kept[0] if len(kept) == 1 else {"anyOf": kept})


@cache
def _declared() -> dict[str, Schema]:
    """Return the schemas of all options and of all options of formats, with their defaults, by their names."""
    declared = Options.model_json_schema()["properties"] | FormatOptions.model_json_schema()["properties"]
    return {
        name: {key: value for key, value in _without_null(schema).items() if key != "title"}
        for name, schema in declared.items()
    }


def components() -> dict[str, Schema]:
    """Return the schemas of all requests, by their names in the document's components."""
    return _option_components() | {
        "InferenceForm": _photo_form(options=True, delivery=True),
        "JobForm": _photo_form(options=True),
        "MaskForm": _photo_form(options=False),
        # One name for each media type: generators make a class of each, by which a client knows what to send.
        "ExportOrder": _export_order(),
        "ExportForm": _export_order(),
        "ExportUrlencodedForm": _export_order(),
    }


def _option_components() -> dict[str, Schema]:
    """Return a named schema for each option, without its default: which one applies depends on the operation."""
    options = {
        component_name(name): {key: value for key, value in schema.items() if key != "default"}
        | ({"examples": [EXAMPLES[name]]} if name in EXAMPLES else {})
        for name, schema in _declared().items()
    }
    return options | {"Delivery": DELIVERY, "Format": {"type": "string", "enum": list(FORMATS)}}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _form(properties: dict[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    """Return the schema of a form or of a JSON body. A field that it does not name is refused."""
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return schema | ({"required": list(required)} if required else {})


def _photo_form(*, options: bool, delivery: bool = False) -> Schema:
    """Return the schema of a form with a photo, and perhaps a mask, the options, the depth and `response`.

    options=False: of the options and files only those that a mask depends on.
    """
    properties = {"image": PHOTO, "mask": MASK}
    if options:
        properties |= {"masks": MASKS, "labels": LABELS, "objects": OBJECTS, "depth": DEPTH, "pointmap": POINTMAP}
    for name, schema in _declared().items():
        if name in (Options.model_fields if options else PROMPT_OPTIONS):
            default = {} if schema.get("default") is None else {"default": schema["default"]}
            properties[name] = _reference(component_name(name)) | default
    if delivery:
        properties["response"] = _reference("Delivery") | {"default": "file"}
    return _form(properties, required=("image",))


def query(names: Iterable[str] = Options.model_fields, *, delivery: bool = False) -> list[Schema]:
    """Return the query parameters for the options of these names, and for `response`.

    They have no `default`: a client that sent it would send an option of the form a second time, which is refused.
    """
    declared = _declared()
    parameters = [
        _parameter(name, component_name(name), declared[name]["description"], declared[name].get("default"))
        for name in names
    ]
    if delivery:
        parameters.append(_parameter("response", "Delivery", DELIVERY["description"], "file"))
    return parameters


def _parameter(name: str, component: str, description: str, default: Any) -> Schema:
    """Return a query parameter. default: what applies where it is absent; None: that depends."""
    note = "" if default is None else f" Default: `{str(default).lower()}`."
    return {
        "name": name,
        "in": "query",
        "description": f"{description}{note} With a form, send it there instead.",
        "schema": _reference(component),
    }


def _export_order() -> Schema:
    """Return the schema of an order of an export.

    Its options have no `default`: what is left out stays as the result has it. An option of a format is only taken
    with this format, so a client must not send its default with another one.
    """
    properties = {"format": _reference("Format") | {"default": "glb"}}
    properties |= {name: _reference(component_name(name)) for name in EXPORT_OPTIONS}
    for name, field in FormatOptions.model_fields.items():
        listed = ", ".join(f"`{other}`" for other in takers(name))
        note = f"{field.description} Only with {listed}; default: `{field.default}`."
        properties[name] = _reference(component_name(name)) | {"description": note}
    return _form(properties)
