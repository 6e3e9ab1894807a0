"""Who gets in, and what gets out: a real server with keys, a bucket and an allowed origin."""

import io
import json
import socket
import threading
from pathlib import Path

import pytest
import trimesh
from click.testing import CliRunner

from sam3d_bento.cli.main import main
from sam3d_bento.serving.assets.folder import AssetFolder
from sam3d_bento.serving.worker.job import Job
from tests.support import processes, s3_server
from tests.support.waiting import until

pytestmark = pytest.mark.server

KEY = "planted-api-key-0123456789abcdef"
TOKEN = "planted-hugging-face-token"
ORIGIN = "https://app.example.com"
SMALL = {"target_faces": "1000", "texture_size": "512"}
RED = (220, 30, 30)


@pytest.fixture(scope="module")
def guarded(start_server, s3, tmp_path_factory):
    """A server with all credentials that there are, each in its file."""
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(f"{KEY}\n")
    server = start_server(
        api_keys_file=keys, metrics_need_key=True, cors_origins=ORIGIN, log_format="json", **s3.settings()
    )
    server.wait_until(200)
    return server


@pytest.fixture
def known(guarded):
    with guarded.client(headers={"Authorization": f"Bearer {KEY}"}) as client:
        yield client


def test_no_credential_is_in_any_process_its_arguments_or_its_log(guarded, known, disc):
    assert known.post("/api/inference", files={"image": disc(RED)}, data=SMALL).status_code == 200
    assert known.post("/api/mask", files={"image": disc(RED)}).status_code == 200
    pids = processes.tree(guarded.process.pid)
    assert len(pids) >= 4, "supervisor, service, engine, masks"
    for pid in pids:
        for name in ("environ", "cmdline"):
            content = Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")
            for secret in (KEY, s3_server.SECRET, s3_server.KEY_ID):
                assert secret not in content, (pid, name)
    log = guarded.log.read_text()
    assert KEY not in log
    assert s3_server.SECRET not in log


def test_the_engine_gets_no_credential_of_the_service_environment(start_server, monkeypatch):
    planted = {"HF_TOKEN": TOKEN, "AWS_SECRET_ACCESS_KEY": TOKEN, "RUNPOD_AI_API_KEY": TOKEN}
    for name, value in planted.items():
        monkeypatch.setenv(name, value)
    server = start_server()
    server.wait_until(200)
    engines = [
        Path(f"/proc/{pid}/environ").read_text()
        for pid in processes.tree(server.process.pid)
        if processes.ENGINE_PROGRAM in processes.command(pid)
    ]
    server.stop()
    assert len(engines) == 1
    assert TOKEN not in engines[0]


def test_a_door_is_closed_without_a_key_and_open_with_it(guarded, known, disc):
    with guarded.client() as stranger:
        refused = stranger.post("/api/inference", files={"image": disc(RED)}, data=SMALL)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert stranger.get("/metrics").status_code == 401
        assert stranger.get("/health").status_code == 200
        assert stranger.get("/").status_code == 200
    metrics = known.get("/metrics").text
    refusals = 'sam3d_requests_total{method="POST",outcome="unauthorized",route="/api/inference",status="401"}'
    assert refusals in metrics


def test_a_page_of_an_allowed_site_can_read_answers_and_errors(guarded, known):
    asked = {"Origin": ORIGIN}
    asks = asked | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    with guarded.client() as stranger:
        assert stranger.options("/api/inference", headers=asks).status_code == 200
        assert stranger.options("/api/inference", headers=asks | {"Origin": "https://evil.example"}).status_code == 400
        refused = stranger.get("/api/options", headers=asked)
    empty = known.post("/api/inference", headers=asked)
    for answer, status in ((refused, 401), (empty, 415), (known.get("/api/options", headers=asked), 200)):
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "Server-Timing" in answer.headers["access-control-expose-headers"]


def test_the_command_shows_the_key_of_its_file(guarded, disc, tmp_path, monkeypatch):
    (tmp_path / "ball.png").write_bytes(disc(RED))
    (tmp_path / "key").write_text(KEY)
    small = ["--target-faces", "1000", "--texture-size", "512"]
    arguments = ["generate", str(tmp_path / "ball.png"), "-o", str(tmp_path / "out"), "--server", guarded.url, *small]
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == 1
    assert "valid API key" in refused.output
    monkeypatch.setenv("SAM3D_API_KEY_FILE", str(tmp_path / "key"))
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert KEY not in done.output
    assert len(trimesh.load_mesh(io.BytesIO((tmp_path / "out" / "ball.glb").read_bytes()), file_type="glb").faces)


def test_no_address_in_any_field_is_fetched(guarded, known, disc):
    called = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def listen():
            while True:
                try:
                    called.append(listener.accept())
                except OSError:
                    return

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/photo.png"
        options = known.get("/api/options").json()["options"]
        linked = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="' + url.encode() + b'"/></svg>'
        sent = [
            *({"files": {name: (None, url)}} for name in ("image", "file", "mask", "url", "callback", *options)),
            {"files": {"image": disc(RED), "mask": (None, url)}},
            {"files": {"image": ("photo.png", url.encode(), "image/png")}},
            {"files": {"image": (url, linked, "image/svg+xml")}},
            {"content": linked, "headers": {"Content-Type": "image/svg+xml"}},
            {"content": url.encode(), "headers": {"Content-Type": "text/uri-list"}},
            {"json": {"image": url}},
            {"params": {"image": url}, "content": b"", "headers": {"Content-Type": "image/png"}},
            {"content": b"", "headers": {"Content-Type": "image/png", "Content-Location": url, "Referer": url}},
        ]
        for request in sent:
            for route in ("/api/inference", "/api/jobs", "/api/mask"):
                answer = known.post(route, **request)
                # 202: that the bytes are no photo turns out in the run, which ends before that of the next request
                assert 400 <= answer.status_code < 500 or answer.status_code == 202, (route, request)
        asset = known.post("/api/inference", files={"image": disc(RED)}, data=SMALL).headers["x-asset-id"]
        for order in ({"format": url}, {"format": "glb", "url": url}):
            assert known.post(f"/api/assets/{asset}/export", json=order).status_code == 400
        with socket.create_connection(listener.getsockname()):  # it does listen
            pass
        until(lambda: called)
    assert len(called) == 1


@pytest.mark.parametrize("what", ["asset", "job"])
def test_ids_cannot_be_guessed(what, tmp_path):
    """128 bits, each as often 1 as 0, and no two alike: of 4,000 ids a bit is set 2,000 ± 6 σ times."""
    store = AssetFolder(tmp_path, 60, 10**9)
    many = 4000
    if what == "asset":
        many = 400
        ids = [store._put(b"glTF", None) for _ in range(many)]
    else:
        ids = [Job(None, "", lambda job: None).id for _ in range(many)]
    assert {len(one) for one in ids} == {32}
    assert len(set(ids)) == many
    numbers = [int(one, 16) for one in ids]
    allowed = 6 * (many / 4) ** 0.5
    for bit in range(128):
        assert abs(sum(number >> bit & 1 for number in numbers) - many / 2) < allowed, bit


def test_a_line_of_the_log_is_json_and_says_who_was_refused(guarded):
    with guarded.client(headers={"X-Request-Id": "a-stranger"}) as stranger:
        stranger.get("/api/options")
    until(lambda: guarded.log_lines('"request done"', '"a-stranger"'))  # written after the answer
    lines = [json.loads(line) for line in guarded.log_lines('"a-stranger"')]
    assert [line["message"] for line in lines] == ["request start", "request done"]
    assert (lines[1]["status"], lines[1]["outcome"]) == (401, "unauthorized")


def test_the_bentoml_client_shows_a_key_as_its_token(guarded, coffee):
    import bentoml

    with bentoml.SyncHTTPClient(guarded.url, timeout=60, token=KEY) as client:
        result = client.inference(image=coffee, target_faces=1000, texture_size=512)
        assert Path(result).read_bytes().startswith(b"glTF")
    with (
        pytest.raises(bentoml.exceptions.BentoMLException, match=r"schema\.json"),
        bentoml.SyncHTTPClient(guarded.url) as client,
    ):
        client.inference(image=coffee)
