import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sam3d_bento.errors import BadResult, Internal, NoObject, NotReady
from sam3d_bento.serving.worker.messages import Alive, Done, Failed, HandedOver, LoadFailed, Progress, Ready
from sam3d_bento.serving.worker.wire_format import Malformed, decode, encode
from sam3d_bento.submission import STAGES, Asset, MaskImage, RunnerInfo

MASK_REPORT = {
    "mask": {"source": "rembg", "coverage": 0.25, "candidates": 2},
    "warnings": ["shape_guessed"],
    "seconds": {"decode": 0.1, "mask": 0.2},
}
REPORT = MASK_REPORT | {
    "engine": "preview",
    "engine_version": "preview/1",
    "seed": 7,
    "gpu_peak_bytes": None,
    "seconds": dict.fromkeys(STAGES, 0.5),
    "details": {"any": ["JSON", {"value": None}], "text": "ünïcödé"},
}


def frame(head, file=b""):
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return memoryview(len(text).to_bytes(4) + text + file)


def again(message):
    return decode(memoryview(b"".join(encode(message))))


@pytest.mark.parametrize(
    "message",
    [
        Alive(),
        Ready(RunnerInfo("fake", "fake/1", "cpu", ("JPEG", "PNG"), {"attention": "none"})),
        Ready(RunnerInfo("fake", "fake/1", "cuda:0", ("JPEG",), hands_over=True, prompt_model="crop")),
        Progress("j", "mask", 0.5),
        HandedOver("j"),
        Done("j", Asset(b"glTF", REPORT)),
        Done("j", MaskImage(b"PNG", MASK_REPORT)),
        Done("j", b"\x80\x04 any bytes"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_each_message_arrives_as_it_was(message):
    assert again(message) == message


def test_a_report_keeps_the_order_of_its_fields():
    assert list(again(Done("j", Asset(b"", REPORT))).result.report) == list(REPORT)


@pytest.mark.parametrize("error", [NoObject("Nothing ä."), BadResult("Bad."), NotReady("Soon.", retry_after_seconds=3)])
def test_an_error_is_made_anew_from_its_code(error):
    for found in (again(Failed("j", error)).error, again(LoadFailed(error)).error):
        assert type(found) is type(error)
        assert (found.detail, found.retry_after_seconds) == (error.detail, error.retry_after_seconds)


def test_an_unknown_code_is_an_internal_error():
    document = {"code": "made_up", "detail": "?", "retry_after_seconds": None}
    assert type(decode(frame({"type": "failed", "job": "j", "error": document})).error) is Internal


def test_a_sentence_with_bytes_that_are_no_text_arrives_readable():
    assert again(Failed("j", NoObject("a\udcffb"))).error.detail == "a?b"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}])
def test_a_result_that_is_no_data_is_an_error_of_the_sender(value):
    with pytest.raises((TypeError, ValueError)):
        encode(Done("j", Asset(b"", REPORT | {"details": value})))


def done(**changes):
    return {"type": "asset", "job": "j", "report": REPORT | changes}


MALFORMED = {
    "nothing": memoryview(b""),
    "a length alone": memoryview(b"\0\0\0\1"),
    "a length beyond the frame": memoryview(b"\0\0\0\5{}"),
    "no text": frame(b"\xff\xfe"),
    "a pickle": memoryview(pickle.dumps(Done("j", b""))),
    "no JSON": frame(b"{"),
    "deep JSON": frame(b"[" * 100_000),
    "a long head": memoryview((2_000_000).to_bytes(4) + bytes(2_000_000)),
    "a list": frame([]),
    "no type": frame({}),
    "a type that is no text": frame({"type": []}),
    "a field too many": frame({"type": "alive", "more": 1}),
    "a field too few": frame({"type": "progress", "job": "j", "stage": "mask"}),
    "a file where none is expected": frame({"type": "alive"}, b"file"),
    "no stage": frame({"type": "progress", "job": "j", "stage": "lunch", "fraction": 0.5}),
    "more than whole": frame({"type": "progress", "job": "j", "stage": "mask", "fraction": 1.5}),
    "a number as text": frame({"type": "progress", "job": "j", "stage": "mask", "fraction": "0.5"}),
    "not a number": frame(done(details=float("nan"))),
    "an infinite number": frame(b'{"type": "file", "job": 1e999}'),
    "an endless number": frame(b'{"type": "file", "job": ' + b"1" * 10_000 + b"}"),
    "half a surrogate pair": frame(done(details="\ud800")),
    "a header in a header": frame(done(mask={"source": "a\r\nX-Evil: 1", "coverage": 0.5})),
    "a line break at the end": frame(done(engine="preview\n")),
    "a seed that is a truth value": frame(done(seed=True)),
    "a negative time": frame(done(seconds=dict.fromkeys(STAGES, -1.0))),
    "a stage is missing": frame(done(seconds={"decode": 1.0})),
    "retries below zero": frame(done(retries=-1)),
    "time to wait below zero": frame(
        {"type": "failed", "job": "j", "error": {"code": "busy", "detail": "", "retry_after_seconds": -1}}
    ),
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED)
def test_what_breaks_the_format_is_refused(content):
    with pytest.raises(Malformed):
        decode(content)


def test_no_pickle_is_read(tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").write_text, ("x",))

    for content in (pickle.dumps(Evil()), b"\0\0\0\0" + pickle.dumps(Evil())):
        with pytest.raises(Malformed):
            decode(memoryview(content))
    assert not tmp_path.joinpath("ran").exists()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 10**6))
def test_any_change_of_a_frame_is_a_message_or_malformed(noise, place):
    content = bytearray(b"".join(encode(Done("j", Asset(b"glTF", REPORT)))))
    place %= len(content)
    content[place : place + len(noise)] = noise
    for changed in (content, noise):
        try:
            message = decode(memoryview(bytes(changed)))
        except Malformed:
            continue
        if isinstance(message, Done) and isinstance(message.result, Asset):
            json.dumps(message.result.report, allow_nan=False, ensure_ascii=False).encode()
