"""What Prometheus is told, after real requests to the real service class with the fake runner in its engine process."""

import re
import threading
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sam3d_bento import gpu
from sam3d_bento.errors import GpuOutOfMemory
from sam3d_bento.serving.telemetry.counts import Telemetry
from sam3d_bento.serving.worker.job import Job
from sam3d_bento.submission import Asset
from tests.support.fake_runner import photo
from tests.support.waiting import until


class Scrape:
    """One look at /metrics, as Prometheus parses it."""

    def __init__(self, http):
        answer = http.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=")
        self.families = {family.name: family for family in text_string_to_metric_families(answer.text)}

    def series(self, name):
        """{labels: value} of the samples of this name."""
        return {
            tuple(sorted(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
            if sample.name == name
        }

    def value(self, name, **labels):
        return self.series(name).get(tuple(sorted(labels.items())))


def test_requests_are_counted_by_route_status_and_outcome(serve):
    http = serve()
    asset = http.post("/api/inference", files=photo("nap:0")).headers["x-asset-id"]
    assert http.post("/api/inference", files=photo("refuse")).status_code == 422
    assert http.post("/api/inference", files={"image": (None, "no file")}).status_code == 400
    for _ in range(2):
        http.get(f"/api/assets/{asset}.glb")
    http.get(f"/api/assets/{'0' * 32}.glb")
    now = Scrape(http)

    def count(method, route, status, outcome):
        return now.value("sam3d_requests_total", method=method, route=route, status=status, outcome=outcome)

    assert count("POST", "/api/inference", "200", "done") == 1
    assert count("POST", "/api/inference", "422", "no_object") == 1
    assert count("POST", "/api/inference", "400", "bad_request") == 1
    assert count("GET", "/api/assets/{id}.glb", "200", "done") == 2
    assert count("GET", "/api/assets/{id}.glb", "404", "not_found") == 1
    assert now.value("sam3d_request_seconds_count", method="POST", route="/api/inference") == 3
    assert now.value("sam3d_runs_total", process="engine", outcome="done") == 1
    assert now.value("sam3d_runs_total", process="engine", outcome="no_object") == 1


def test_a_stranger_cannot_make_series(serve):
    http = serve()
    for n in range(20):
        http.get(f"/api/assets/{n:032x}.glb")
        http.get(f"/api/jobs/{n:032x}")
        http.get(f"/made/up/{n}")
        http.get(f"/studio/{n}.js")
        http.request(f"VERB{n}", "/health")
    now = Scrape(http)
    text = http.get("/metrics").text
    assert "made/up" not in text
    routes = {dict(labels)["route"] for labels in now.series("sam3d_requests_total")}
    assert routes == {"/api/assets/{id}.glb", "/api/jobs/{id}", "none", "/studio/", "/health"}
    timed = set(re.findall(r'sam3d_request_seconds_count\{method="\w+",route="([^"]*)"', text))
    assert timed == routes - {"/studio/"} | {"/metrics"}  # that of the first scrape
    assert {dict(labels)["method"] for labels in now.series("sam3d_requests_total")} == {"GET", "other"}
    assert not any(name.startswith("bentoml_") for name in now.families), "its paths are not bounded"


def test_stages_are_measured_with_the_wait_before_them(serve):
    http = serve(queue_limit=5)
    first = threading.Thread(target=http.post, args=("/api/inference",), kwargs={"files": photo("nap:1")})
    first.start()
    until(lambda: http.get("/health").json()["queue"]["running"])
    http.post("/api/inference", files=photo("nap:0"))
    first.join()
    now = Scrape(http)
    for stage in ("queue", "decode", "export"):
        assert now.value("sam3d_stage_seconds_count", process="engine", stage=stage) == 2, stage
    assert now.value("sam3d_stage_seconds_sum", process="engine", stage="reconstruct") >= 0.25
    waited = now.value("sam3d_stage_seconds_sum", process="engine", stage="queue")
    assert 0.1 < waited < 5, "the second one waited for the first"
    below = now.value("sam3d_stage_seconds_bucket", process="engine", stage="queue", le="0.05")
    assert below == 1


def test_a_lost_engine_and_its_replacement_are_counted(serve):
    http = serve()
    assert http.post("/api/inference", files=photo("crash")).json()["code"] == "engine_lost"
    until(lambda: http.get("/health").status_code == 200)
    now = Scrape(http)
    assert now.value("sam3d_engine_losses_total", process="engine") == 1
    assert now.value("sam3d_engine_loads_total", process="engine") == 2
    assert now.value("sam3d_runs_total", process="engine", outcome="engine_lost") == 1
    http.post("/api/inference", files=photo("nap:0"))
    assert Scrape(http).value("sam3d_engine_losses_total", process="engine") == 1, "it counts on, not in a row"


def test_the_queue_is_told_while_a_job_runs_and_quickly(serve):
    http = serve(queue_limit=5)
    clients = [
        threading.Thread(target=http.post, args=("/api/inference",), kwargs={"files": photo("nap:60")}) for _ in "123"
    ]
    for client in clients:
        client.start()
    until(lambda: http.get("/health").json()["queue"]["waiting"] == 2)
    started = time.perf_counter()
    now = Scrape(http)
    assert time.perf_counter() - started < 20, "it does not wait for the run"
    assert now.value("sam3d_queue_waiting") == 2
    assert now.value("sam3d_queue_running") == 1
    assert now.value("sam3d_queue_limit") == 5
    from sam3d_bento.serving.routes import handlers

    worker = handlers.backend().worker
    for job in [worker.queue.running, *worker.queue._waiting]:
        job.cancel()
    for client in clients:
        client.join()
    after = Scrape(http)
    assert (after.value("sam3d_queue_waiting"), after.value("sam3d_queue_running")) == (0, 0)
    cancelled = after.value(
        "sam3d_requests_total", method="POST", route="/api/inference", status="409", outcome="cancelled"
    )
    assert cancelled == 3


def test_assets_are_counted_in_results_and_bytes(serve, settings):
    http = serve(keep_reconstructions=True)
    assert Scrape(http).value("sam3d_assets") == 0
    answers = [http.post("/api/inference", files=photo("nap:0")) for _ in "12"]
    now = Scrape(http)
    assert now.value("sam3d_assets") == 2
    assert now.value("sam3d_assets_bytes", kind="glb") == sum(len(answer.content) for answer in answers)
    assert now.value("sam3d_assets_bytes", kind="npz") > 0
    assert now.value("sam3d_assets_limit_bytes") == settings.output_max_bytes
    http.delete(f"/api/assets/{answers[0].headers['x-asset-id']}.glb")
    assert Scrape(http).value("sam3d_assets") == 1


def test_results_in_a_bucket_are_not_counted_as_none(serve, s3):
    assert "sam3d_assets" not in Scrape(serve(**s3.settings())).families


def test_engine_weights_and_process_are_told(serve, mask_model, tmp_path):
    from sam3d_bento.settings import Settings

    http = serve(mask_dir=Settings.from_environ().mask_dir)
    now = Scrape(http)
    (labels,) = now.series("sam3d_info")
    assert dict(labels) | {"version": ""} == {
        "engine": "fake",
        "engine_version": "fake/1",
        "device": "cpu",
        "version": "",
    }
    assert now.value("sam3d_ready") == 1
    assert now.series("sam3d_weights_verified") == {(("set", "mask"),): 1}
    assert now.value("process_resident_memory_bytes") > 10e6
    missing = Scrape(serve(mask_dir=tmp_path / "nowhere"))
    assert missing.series("sam3d_weights_verified") == {(("set", "mask"),): 0}


@pytest.mark.skipif(gpu.memory() is not None, reason="there is a GPU here")
def test_without_a_gpu_its_memory_is_absent_not_zero(serve):
    http = serve()
    http.post("/api/inference", files=photo("nap:0"))
    assert not [name for name in Scrape(http).families if name.startswith("sam3d_gpu_memory")]


def test_the_peak_of_gpu_memory_is_that_of_the_hungriest_run(serve):
    http = serve()
    for peak in (5000, 9000, 7000):
        http.post("/api/inference", files=photo(f"peak:{peak}"))
    assert Scrape(http).value("sam3d_gpu_memory_peak_bytes") == 9000


def test_runs_out_of_memory_are_counted_whether_they_were_rescued_or_not():
    telemetry = Telemetry()
    job = Job(None, "label", lambda job: None)
    telemetry.run_ended("engine", job, Asset(b"", {"retries": 0, "gpu_peak_bytes": None}))
    telemetry.run_ended("engine", job, Asset(b"", {"retries": 1, "gpu_peak_bytes": 5}))
    telemetry.run_ended("engine", job, GpuOutOfMemory("The GPU's memory did not suffice."))
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in telemetry.registry.collect()
        for sample in family.samples
    }
    assert found["sam3d_gpu_out_of_memory_total", "recovered"] == 1
    assert found["sam3d_gpu_out_of_memory_total", "failed"] == 1
    assert found[("sam3d_run_retries_total",)] == 1
    assert found["sam3d_runs_total", "engine", "gpu_out_of_memory"] == 1
