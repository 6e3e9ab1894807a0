"""Encode and decode the messages of an engine process. They are plain data, which is checked and cannot run code.

    frame: length of the head (4 bytes, big-endian), the head (JSON in UTF-8), the file of a result

The engine process reads untrusted files with native code. An attacker who takes it over must not gain control of the
service process, so its messages are not unpickled. Every field that the service uses has a type and bounds here. Any
other frame raises `Malformed`, and the engine process is replaced. Errors are sent as their code.

Messages to the engine process are pickled (`__main__`), because the engine trusts the service.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal, NoReturn, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # typing's, before Python 3.12, is refused by pydantic

from sam3d_bento import errors, names
from sam3d_bento.errors import Internal, Sam3DError
from sam3d_bento.serving.worker.messages import (
    Alive,
    Done,
    EngineMessage,
    Failed,
    HandedOver,
    LoadFailed,
    Progress,
    Ready,
)
from sam3d_bento.submission import STAGES, Asset, MaskImage, ObjectProgress, ObjectState, RunnerInfo, Stage

# Longest head. A report with options, warnings and figures of the run has some kilobytes.
MAX_HEAD_BYTES = 1_000_000
# Longest frame. The largest export, an OBJ of 200,000 faces with a texture of 4096 x 4096 pixels, is below 100 MB.
MAX_FRAME_BYTES = 512 * 1024 * 1024
# Length of the field that gives the length of the head.
LENGTH_BYTES = 4

# Text that may be used in headers and log lines.
Token = Annotated[str, Field(pattern=r"^[ -~]*$", max_length=200)]
Share = Annotated[float, Field(ge=0, le=1)]
SecondsSpent = Annotated[float, Field(ge=0)]
WholeNumber = Annotated[int, Field(ge=0, lt=2**63)]


class Malformed(ValueError):
    """Invalid message from the engine process."""


class _Closed(TypedDict):
    __pydantic_config__ = ConfigDict(strict=True, extra="forbid")  # type: ignore[misc]


class _Open(TypedDict):
    """Object with further fields, which are passed on to clients unchecked."""

    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]


class _Info(_Closed):
    name: Token
    version: Token
    device: Token
    formats: list[Token]
    facts: dict[str, Any]
    hands_over: bool
    prompt_model: Token | None


class _Error(_Closed):
    code: Token
    detail: str
    retry_after_seconds: WholeNumber | None


class _MaskFacts(_Open):
    source: Token
    coverage: Share


class _MaskReport(_Open):
    mask: _MaskFacts
    warnings: list[Token]
    seconds: dict[Stage, SecondsSpent]


class _AssetReport(_MaskReport):
    engine: Token
    engine_version: Token
    seed: WholeNumber
    gpu_peak_bytes: WholeNumber | None
    retries: NotRequired[WholeNumber]


class _Alive(_Closed):
    type: Literal["alive"]


class _Ready(_Closed):
    type: Literal["ready"]
    info: _Info


class _LoadFailed(_Closed):
    type: Literal["load_failed"]
    error: _Error


class _Object(_Closed):
    name: Annotated[str, Field(min_length=1, max_length=names.MAX_CHARACTERS)]
    state: ObjectState
    stage: Stage
    stage_fraction: Share


class _Progress(_Closed):
    type: Literal["progress"]
    job: Token
    stage: Stage
    fraction: Share
    objects: NotRequired[list[_Object]]


class _Failed(_Closed):
    type: Literal["failed"]
    job: Token
    error: _Error


class _HandedOver(_Closed):
    type: Literal["handed_over"]
    job: Token


class _DoneAsset(_Closed):
    type: Literal["asset"]
    job: Token
    report: _AssetReport


class _DoneMask(_Closed):
    type: Literal["mask"]
    job: Token
    report: _MaskReport


class _DoneFile(_Closed):
    type: Literal["file"]
    job: Token


_HEAD: TypeAdapter[Any] = TypeAdapter(
    Annotated[
        _Alive | _Ready | _LoadFailed | _Progress | _Failed | _HandedOver | _DoneAsset | _DoneMask | _DoneFile,
        Field(discriminator="type"),
    ]
)
_KINDS = errors.by_code()


def encode(message: EngineMessage) -> tuple[bytes, bytes]:
    """Return the parts of the message's frame. Raises ValueError or TypeError for a result that JSON cannot hold."""
    head, file = _document(message)
    # An error message may contain a file name that is not valid Unicode.
    text = json.dumps(head, ensure_ascii=False, allow_nan=False).encode(errors="replace")
    return len(text).to_bytes(LENGTH_BYTES) + text, file


def _document(message: EngineMessage) -> tuple[dict[str, Any], bytes]:
    match message:
        case Alive():
            return {"type": "alive"}, b""
        case Ready(info):
            facts = {"name": info.name, "version": info.version, "device": info.device, "facts": info.facts}
            more = {"formats": list(info.formats), "hands_over": info.hands_over, "prompt_model": info.prompt_model}
            return {"type": "ready", "info": {**facts, **more}}, b""
        case LoadFailed(error):
            return {"type": "load_failed", "error": _error_document(error)}, b""
        case Progress(job_id, stage, fraction, objects):
            of_scene = {"objects": [_object_document(each) for each in objects]} if objects else {}
            return {"type": "progress", "job": job_id, "stage": stage, "fraction": _share(fraction), **of_scene}, b""
        case Failed(job_id, error):
            return {"type": "failed", "job": job_id, "error": _error_document(error)}, b""
        case HandedOver(job_id):
            return {"type": "handed_over", "job": job_id}, b""
        case Done(job_id, Asset(glb, report)):
            return {"type": "asset", "job": job_id, "report": report}, glb
        case Done(job_id, MaskImage(png, report)):
            return {"type": "mask", "job": job_id, "report": report}, png
        case Done(job_id, bytes(file)):
            return {"type": "file", "job": job_id}, file
    raise TypeError(f"{type(message).__name__} is not a message of an engine process")


def _share(fraction: float) -> float:
    return min(max(float(fraction), 0.0), 1.0)


def _object_document(each: ObjectProgress) -> dict[str, Any]:
    return {**asdict(each), "stage_fraction": _share(each.stage_fraction)}


def _error_document(error: Sam3DError) -> dict[str, Any]:
    return {"code": error.code, "detail": error.detail, "retry_after_seconds": error.retry_after_seconds}


def decode(frame: memoryview) -> EngineMessage:
    """Return the message of a frame. Raises Malformed."""
    length = int.from_bytes(frame[:LENGTH_BYTES])
    end = LENGTH_BYTES + length
    if length > MAX_HEAD_BYTES or end > len(frame):
        raise Malformed("the length of a head is wrong")
    try:
        text = str(frame[LENGTH_BYTES:end], "utf-8")
        head = json.loads(text, parse_constant=_refuse_number, parse_float=_finite)
        if "\\u" in text:
            json.dumps(head, ensure_ascii=False).encode()  # raises for half a surrogate pair, which is not valid text
        _HEAD.validate_python(head)  # the returned value is not used, because its fields have another order
        return _message(head, frame[end:])
    except (ValueError, ValidationError, RecursionError) as exc:
        raise Malformed(f"a head cannot be read ({type(exc).__name__})") from exc


def _message(head: Any, file: memoryview) -> EngineMessage:
    made = MAKERS[head["type"]](head, file)
    if len(file) and not isinstance(made, Done):
        raise Malformed("bytes follow where none are expected")
    return made


def _asset(head: Any, file: memoryview) -> Done:
    report = head["report"]
    if set(report["seconds"]) != set(STAGES):
        raise Malformed("a report lacks a stage")
    return Done(head["job"], Asset(bytes(file), report))


def _error(document: Any) -> Sam3DError:
    kind = _KINDS.get(document["code"], Internal)
    return kind(document["detail"], retry_after_seconds=document["retry_after_seconds"])


MAKERS: dict[str, Callable[[Any, memoryview], EngineMessage]] = {
    "alive": lambda head, _: Alive(),
    "ready": lambda head, _: Ready(RunnerInfo(**{**head["info"], "formats": tuple(head["info"]["formats"])})),
    "load_failed": lambda head, _: LoadFailed(_error(head["error"])),
    "progress": lambda head, _: Progress(
        head["job"],
        head["stage"],
        head["fraction"],
        tuple(ObjectProgress(**each) for each in head.get("objects", ())),
    ),
    "failed": lambda head, _: Failed(head["job"], _error(head["error"])),
    "handed_over": lambda head, _: HandedOver(head["job"]),
    "asset": _asset,
    "mask": lambda head, file: Done(head["job"], MaskImage(bytes(file), head["report"])),
    "file": lambda head, file: Done(head["job"], bytes(file)),
}


def _refuse_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number
