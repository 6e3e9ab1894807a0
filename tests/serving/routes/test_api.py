"""The HTTP contract, over the real service class with the fake runner in its engine process."""

import asyncio
import functools
import json
import os
import threading
import time

import httpx
import pytest

from sam3d_bento import service
from sam3d_bento.errors import BadRequest, NotReady
from sam3d_bento.serving import backend as backends
from sam3d_bento.serving.worker.state import WorkerState
from tests.support import s3_server
from tests.support.fake_runner import photo
from tests.support.waiting import PATIENCE, until


def backend():
    from sam3d_bento.serving.routes.api import backend

    return backend()


def test_a_photo_in_a_file_out_with_the_promised_headers(serve):
    http = serve()
    answer = http.post("/api/inference", files=photo("nap:0"), data={"seed": "5"})
    assert answer.status_code == 200, answer.text
    assert answer.content == b"glTFnap:0"
    headers = answer.headers
    assert headers["content-type"] == "model/gltf-binary"
    assert headers["content-disposition"] == 'attachment; filename="object.glb"'
    assert (headers["x-engine"], headers["x-seed"]) == ("fake", "5")
    assert (headers["x-mask-source"], headers["x-mask-coverage"]) == ("rembg", "0.2500")
    assert headers["x-warnings"] == ""
    assert headers["link"] == f'<http://testserver/api/assets/{headers["x-asset-id"]}.glb>; rel="canonical"'
    stages = [entry.split(";dur=")[0] for entry in headers["server-timing"].split(", ")]
    assert stages == ["queue", "decode", "mask", "reconstruct", "export"]


@pytest.mark.parametrize("ask", [{"data": {"response": "link"}}, {"headers": {"accept": "application/json"}}])
def test_a_link_instead_of_the_file(serve, ask):
    http = serve(public_url="https://models.example/base/")
    answer = http.post("/api/inference", files=photo("nap:0"), **ask)
    report = answer.json()
    assert report["url"] == f"https://models.example/base/api/assets/{report['id']}.glb"
    assert set(report["seconds"]) == {"queue", "decode", "mask", "reconstruct", "export"}
    assert report["request_id"] == answer.headers["x-request-id"]
    assert http.get(f"/api/assets/{report['id']}.glb").content == b"glTFnap:0"


def test_an_asset_can_be_fetched_in_parts_revalidated_and_deleted(serve):
    http = serve()
    path = f"/api/assets/{http.post('/api/inference', files=photo('nap:0')).headers['x-asset-id']}.glb"
    whole = http.get(path)
    assert whole.headers["content-disposition"].startswith("attachment")
    assert whole.headers["content-type"] == "model/gltf-binary"
    part = http.get(path, headers={"range": "bytes=4-6"})
    assert (part.status_code, part.content) == (206, b"nap")
    beyond = http.get(path, headers={"range": "bytes=900-"})
    assert (beyond.status_code, beyond.json()["status"]) == (416, 416)
    assert http.get(path, headers={"if-none-match": whole.headers["etag"]}).status_code == 304
    assert http.get(path, headers={"if-none-match": f'"x", W/{whole.headers["etag"]}'}).status_code == 304
    assert http.get(path, headers={"if-none-match": '"other"'}).status_code == 200
    head = http.head(path)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(whole.content)))
    assert http.delete(path).status_code == 204
    gone = http.get(path)
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found")


def test_an_unknown_asset_is_a_404(serve):
    http = serve()
    for name in ("x.glb", "..%2f..%2fetc%2fpasswd", "0" * 32 + ".glb", "%00.glb"):
        assert http.get(f"/api/assets/{name}").json()["code"] == "not_found", name


def test_a_link_made_by_one_service_is_answered_by_another_over_the_same_bucket(serve, s3, settings, tmp_path):
    http = serve(**s3.settings())
    report = http.post("/api/inference", files=photo("nap:0"), data={"response": "link"}).json()
    assert report["url"] == f"http://testserver/api/assets/{report['id']}.glb"
    other = serve(**s3.settings(), work_dir=tmp_path / "other")
    path = f"/api/assets/{report['id']}.glb"
    redirect = other.get(path, follow_redirects=False)
    assert (redirect.status_code, redirect.headers["cache-control"]) == (307, "no-store")
    assert httpx.get(redirect.headers["location"]).content == b"glTFnap:0"
    head = other.head(path, follow_redirects=False)
    assert (head.status_code, httpx.head(head.headers["location"]).status_code) == (307, 200)
    assert other.delete(path).status_code == 204
    assert other.get(path, follow_redirects=False).json()["code"] == "not_found"
    assert not settings.output_dir.exists(), "nothing is kept on disk as well"


def test_a_bucket_that_fails_is_a_retryable_problem_and_the_service_stays_up(serve, s3, capfd):
    http = serve(**s3.settings(), log_format="json")
    nowhere = {"output_endpoint": "http://127.0.0.1:1"}  # no one listens at this port
    bucket = backends.choose_assets(backend().settings.model_copy(update=nowhere))
    backend().assets = backend().reconstructor.assets = bucket
    lost = http.post("/api/inference", files=photo("nap:0"))
    assert (lost.status_code, lost.json()["code"], lost.json()["retryable"]) == (503, "storage_unavailable", True)
    assert lost.headers["retry-after"] == "5"
    fetched = http.get(f"/api/assets/{'0' * 32}.glb")
    assert (fetched.status_code, fetched.json()["code"]) == (503, "storage_unavailable")
    health = http.get("/health")
    assert health.status_code == 200
    log = capfd.readouterr().err
    assert '"outcome": "storage_unavailable"' in log
    assert "Traceback" not in log
    for text in (log, lost.text, fetched.text, health.text, http.get("/metrics").text):
        assert s3_server.SECRET not in text
    assert s3_server.SECRET not in str(os.environ)


def test_a_bucket_that_cannot_be_used_is_said_by_health(serve, s3, tmp_path):
    keys = tmp_path / "credentials"
    keys.write_text("[default]\naws_access_key_id = test-key-id\naws_secret_access_key = wrong\n")
    http = serve(wait_for=(WorkerState.FAILED,), **(s3.settings() | {"output_credentials_file": keys}))
    assert "SAM3D_OUTPUT_URL cannot be used: " in http.get("/health").json()["reason"]
    assert http.post("/api/inference", files=photo("nap:0")).json()["code"] == "not_ready"


def test_error_of_the_engine_reaches_the_client_unchanged(serve):
    answer = serve().post("/api/inference", files=photo("refuse"))
    assert answer.status_code == 422
    assert answer.json()["code"] == "no_object"
    assert answer.json()["detail"] == "There is nothing here."
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_fault_does_not_tell_its_details(serve):
    answer = serve().post("/api/inference", files=photo("bug"))
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text


def test_a_mistake_in_the_form_is_a_400_not_a_500(serve):
    http = serve()
    address = {"data": {"image": "http://127.0.0.1/"}, "files": {"mask": ("m.png", b"x")}}
    assert http.post("/api/inference", **address).json()["code"] == "bad_request"
    assert http.post("/api/inference", files=photo("nap:0"), data={"sed": "5"}).json()["code"] == "bad_request"
    assert http.post("/api/inference", json={"image": "x"}).json()["code"] == "unsupported_media"


def test_an_upload_of_undeclared_length_is_counted_on_its_way_in(serve):
    def endless():
        for _ in range(400):
            yield bytes(64_000)

    answer = serve().post("/api/inference", content=endless(), headers={"content-type": "image/png"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_health_tells_loading_from_ready_and_counts_one_load(serve):
    http = serve(wait_for=tuple(WorkerState))
    first = http.get("/health")
    assert first.status_code == 503
    assert first.json()["status"] == "starting"
    assert first.json()["engine_facts"] is None
    assert http.get("/readyz").status_code == 503
    assert http.get("/livez").status_code == 200
    refused = http.post("/api/inference", files=photo("nap:0"))
    assert (refused.status_code, refused.json()["code"]) == (503, "not_ready")
    assert int(refused.headers["retry-after"]) > 0
    until(lambda: http.get("/health").status_code == 200)
    assert http.get("/readyz").status_code == 200
    assert http.head("/health").status_code == 200
    for _ in range(3):
        assert http.post("/api/inference", files=photo("nap:0")).status_code == 200
    report = http.get("/health").json()
    assert (report["status"], report["engine"], report["loads"]) == ("ready", "fake", 1)
    assert report["queue"] == {"running": 0, "exporting": 0, "waiting": 0, "limit": 2}
    assert (report["engine_facts"], report["losses"]) == ({"attention": "none"}, 0)


def test_a_failed_load_is_said_by_health_and_livez(serve):
    http = serve("tests.support.fake_runner:missing", wait_for=(WorkerState.FAILED,))
    health = http.get("/health")
    assert (health.status_code, health.json()["status"]) == (503, "failed")
    assert health.json()["reason"] == "The weights are missing."
    assert http.get("/livez").status_code == 503
    assert http.get("/livez").json()["code"] == "not_ready"
    assert http.post("/api/inference", files=photo("nap:0")).json()["detail"] == "The weights are missing."


@pytest.mark.parametrize("setting", ["work_dir", "output_dir"])
def test_a_folder_that_cannot_be_used_is_said_by_health(serve, tmp_path, setting):
    (tmp_path / "file").write_text("no folder")
    http = serve(wait_for=(WorkerState.FAILED,), **{setting: tmp_path / "file" / "below"})
    reason = http.get("/health").json()["reason"]
    assert f"SAM3D_{setting.upper()}" in reason
    assert str(tmp_path) not in reason
    answer = http.post("/api/inference", files=photo("nap:0"))
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")


def test_a_full_queue_is_a_429_at_once(serve):
    http = serve(queue_limit=1)
    waiting = [threading.Thread(target=http.post, args=("/api/inference",), kwargs={"files": photo("nap:60")})]
    waiting += [threading.Thread(target=http.post, args=("/api/inference",), kwargs={"files": photo("nap:60")})]
    for thread in waiting:
        thread.start()
    worker = backend().worker
    until(lambda: worker.queue.full)
    answer = http.post("/api/inference", files=photo("nap:0"))
    assert (answer.status_code, answer.json()["code"], answer.json()["retryable"]) == (429, "busy", True)
    assert int(answer.headers["retry-after"]) > 0
    assert http.get("/health").status_code == 200, "busy is not unready"
    worker.stop()  # ends the two long runs
    for thread in waiting:
        thread.join()


def test_a_run_beyond_the_deadline_is_a_504_and_the_next_client_gets_its_own_mesh(serve):
    http = serve(deadline_seconds=1.0)
    late = http.post("/api/inference", files=photo("hang"))
    assert (late.status_code, late.json()["code"]) == (504, "deadline_exceeded")
    assert http.get("/health").status_code == 503
    assert http.post("/api/inference", files=photo("nap:0.01")).content == b"glTFnap:0.01"


def test_an_engine_that_gives_itself_up_is_a_503_and_health_says_so_until_a_new_one_is_there(serve):
    http = serve()
    lost = http.post("/api/inference", files=photo("poison"))
    assert (lost.status_code, lost.json()["code"], lost.json()["retryable"]) == (503, "engine_lost", True)
    health = http.get("/health")
    assert (health.status_code, health.json()["status"], health.json()["losses"]) == (503, "restarting", 1)
    assert http.get("/livez").status_code == 200, "the service mends this by itself"
    assert http.post("/api/inference", files=photo("nap:0.01")).content == b"glTFnap:0.01"
    health = http.get("/health")
    assert (health.status_code, health.json()["losses"], health.json()["loads"]) == (200, 0, 2)


def test_after_losses_in_a_row_livez_asks_for_a_restart_until_a_job_ends_otherwise(serve):
    http = serve()
    for n in range(1, backends.MAX_LOSSES_IN_A_ROW + 1):
        assert http.get("/livez").status_code == 200, f"after {n - 1} losses"
        assert http.post("/api/inference", files=photo("poison")).json()["code"] == "engine_lost"
    assert http.get("/livez").status_code == 503
    until(lambda: http.get("/health").status_code == 200)
    health = http.get("/health")
    assert health.json()["losses"] == backends.MAX_LOSSES_IN_A_ROW
    assert "in a row. Restart the service" in health.json()["reason"]
    assert http.get("/livez").status_code == 503, "a load alone proves nothing"
    assert http.post("/api/inference", files=photo("nap:0.01")).status_code == 200, "it serves meanwhile"
    assert http.get("/livez").status_code == 200
    assert http.get("/health").json()["reason"] is None


def test_two_clients_at_once_get_each_their_own(serve):
    http = serve(queue_limit=10)
    answers = {}

    def ask(text):
        answers[text] = http.post("/api/inference", files=photo(text)).content

    texts = [f"nap:0.0{n}" for n in range(8)]
    threads = [threading.Thread(target=ask, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {text: b"glTF" + text.encode() for text in texts}


def test_options_describe_what_may_be_asked(serve):
    report = serve().get("/api/options").json()
    assert report["engine"] == {"name": "fake", "version": "fake/1", "device": "cpu", "facts": {"attention": "none"}}
    assert report["options"]["target_faces"]["maximum"] == 200_000
    assert report["options"]["texture_size"]["enum"] == [512, 1024, 2048, 4096]
    assert report["limits"]["queue_limit"] == 2
    assert "JPEG" in report["formats"]
    assert "several_objects" in report["warnings"]


def test_unknown_routes_and_methods_have_the_one_shape(serve):
    http = serve()
    for answer, status in ((http.get("/nowhere"), 404), (http.get("/api/inference"), 405), (http.put("/health"), 405)):
        assert (answer.status_code, answer.json()["status"]) == (status, status)
        assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_stale_files_vanish_while_the_server_runs(serve, settings):
    http = serve(output_ttl_seconds=4.0)
    kept = http.post("/api/inference", files=photo("nap:0")).headers["x-asset-id"]
    assert http.get(f"/api/assets/{kept}.glb").status_code == 200
    stale = settings.output_dir / f"{'a' * 32}.glb"
    dead = settings.work_dir / f"boot-{'b' * 32}"
    stranger = settings.output_dir / "stranger.glb"
    for file in (stale, stranger):
        file.write_bytes(b"x")
        os.utime(file, (1, 1))
    dead.mkdir()
    give_up = time.monotonic() + PATIENCE
    while stale.exists() or dead.exists() or (settings.output_dir / f"{kept}.glb").exists():
        assert time.monotonic() < give_up
        threading.Event().wait(0.05)
    assert stranger.exists()


def test_nothing_is_left_after_good_and_bad_requests(serve, settings):
    http = serve()
    kept = set()
    for n in range(50):
        text = ("nap:0", "refuse", "bug", "litter")[n % 4]
        answer = http.post("/api/inference", files={**photo(text), "mask": ("m", bytes(2_000_000))})
        kept |= {answer.headers["x-asset-id"]} if answer.status_code == 200 else set()
        http.post("/api/inference", files=photo("x" * 3_000_000), data={"sed": "1"})
    own = backend().workdir.path
    assert list(settings.work_dir.iterdir()) == [own]
    assert [path for path in own.rglob("*") if path.is_file()] == []
    # BentoML's own client of this service keeps one empty folder as long as the service lives.
    assert [path.name for path in own.iterdir() if not path.name.startswith("bentoml-client-")] == []
    assert {path.stem for path in settings.output_dir.iterdir()} == kept


def test_log_lines_at_start_and_end_carry_the_request_id(serve, capfd):
    http = serve(log_format="json")
    http.post("/api/inference", files=photo("nap:0"), headers={"x-request-id": "find-me"})
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    mine = {line["message"]: line for line in lines if line.get("request_id") == "find-me"}
    assert list(mine) == ["request start", "engine start", "stage done", "request done"]
    assert mine["engine start"]["gpu_memory"]
    done = mine["request done"]
    assert (done["status"], done["outcome"], done["engine"]) == (200, "done", "fake")
    assert {f"{stage}_seconds" for stage in ("queue", "decode", "mask", "reconstruct", "export")} <= set(done)
    assert "gpu_peak_bytes" not in done, "there was no GPU"


def test_the_log_tells_the_most_that_a_run_had_on_the_gpu(serve, capfd):
    serve(log_format="json").post("/api/inference", files=photo("peak:123456789"))
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    assert [line["gpu_peak_bytes"] for line in lines if line["message"] == "request done"] == [123456789]


@pytest.fixture
def instance(settings, monkeypatch):
    """A factory of service instances, as `Sam3D()` makes them in a program of one's own."""
    made = []

    def make(loader="tests.support.fake_runner:FakeRunner", **changes):
        monkeypatch.setattr(service, "settings", settings.model_copy(update=changes))
        monkeypatch.setattr(service, "Backend", functools.partial(backends.Backend, engine_loader=loader))
        made.append(service.Sam3D())
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.mark.slow
def test_a_direct_call_waits_for_the_load_and_gives_a_file(instance, tmp_path):
    one = instance()
    (tmp_path / "photo.png").write_bytes(b"a photo")
    assert one.backend.worker.state is WorkerState.STARTING
    path = asyncio.run(one.inference(image=tmp_path / "photo.png", seed=3))
    assert path.read_bytes() == b"glTF" + b"a photo"
    assert asyncio.run(one.inference(image=b"other bytes")).read_bytes() == b"glTF" + b"other bytes"


@pytest.mark.slow
def test_a_direct_call_gives_a_file_also_when_results_go_to_a_bucket(instance, s3):
    one = instance(**s3.settings())
    path = asyncio.run(one.inference(image=b"a photo"))
    assert path.read_bytes() == b"glTF" + b"a photo"
    assert path.name in s3.names()


def test_a_direct_call_fails_with_the_loads_reason_or_the_arguments_fault(instance):
    one = instance("tests.support.fake_runner:missing")
    with pytest.raises(NotReady, match="The weights are missing"):
        asyncio.run(one.inference(image=b"a photo"))
    with pytest.raises(BadRequest, match="no field 'colour'"):
        asyncio.run(one.inference(image=b"a photo", colour="red"))
    with pytest.raises(BadRequest, match="'image' is missing"):
        asyncio.run(one.inference())
