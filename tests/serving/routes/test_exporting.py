"""What clients see of jobs that another process exports."""

from tests.serving.telemetry.test_counts import Scrape
from tests.support.fake_runner import photo
from tests.support.waiting import until

RUNNERS = "tests.support.split_runner:"


def start(http, text):
    answer = http.post("/api/jobs", files=photo(text))
    assert answer.status_code == 202, answer.text
    return f"/api/jobs/{answer.json()['id']}"


def test_a_job_is_one_job_while_its_export_runs_beside_the_next_network(serve):
    http = serve(f"{RUNNERS}SplitRunner", export_loader=f"{RUNNERS}Exporter")
    assert http.post("/api/inference", files=photo("nap:0|nap:0")).content == b"glTFnap:0|nap:0"
    first, second = start(http, "nap:0|nap:60"), start(http, "nap:60|nap:0")
    until(lambda: http.get(second).json()["stage"] == "reconstruct")
    until(lambda: http.get(first).json()["stage"] == "export")
    assert {http.get(job).json()["state"] for job in (first, second)} == {"running"}
    health = http.get("/health").json()
    assert (health["queue"]["running"], health["queue"]["exporting"], health["queue"]["waiting"]) == (1, 1, 0)
    assert health["run"]["stage"] == "reconstruct"
    assert health["processes"]["export"]["loads"] == 1
    now = Scrape(http)
    assert (now.value("sam3d_queue_running"), now.value("sam3d_queue_exporting")) == (1, 1)
    http.delete(second)
    until(lambda: http.get(second).json()["state"] == "cancelled")
    assert http.get("/health").json()["run"]["stage"] == "export", "of the oldest, as no network runs"
    http.delete(first)
    until(lambda: http.get(first).json()["state"] == "cancelled")
    after = Scrape(http)
    assert after.value("sam3d_queue_exporting") == 0
    assert after.value("sam3d_runs_total", process="engine", outcome="done") == 1
    assert after.value("sam3d_runs_total", process="engine", outcome="cancelled") == 2
    assert after.value("sam3d_runs_total", process="export", outcome="done") is None, "a job counts once"
    assert after.value("sam3d_stage_seconds_count", process="engine", stage="export") == 2


def test_an_exporter_that_cannot_load_is_said_by_health_and_livez(serve):
    http = serve(f"{RUNNERS}SplitRunner", export_loader="tests.support.fake_runner:broken")
    assert http.post("/api/inference", files=photo("nap:0|nap:0")).status_code == 503
    assert "The export process failed to load" in http.get("/health").json()["reason"]
    assert http.get("/livez").status_code == 503
