import asyncio
import base64
import json
import os
import signal

import httpx
import pytest

from sam3d_bento.serverless.handler import Handler
from sam3d_bento.serving.worker.state import WorkerState
from tests.support.waiting import until

SECRET = "s3cr3t"


def encoded(photo):
    return base64.b64encode(photo.encode()).decode()


@pytest.fixture
def handle(start_backend):
    """A function that handles one job with this `input`, as the SDK would; its `backend` is running."""

    def run(**fields):
        return asyncio.run(handler.run({"id": "job-1", "input": fields}))

    run.backend = start_backend()
    handler = Handler(run.backend, lambda job, news: None)
    return run


def problem(answer):
    return json.loads(answer["error"])


def left_behind(backend):
    return [*backend.workdir.path.iterdir(), *backend.assets.root.iterdir()]


@pytest.mark.slow
def test_a_job_that_arrives_while_the_engine_loads_waits_and_is_answered(handle):
    assert handle.backend.worker.state is WorkerState.STARTING
    answer = handle(image=encoded("nap:0"), seed=5)
    assert base64.b64decode(answer["glb_base64"]) == b"glTFnap:0"
    assert answer["engine"] == "fake"
    assert answer["seed"] == 5
    assert answer["request_id"] == "job-1"
    assert answer["seconds"]["queue"] > 0
    assert "refresh_worker" not in answer
    assert "error" not in answer
    assert left_behind(handle.backend) == []


@pytest.mark.slow
def test_a_photo_is_fetched_and_the_result_is_put_where_the_job_says(handle, file_host, capsys):
    file_host.files["/photo"] = b"nap:0"
    signed = f"?X-Signature={SECRET}"
    answer = handle(image_url=file_host.url(f"/photo{signed}"), output_url=file_host.url(f"/result{signed}"))
    assert answer["stored"] is True
    assert "glb_base64" not in answer
    method, path, headers, body = file_host.requests[1]
    assert (method, path, body) == ("PUT", f"/result{signed}", b"glTFnap:0")
    assert headers["Content-Type"] == "model/gltf-binary"
    assert SECRET not in json.dumps(answer) + "".join(capsys.readouterr())


@pytest.mark.slow
def test_a_result_in_a_bucket_is_answered_as_a_link_that_lives_as_long_as_it(start_backend, s3, capsys):
    handler = Handler(start_backend(**s3.settings(), output_ttl_seconds=1800), lambda job, news: None)
    answer = asyncio.run(handler.run({"id": "job-1", "input": {"image": encoded("nap:0")}}))
    assert "glb_base64" not in answer
    assert 1700 < int(httpx.URL(answer["url"]).params["X-Amz-Expires"]) <= 1800
    fetched = httpx.get(answer["url"])
    assert (fetched.status_code, fetched.content) == (200, b"glTFnap:0")
    assert f"{answer['id']}.glb" in s3.names()
    assert "X-Amz-Signature" not in "".join(capsys.readouterr())


@pytest.mark.slow
def test_a_result_is_called_like_the_photo_at_its_url_or_as_the_job_says(start_backend, s3, file_host, caplog, capfd):
    handler = Handler(start_backend(**s3.settings()), lambda job, news: None)
    file_host.files["/photos/CANARY.jpg"] = b"named:"
    url = {"image_url": file_host.url("/photos/CANARY.jpg?X-Signature=x")}
    plain = {"image": encoded("named:")}
    for given, name in ((url, "CANARY"), (url | {"name": "CANARY2"}, "CANARY2"), (plain, "object")):
        answer = asyncio.run(handler.run({"id": "job-1", "input": given}))
        assert answer["name"] == name
        saved = httpx.get(answer["url"]).headers["content-disposition"]
        assert saved == f'attachment; filename="{name}.glb"'
    assert "CANARY" not in caplog.text + "".join(capfd.readouterr())


@pytest.mark.slow
def test_a_failed_put_is_told_without_the_address(handle, file_host, capsys):
    answer = handle(image=encoded("nap:0"), output_url=file_host.url(f"/status/403?X-Signature={SECRET}"))
    assert problem(answer)["code"] == "bad_request"
    assert "403" in problem(answer)["detail"]
    assert SECRET not in json.dumps(answer) + "".join(capsys.readouterr())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({}, "bad_request", "The photo is missing"),
        ({"image": "%%%"}, "bad_request", "'image' is not valid base64"),
        ({"image": encoded("nap:0"), "texture": 5}, "bad_request", "no field 'texture'"),
        ({"image": encoded("nap:0"), "seed": -5}, "bad_request", "'seed'"),
        ({"image": "A" * 2_000_000}, "too_large", "'image' is larger than 1000000 bytes"),
        ({"image_url": "https://169.254.169.254/latest"}, "bad_request", "not one of those"),
        ({"image": encoded("refuse")}, "no_object", "nothing here"),
        ({"image": encoded("bug")}, "internal", "log says why"),
    ],
)
def test_a_job_at_fault_fails_with_its_code_and_keeps_the_worker(handle, fields, code, said):
    answer = handle(**fields)
    assert list(answer) == ["error"], "no refresh_worker: another worker would say the same"
    assert problem(answer)["code"] == code
    assert said in problem(answer)["detail"]
    assert problem(answer)["retryable"] is False
    assert handle(image=encoded("nap:0"))["runs"] >= 1


@pytest.mark.slow
def test_an_output_address_is_refused_before_the_run(handle):
    answer = handle(image=encoded("crash"), output_url="https://elsewhere.example/")
    assert problem(answer)["code"] == "bad_request"
    assert handle.backend.worker.losses == 0


@pytest.mark.slow
def test_a_redirect_to_the_metadata_service_is_not_followed(handle, file_host):
    answer = handle(image_url=file_host.url("/redirect"))
    assert "redirects are not followed" in problem(answer)["detail"]


@pytest.mark.slow
def test_a_download_is_cut_off_at_the_limit_of_uploads(handle, file_host):
    assert problem(handle(image_url=file_host.url("/endless")))["code"] == "too_large"


@pytest.mark.slow
def test_a_result_that_runpod_would_not_carry_is_told_with_the_ways_out(start_backend):
    handler = Handler(start_backend(max_upload_bytes=10_000_000), lambda job, news: None)
    photo = "nap:0" + " " * 8_000_000  # the fake result has the size of the photo
    answer = asyncio.run(handler.run({"id": "job-1", "input": {"image": encoded(photo)}}))
    assert problem(answer)["code"] == "too_large"
    assert "'output_url'" in problem(answer)["detail"]


@pytest.mark.slow
def test_an_engine_killed_in_a_job_is_replaced_and_the_next_job_served(handle):
    first = handle(image=encoded("nap:0"))
    answer = handle(image=encoded("crash"))
    assert problem(answer) == {"code": "engine_lost", "detail": problem(answer)["detail"], "retryable": True}
    assert "refresh_worker" not in answer, "the worker mends itself"
    after = handle(image=encoded("nap:0"))
    assert base64.b64decode(after["glb_base64"]) == b"glTFnap:0"
    assert after["pid"] != first["pid"]
    assert left_behind(handle.backend) == []


@pytest.mark.slow
def test_an_engine_lost_again_and_again_asks_for_a_new_worker(handle):
    answers_in_a_row = [handle(image=encoded("poison")) for _ in range(3)]
    assert ["refresh_worker" in answer for answer in answers_in_a_row] == [False, False, True]


def test_an_engine_that_cannot_be_loaded_asks_for_a_new_worker(start_backend):
    handler = Handler(start_backend("missing"), lambda job, news: None)
    for _ in range(2):  # the first waits for the load, the second finds it failed
        answer = asyncio.run(handler.run({"id": "job-1", "input": {"image": encoded("nap:0")}}))
        assert answer["refresh_worker"] is True
        assert problem(answer)["code"] == "not_ready"
        assert "weights are missing" in problem(answer)["detail"]


class Unreadable(str):
    """What no JSON holds: a text that cannot be looked at."""

    def lstrip(self, *arguments):
        raise ZeroDivisionError


@pytest.mark.slow
def test_a_fault_of_the_handler_is_no_traceback_for_the_client(start_backend, capsys):
    backend = start_backend()
    answer = asyncio.run(
        Handler(backend, lambda job, news: None).run({"id": "job-1", "input": {"image": Unreadable("x")}})
    )
    assert problem(answer)["code"] == "internal"
    assert "Traceback" not in answer["error"]
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.slow
def test_a_job_that_runpod_stops_is_cancelled_at_its_next_step(handle):
    before = handle(image=encoded("nap:0"))["pid"]
    handler = Handler(handle.backend, lambda job, news: None)

    async def scenario():
        job = asyncio.ensure_future(handler.run({"id": "job-2", "input": {"image": encoded("nap:60")}}))
        await asyncio.to_thread(until, lambda: handle.backend.worker.queue.running)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job

    asyncio.run(scenario())
    after = handle(image=encoded("nap:0"))
    assert after["pid"] == before, "it is the job that ended, not the engine"
    assert left_behind(handle.backend) == []


@pytest.mark.slow
def test_runpod_is_told_of_the_jobs_progress(start_backend):
    told = []
    handler = Handler(start_backend(), lambda job, news: told.append((job["id"], news)))
    asyncio.run(handler.run({"id": "job-3", "input": {"image": encoded("nap:1.5")}}))
    assert ("job-3", {"stage": "reconstruct", "fraction": 0.5}) in told


@pytest.mark.slow
def test_the_engine_sees_nothing_of_runpods_keys(handle, monkeypatch):
    monkeypatch.setenv("RUNPOD_AI_API_KEY", SECRET)
    pid = handle(image=encoded("nap:0"))["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: handle.backend.worker.loads == 2)
    pid = handle(image=encoded("nap:0"))["pid"]
    with open(f"/proc/{pid}/environ") as environment:
        assert SECRET not in environment.read()
