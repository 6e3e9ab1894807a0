"""The verdicts: over a real service with the preview engine, and over one that breaks its promises."""

import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner
from PIL import Image

from sam3d_bento.cli import validate
from sam3d_bento.cli.main import main
from sam3d_bento.cli.validate import Verdict
from tests.support import finished

ASSET = "a" * 32
HEALTH = {
    "status": "ready",
    "engine": "sam3d",
    "engine_version": "sam3d-objects/1",
    "device": "cuda:0",
    "engine_facts": {"memory_profile": "16gb"},
    "gpu_memory": {"name": "A card", "used_bytes": 9 * 10**9, "total_bytes": 16 * 10**9},
}


class Service:
    """Answers as the attributes say."""

    def __init__(self):
        self.health = (200, HEALTH)
        self.result = (200, finished.glb())
        self.metrics = "# TYPE sam3d_gpu_memory_peak_bytes gauge\nsam3d_gpu_memory_peak_bytes 7e9\n"
        self.deletes = True
        self.sent = []
        self.there = False
        service = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self, status, content):
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("X-Asset-Id", ASSET)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            def do_POST(self):
                service.sent.append(self.rfile.read(int(self.headers["Content-Length"])))
                service.there = True
                self.answer(*service.result)

            def do_DELETE(self):
                service.there = not service.deletes
                self.answer(204, b"")

            def do_HEAD(self):
                self.answer(200 if service.there else 404, b"")

            def do_GET(self):
                if self.path == "/health":
                    status, report = service.health
                    self.answer(status, json.dumps(report).encode())
                else:
                    self.answer(200, service.metrics.encode())

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def verdicts(self, requests=1):
        lines = validate.validate(self.url, requests, on_message=lambda said: None)
        return {line.promise: (line.verdict, line.said) for line in lines}


@pytest.fixture
def service(monkeypatch):
    monkeypatch.setattr(validate, "POLL_SECONDS", 0.001)
    service = Service()
    yield service
    service.server.shutdown()
    service.server.server_close()


def test_a_service_that_keeps_its_promises_passes_in_every_line(service):
    verdicts = service.verdicts(requests=3)
    assert {verdict for verdict, _ in verdicts.values()} == {Verdict.PASS}
    assert len(service.sent) == 3
    assert "3 of 3" in verdicts["mesh"][1]
    assert "profile 16gb is for 16 GB" in verdicts["gpu memory"][1]


def test_the_photo_is_1024_pixels_wide():
    with Image.open(io.BytesIO(validate.photo())) as photo:
        assert max(photo.size) == 1024


@pytest.mark.slow
@pytest.mark.parametrize(
    ("glb", "fails"),
    [(b"glTF but no more", {"mesh", "texture"}), (b"", {"mesh", "texture"})],
)
def test_a_file_that_is_no_model_fails(service, glb, fails):
    service.result = (200, glb)
    verdicts = service.verdicts()
    assert {promise for promise, (verdict, _) in verdicts.items() if verdict is Verdict.FAIL} == fails
    assert "trimesh cannot read it" in verdicts["mesh"][1]


def test_a_mesh_without_a_texture_fails_only_there(service):
    import trimesh

    service.result = (200, trimesh.creation.box().export(file_type="glb"))
    verdicts = service.verdicts()
    assert verdicts["mesh"][0] is Verdict.PASS
    assert verdicts["texture"][0] is Verdict.FAIL


def test_a_refusal_is_told_in_its_own_words(service):
    service.result = (503, json.dumps({"detail": "The GPU's memory did not suffice."}).encode())
    verdicts = service.verdicts(requests=2)
    assert verdicts["answered"] == (
        Verdict.FAIL,
        "0 of 2: 200 to a photo of 1024 px; first: The GPU's memory did not suffice.",
    )
    assert verdicts["seconds"][0] is Verdict.FAIL


def test_too_much_gpu_memory_fails_by_either_measure(service):
    service.metrics = "# TYPE sam3d_gpu_memory_peak_bytes gauge\nsam3d_gpu_memory_peak_bytes 1.7e10\n"
    assert service.verdicts()["gpu memory"][0] is Verdict.FAIL
    service.metrics = ""
    memory = HEALTH["gpu_memory"] | {"used_bytes": 17 * 10**9}
    service.health = (200, HEALTH | {"gpu_memory": memory})
    assert service.verdicts(requests=5)["gpu memory"][0] is Verdict.FAIL


def test_a_result_that_is_still_served_after_its_deletion_fails(service):
    service.deletes = False
    assert service.verdicts()["leftovers"][0] is Verdict.FAIL


def test_a_service_that_failed_to_load_ends_it_with_the_reason(service):
    service.health = (503, {"status": "failed", "reason": "The weights are missing."})
    assert service.verdicts() == {"ready": (Verdict.FAIL, "The weights are missing.")}


def test_slow_answers_fail(service, monkeypatch):
    monkeypatch.setattr(validate, "MAX_SECONDS", 0.0)
    assert service.verdicts()["seconds"][0] is Verdict.FAIL


def test_a_percentile_is_the_nearest_rank():
    values = [float(n) for n in range(1, 21)]
    assert validate.percentile(values, 0.95) == 19
    assert validate.percentile(values, 0.5) == 10
    assert validate.percentile([3.0], 0.95) == 3


@pytest.mark.server
def test_the_preview_engine_passes_with_its_memory_not_measured(mask_model, monkeypatch):
    monkeypatch.setenv("SAM3D_ENGINE", "preview")
    done = CliRunner().invoke(main, ["validate", "--requests", "2"])
    assert done.exit_code == 0, done.output
    verdicts = {line[13:25].strip(): line[:13].strip() for line in done.stdout.splitlines()}
    passing = ("ready", "answered", "mesh", "texture", "seconds", "leftovers")
    assert verdicts == dict.fromkeys(passing, "PASS") | {"gpu memory": "NOT MEASURED"}


@pytest.mark.server
def test_a_service_that_cannot_run_fails(monkeypatch, tmp_path):
    monkeypatch.setenv("SAM3D_ENGINE", "sam3d")
    monkeypatch.setenv("SAM3D_CHECKPOINT_DIR", str(tmp_path))
    done = CliRunner().invoke(main, ["validate", "--requests", "1"])
    assert done.exit_code == 1
    assert done.stdout.startswith("FAIL          ready ")


def test_a_service_that_is_not_there_fails():
    done = CliRunner().invoke(main, ["validate", "--server", "http://127.0.0.1:9"])
    assert done.exit_code == 1
    assert "cannot be reached" in done.stdout
