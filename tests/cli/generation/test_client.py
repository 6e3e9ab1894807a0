"""The client of the jobs API, against a server of the test's own that does what is hard to get from a real one."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sam3d_bento.cli.generation import client
from sam3d_bento.cli.generation.client import RemotePipeline
from sam3d_bento.cli.generation.progress import JobProgress
from sam3d_bento.errors import Busy, Cancelled, Internal, NotFound, TransferFailed
from sam3d_bento.options import Options
from sam3d_bento.submission import Submission

ASSET = "a" * 32
REPORT = {"id": ASSET, "engine": "fake", "seed": 7}


def job(state="running", stage="reconstruct", fraction=0.5, **changes):
    return {
        "id": "j1",
        "state": state,
        "stage": stage,
        "stage_fraction": fraction,
        "fraction": fraction / 2,
        "estimated_seconds": 3.0,
        "report": REPORT if state == "done" else None,
        "problem": None,
        **changes,
    }


class Service:
    """Answers as it is scripted: `streams`, one list of events for each time that the events are asked for."""

    def __init__(self):
        self.requests = []
        self.submitted = (202, job("queued", None, 0.0))
        self.streams = []
        self.lose_answers = 0
        service = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self, status, content, kind="application/json"):
                body = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.requests.append(("POST", self.path, dict(self.headers), body))
                if service.lose_answers:
                    service.lose_answers -= 1
                    self.close_connection = True
                else:
                    self.answer(*service.submitted)

            def do_DELETE(self):
                service.requests.append(("DELETE", self.path, dict(self.headers), b""))
                self.answer(200, job("cancelled"))

            def do_GET(self):
                service.requests.append(("GET", self.path, dict(self.headers), b""))
                if self.path.endswith(".glb"):
                    self.answer(200, b"glTF", "model/gltf-binary")
                elif self.path.endswith(".webp"):
                    self.answer(200, b"RIFF", "image/webp")
                elif self.path.endswith("/events") and service.streams:
                    self.stream(service.streams.pop(0))
                else:
                    self.answer(404, {"code": "not_found", "detail": "There is no such job."})

            def stream(self, events):
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for number, name, data in events:
                    text = f": still here\n\nid: {number}\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode()
                    self.wfile.write(f"{len(text):x}\r\n".encode() + text + b"\r\n")
                if events and events[-1][1] == "progress":  # cut: without the last chunk
                    self.close_connection = True
                else:
                    self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def asked(self, method, end):
        return [request for request in self.requests if request[0] == method and request[1].endswith(end)]


@pytest.fixture
def service(monkeypatch):
    monkeypatch.setattr(client, "RECONNECT_SECONDS", 0.01)
    service = Service()
    yield service
    service.server.shutdown()
    service.server.server_close()


def run(service, report=lambda moment: None, **options):
    with RemotePipeline(f"{service.url}/") as pipeline:
        return pipeline.run(Submission(b"photo", b"mask", Options(**options)), report)


def test_a_photo_goes_out_and_a_result_comes_back_with_progress_between(service):
    service.streams = [[(1, "progress", job()), (2, "progress", job(stage="export")), (3, "done", job("done", None))]]
    told = []
    asset = run(service, told.append, seed=5, name="стул")
    assert (asset.glb, asset.report) == (b"glTF", REPORT)
    assert told[:2] == [JobProgress("reconstruct", 0.25, 3.0), JobProgress("export", 0.25, 3.0)]
    ((_, _, headers, body),) = service.asked("POST", "/api/jobs")
    assert b"photo" in body
    assert b"mask" in body
    assert b'name="seed"' in body
    assert 'name="image"; filename="стул.photo"'.encode() in body, "an older service ignores a file name"
    assert b'name="name"' not in body
    assert b"quality" not in body, "an option at its default is not sent"
    assert headers["Idempotency-Key"]


def test_a_stream_that_is_cut_is_taken_up_where_it_was(service):
    service.streams = [[(4, "progress", job())], [(5, "done", job("done", None))]]
    assert run(service).glb == b"glTF"
    first, second = service.asked("GET", "/events")
    assert "Last-Event-ID" not in first[2]
    assert second[2]["Last-Event-ID"] == "4"


def test_an_answer_that_is_lost_on_its_way_is_asked_for_again_with_the_same_key(service):
    service.lose_answers = 1
    service.streams = [[(1, "done", job("done", None))]]
    assert run(service).glb == b"glTF"
    first, second = service.asked("POST", "/api/jobs")
    assert first[2]["Idempotency-Key"] == second[2]["Idempotency-Key"]


def test_a_job_that_fails_raises_its_own_error(service):
    problem = {"code": "busy", "detail": "Try again."}
    service.streams = [[(1, "failed", job("failed", None, problem=problem))]]
    with pytest.raises(Busy, match="Try again"):
        run(service)
    problem = {"code": "from_the_future", "detail": "Something new."}
    service.streams = [[(1, "failed", job("failed", None, problem=problem))]]
    with pytest.raises(Internal, match="Something new"):
        run(service)


def test_a_refusal_is_raised_at_once(service):
    service.submitted = (429, {"code": "busy", "detail": "All places are taken."})
    with pytest.raises(Busy, match="All places"):
        run(service)


def test_a_service_that_was_restarted_has_forgotten_the_job(service):
    service.streams = [[(1, "progress", job())]]
    with pytest.raises(NotFound, match="no such job"):
        run(service)


def test_cancelled_wait_cancels_the_job(service):
    service.streams = [[(1, "progress", job()), (2, "done", job("done", None))]]

    def stop(moment):
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        run(service, stop)
    assert service.asked("DELETE", "/api/jobs/j1")


def test_server_that_is_not_this_service_is_reported(service):
    service.submitted = (200, b"<html>")
    with pytest.raises(TransferFailed, match="not a sam3d-bento service"):
        run(service)
    service.submitted = (502, b"<html>")
    with pytest.raises(Internal, match="502"):
        run(service)
    with pytest.raises(TransferFailed, match="cannot be reached"), RemotePipeline("http://127.0.0.1:1") as pipeline:
        pipeline.run(Submission(b""), lambda moment: None)


def test_an_address_with_nothing_at_it_is_named(service):
    service.submitted = (404, {"code": "not_found", "detail": "There is nothing at this address."})
    with pytest.raises(NotFound, match=f"nothing at {service.url}/api/jobs. Is {service.url} the address"):
        run(service)


def test_a_picture_comes_too(service):
    with RemotePipeline(service.url) as pipeline:
        assert pipeline.file(ASSET, "webp") == b"RIFF"
