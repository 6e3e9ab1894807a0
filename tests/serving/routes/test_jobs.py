"""Jobs over HTTP: the real service class with the fake runner in its engine process."""

import asyncio
import gc
import json
import threading

import pytest

from sam3d_bento.serving.request_context import backend
from sam3d_bento.serving.routes import jobs
from sam3d_bento.serving.worker.state import WorkerState
from sam3d_bento.submission import Asset, Submission
from tests.support.fake_runner import photo
from tests.support.waiting import PATIENCE, until

FIELDS = {
    "id",
    "state",
    "stage",
    "stage_fraction",
    "fraction",
    "position",
    "estimated_seconds",
    "created",
    "seconds",
    "warnings",
    "report",
    "result",
    "problem",
    "links",
    "objects",
}


def submit(http, text, status=202, **options):
    answer = http.post("/api/jobs", files=photo(text), **options)
    assert answer.status_code == status, answer.text
    return answer.json()


def ended(http, job):
    """The job once it has ended."""

    def look():
        state = http.get(job["links"]["self"]).json()
        return state if state["state"] in ("done", "failed", "cancelled") else None

    return until(look)


def follow(http, job, **headers):
    """The events of a job up to its last, as (id, event, data)."""
    answer = http.get(job["links"]["events"], headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


def test_a_photo_becomes_a_job_with_links_and_then_a_result(serve):
    http = serve()
    answer = http.post("/api/jobs", files=photo("nap:0"), data={"seed": "5"}, headers={"x-request-id": "mine"})
    assert answer.status_code == 202
    job = answer.json()
    assert set(job) == FIELDS
    assert answer.headers["location"] == job["links"]["self"] == f"/api/jobs/{job['id']}"
    done = ended(http, job)
    assert (done["state"], done["fraction"], done["problem"]) == ("done", 1.0, None)
    assert http.get(done["links"]["asset"]).content == b"glTFnap:0"
    report = done["report"]
    assert report["url"] == f"http://testserver{done['links']['asset']}"
    assert (report["seed"], report["request_id"]) == (5, "mine")
    assert set(done["seconds"]) == {"queue", "decode", "mask", "reconstruct", "export"}
    assert done["created"].endswith("Z")


def test_the_report_is_the_one_that_inference_gives(serve):
    http = serve()
    direct = http.post("/api/inference", files=photo("nap:0"), data={"response": "link"}).json()
    assert set(ended(http, submit(http, "nap:0"))["report"]) == set(direct)


def test_links_lie_below_the_public_address(serve):
    http = serve(public_url="https://models.example/base/")
    job = http.post("/api/jobs", files=photo("nap:0")).json()
    assert job["links"]["events"] == f"/base/api/jobs/{job['id']}/events"
    until(lambda: http.get(f"/api/jobs/{job['id']}").json()["state"] == "done")
    report = http.get(f"/api/jobs/{job['id']}").json()["report"]
    assert report["url"].startswith("https://models.example/base/api/assets/")


def test_a_running_and_a_waiting_job_tell_where_they_stand(serve):
    http = serve()
    ended(http, submit(http, "nap:0.2"))  # from which the next are estimated
    running, waiting = submit(http, "nap:60"), submit(http, "nap:0")
    state = until(lambda: (s := http.get(running["links"]["self"]).json())["stage"] == "reconstruct" and s)
    assert (state["state"], state["stage_fraction"], state["position"]) == ("running", 0.5, None)
    assert 0 < state["fraction"] < 1
    assert state["estimated_seconds"] > 0
    assert state["seconds"]["queue"] >= 0
    state = http.get(waiting["links"]["self"]).json()
    assert (state["state"], state["position"], state["stage"]) == ("queued", 0, None)
    assert state["estimated_seconds"] > 0
    http.delete(running["links"]["self"])
    assert ended(http, waiting)["state"] == "done"


def test_a_waiting_job_is_cancelled_at_once_a_running_one_at_its_next_step(serve, settings):
    http = serve()
    running, waiting = submit(http, "nap:60"), submit(http, "nap:0")
    gone = http.delete(waiting["links"]["self"])
    assert (gone.status_code, gone.json()["state"]) == (200, "cancelled")
    assert gone.json()["problem"]["code"] == "cancelled"
    assert http.delete(running["links"]["self"]).status_code in (200, 202)
    assert ended(http, running)["problem"]["status"] == 409
    again = http.delete(running["links"]["self"])
    assert (again.status_code, again.json()["state"]) == (200, "cancelled"), "without effect on what has ended"
    assert not settings.output_dir.exists() or list(settings.output_dir.iterdir()) == []


def test_cancelling_what_is_done_keeps_the_result(serve):
    http = serve()
    done = ended(http, submit(http, "nap:0"))
    assert http.delete(done["links"]["self"]).json() == done
    assert http.get(done["links"]["asset"]).status_code == 200


@pytest.mark.parametrize(("text", "code"), [("refuse", "no_object"), ("bug", "internal"), ("crash", "engine_lost")])
def test_failed_job_ends_with_its_problem(serve, text, code):
    http = serve()
    state = ended(http, http.post("/api/jobs", files=photo(text), headers={"x-request-id": "mine"}).json())
    assert (state["state"], state["report"], state["links"]["asset"]) == ("failed", None, None)
    assert (state["problem"]["code"], state["problem"]["request_id"]) == (code, "mine")


def test_a_job_never_runs_for_ever(serve):
    http = serve(deadline_seconds=1.0)
    assert ended(http, submit(http, "hang"))["problem"]["code"] == "deadline_exceeded"


def test_an_unknown_job_is_a_404_with_a_sentence(serve):
    http = serve()
    for method in ("GET", "DELETE"):
        answer = http.request(method, f"/api/jobs/{'0' * 32}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), method
        assert "restarted" in answer.json()["detail"]
    assert http.get(f"/api/jobs/{'0' * 32}/events").json()["code"] == "not_found"


def test_a_restart_forgets_jobs_and_keeps_results(serve):
    http = serve()
    done, hanging = ended(http, submit(http, "nap:0")), submit(http, "nap:60")
    http = serve()
    assert http.get(done["links"]["self"]).status_code == 404
    assert http.get(hanging["links"]["self"]).status_code == 404
    assert http.get(done["links"]["asset"]).status_code == 200


def test_jobs_are_forgotten_with_their_results(serve):
    http = serve(output_ttl_seconds=1.0)
    done = ended(http, submit(http, "nap:0", headers={"idempotency-key": "k"}))
    until(lambda: http.get(done["links"]["self"]).status_code == 404)
    assert submit(http, "nap:0", headers={"idempotency-key": "k"})["id"] != done["id"], "its key is free again"
    jobs = backend().jobs
    until(lambda: not jobs._jobs and not jobs._claims)


@pytest.mark.parametrize("how", ["deleted", "evicted"])
def test_a_job_whose_result_is_gone_says_so(serve, how):
    http = serve(output_max_bytes=150)
    key = {"idempotency-key": "k"}
    done = ended(http, submit(http, "nap:0", headers=key))
    assert (done["state"], done["result"]) == ("done", "kept")
    if how == "deleted":
        http.delete(done["links"]["asset"])
    else:
        ended(http, submit(http, f"nap:0.{'0' * 54}"))  # no room for both
        until(lambda: backend().sweep() or http.get(done["links"]["asset"]).status_code == 404)
    found = http.get(done["links"]["self"]).json()
    assert (found["state"], found["result"], found["links"]["asset"]) == ("done", "gone", None)
    assert found["report"]["id"] == done["report"]["id"]
    assert follow(http, done)[-1][2]["result"] == "gone"
    assert submit(http, "nap:0", status=200, headers=key)["result"] == "gone"


def test_a_store_that_does_not_answer_holds_up_no_job(serve, monkeypatch):
    http = serve()
    done = ended(http, submit(http, "nap:0"))

    async def hang(*arguments):
        await asyncio.sleep(PATIENCE)

    monkeypatch.setattr(jobs, "STORE_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(backend().assets, "get", hang)
    found = http.get(done["links"]["self"]).json()
    assert (found["result"], found["links"]["asset"]) == (None, done["links"]["asset"])


def test_no_job_is_taken_while_the_engine_loads(serve):
    refused = serve(wait_for=tuple(WorkerState)).post("/api/jobs", files=photo("nap:0"))
    assert (refused.status_code, refused.json()["code"]) == (503, "not_ready")
    assert int(refused.headers["retry-after"]) > 0


def test_a_mistake_in_the_form_is_named(serve):
    http = serve()
    wrong = http.post("/api/jobs", files=photo("nap:0"), data={"sed": "1"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "bad_request")
    link = http.post("/api/jobs", files=photo("nap:0"), data={"response": "link"})
    assert "'response'" in link.json()["detail"]


# -- the idempotency key ----------------------------------------------------------------------------------------------


def test_the_same_key_gives_the_same_job_also_when_the_queue_is_full(serve):
    http = serve(queue_limit=1)
    key = {"headers": {"idempotency-key": "order 66"}}
    first = submit(http, "nap:60", **key)
    submit(http, "nap:0")
    assert http.post("/api/jobs", files=photo("nap:0")).status_code == 429
    assert submit(http, "nap:60", **key)["id"] == first["id"]
    http.delete(first["links"]["self"])
    ended(http, first)
    assert submit(http, "nap:60", status=200, **key)["id"] == first["id"], "also when it has ended"


def test_a_key_of_another_input_is_refused(serve):
    http = serve()
    headers = {"idempotency-key": "k"}
    submit(http, "nap:0", headers=headers)
    for other in (
        {"files": photo("nap:1")},
        {"files": photo("nap:0"), "data": {"seed": "5"}},
        {"files": {**photo("nap:0"), "mask": b"m"}},
    ):
        refused = http.post("/api/jobs", headers=headers, **other)
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused"), other


def test_the_same_key_of_two_clients_is_two_keys(serve, tmp_path):
    first, second = {"x-api-key": "first-" + "0" * 20}, {"authorization": "Bearer second-" + "0" * 20}
    (tmp_path / "keys").write_text("first-" + "0" * 20 + "\nsecond-" + "0" * 20 + "\n")
    http = serve(api_keys_file=tmp_path / "keys", queue_limit=5)
    key = {"idempotency-key": "order 66"}
    job = submit(http, "nap:0", headers=first | key)
    assert submit(http, "nap:0.01", headers=second | key)["id"] != job["id"], "with another photo, and no 422"
    ended(http, job)
    again = {"authorization": f"Bearer {first['x-api-key']}"}  # however it shows its key
    assert submit(http, "nap:0", status=200, headers=again | key)["id"] == job["id"]


def test_a_key_must_be_short_and_printable(serve):
    http = serve()
    for key in ("", "x" * 201, "tab\there"):
        answer = http.post("/api/jobs", files=photo("nap:0"), headers={"idempotency-key": key})
        assert (answer.status_code, "Idempotency-Key" in answer.json()["detail"]) == (400, True), key


# -- events -----------------------------------------------------------------------------------------------------------


def test_events_lead_from_the_present_state_to_the_end(serve):
    http = serve()
    job = submit(http, "nap:0.3")
    events = follow(http, job)
    assert [event for _, event, _ in events[:-1]] == ["progress"] * (len(events) - 1)
    assert events[-1][1] == "done"
    numbers = [number for number, _, _ in events]
    assert numbers == sorted(set(numbers))
    assert all(set(data) == FIELDS for _, _, data in events)
    fractions = [data["fraction"] for _, _, data in events]
    assert fractions == sorted(fractions)
    assert events[-1][2] == http.get(job["links"]["self"]).json()


def test_a_stream_says_how_it_wants_to_be_treated(serve):
    http = serve()
    answer = http.get(submit(http, "nap:0")["links"]["events"])
    assert answer.text.startswith("retry: ")
    assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-store", "no")


def test_a_stream_goes_on_where_it_was_cut(serve):
    http = serve()
    job = submit(http, "nap:0.3")
    whole = follow(http, job)
    assert len(whole) >= 2
    ended(http, job)
    first = whole[0][0]
    assert follow(http, job, **{"last-event-id": str(first)}) == whole[1:]
    over = http.get(job["links"]["events"], headers={"last-event-id": str(whole[-1][0])})
    assert over.status_code == 204, "so that a browser comes back no more"
    for nonsense in ("x", "-1", "99999", "9" * 30):
        assert follow(http, job, **{"last-event-id": nonsense}) == whole[-1:]


def test_late_listener_gets_the_end(serve):
    http = serve()
    job = submit(http, "refuse")
    ended(http, job)
    ((_, event, data),) = follow(http, job)
    assert (event, data["problem"]["code"]) == ("failed", "no_object")


def test_a_quiet_job_is_heard_all_the_same(serve, monkeypatch):
    monkeypatch.setattr("sam3d_bento.serving.routes.jobs.HEARTBEAT_SECONDS", 0.05)
    http = serve(deadline_seconds=1.0)
    assert http.get(submit(http, "hang")["links"]["events"]).text.count(": still here") >= 3


# -- many jobs --------------------------------------------------------------------------------------------------------


def uploads_and_results():
    """Those that are in memory."""
    return [thing for thing in gc.get_objects() if isinstance(thing, (Submission, Asset))]


def test_a_hundred_jobs_end_in_order_and_two_listeners_of_each_hear_the_same(serve, settings):
    before = set(map(id, uploads_and_results()))  # constants of other tests
    http = serve(queue_limit=100)
    first = submit(http, "nap:60")
    jobs = [submit(http, f"nap:0.{n:03}") for n in range(100)]
    full = http.post("/api/jobs", files=photo("nap:0"))
    assert (full.status_code, full.json()["code"]) == (429, "busy")
    assert int(full.headers["retry-after"]) > 0
    assert [http.get(job["links"]["self"]).json()["position"] for job in jobs] == list(range(100))
    followed = jobs[::10]
    heard = {}
    listeners = [
        threading.Thread(target=lambda job=job, n=n: heard.__setitem__((job["id"], n), follow(http, job)))
        for job in followed
        for n in (1, 2)
    ]
    for listener in listeners:
        listener.start()
    http.delete(first["links"]["self"])
    for listener in listeners:
        listener.join(PATIENCE * 4)
    states = [ended(http, job) for job in jobs]
    assert {state["state"] for state in states} == {"done"}
    runs = [state["report"]["runs"] for state in states]
    assert runs == sorted(runs), "first come, first served"
    for job in followed:
        one, two = heard[job["id"], 1], heard[job["id"], 2]
        assert one[-1][1] == "done"
        later = max(one[0][0], two[0][0])  # the one that came later heard the same from then on
        assert [e[0] for e in one if e[0] >= later] == [e[0] for e in two if e[0] >= later]
        numbers = [number for number, _, _ in one]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "nothing is missing in between"
        positions = [data["position"] for _, _, data in one if data["position"] is not None]
        assert positions == sorted(positions, reverse=True)
    gc.collect()
    assert [thing for thing in uploads_and_results() if id(thing) not in before] == []
    names = {path.name for path in settings.output_dir.iterdir()}
    assert names == {f"{state['report']['id']}.{kind}" for state in states for kind in ("glb", "npz")}


def test_cancelling_half_of_the_queue_frees_their_files_and_the_others_end(serve, settings):
    http = serve(queue_limit=100)
    first = submit(http, "nap:60")
    jobs = [submit(http, "litter" + " " * 100_000) for _ in range(40)]
    for job in jobs[::2]:
        assert http.delete(job["links"]["self"]).json()["state"] == "cancelled"
    gc.collect()
    alive = sum(isinstance(thing, Submission) for thing in gc.get_objects())
    assert alive <= 1 + 20, "the uploads of those that were cancelled are let go"
    http.delete(first["links"]["self"])
    states = [ended(http, job)["state"] for job in jobs]
    assert states == ["cancelled", "done"] * 20
    assert len(list(settings.output_dir.glob("*.glb"))) == 20
    assert [path for path in backend().workdir.path.rglob("*") if path.is_file()] == []


def test_the_log_tells_how_a_job_ended(serve, capfd):
    http = serve(log_format="json")
    job = http.post("/api/jobs", files=photo("nap:0"), headers={"x-request-id": "find-me"}).json()
    ended(http, job)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    (done,) = [line for line in lines if line["message"] == "job done"]
    assert (done["request_id"], done["job"], done["outcome"]) == ("find-me", job["id"], "done")
    assert done["reconstruct_seconds"] >= 0
