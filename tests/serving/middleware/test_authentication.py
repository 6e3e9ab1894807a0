import pytest

from sam3d_bento.formats import FILE_TYPES
from sam3d_bento.serving.middleware.authentication import is_open
from sam3d_bento.serving.worker.state import WorkerState
from tests.support.fake_runner import photo

KEY = "the-key-of-the-tests-0123456789"
ID = "0" * 32


@pytest.fixture
def keys(tmp_path):
    path = tmp_path / "keys"
    path.write_text(f"# one\n{KEY}\n")
    return path


def test_without_a_file_of_keys_everybody_may(serve):
    assert serve().post("/api/inference", files=photo()).status_code == 200


def test_without_a_key_nothing_is_made_and_the_answer_says_how(serve, keys):
    http = serve(api_keys_file=keys)
    for method, path in (
        ("POST", "/api/inference"),
        ("POST", "/api/jobs"),
        ("POST", "/api/mask"),
        ("GET", "/api/options"),
        ("DELETE", f"/api/assets/{ID}.glb"),
        ("POST", f"/api/assets/{ID}/export"),
        ("POST", f"/api/assets/{ID}/keep"),
        ("DELETE", f"/api/assets/{ID}/keep"),
        ("DELETE", f"/api/jobs/{ID}"),
        ("GET", "/schema.json"),
        ("GET", "/nowhere"),
    ):
        answer = http.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), path
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"].startswith("Bearer ")
        assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_known_key_is_accepted(serve, keys):
    http = serve(api_keys_file=keys)
    for name, value in (("Authorization", f"Bearer {KEY}"), ("authorization", f"bearer  {KEY}"), ("X-API-Key", KEY)):
        assert http.post("/api/inference", files=photo(), headers={name: value}).status_code == 200, value


def test_unknown_key_is_refused(serve, keys):
    http = serve(api_keys_file=keys)
    for name, value in (
        ("Authorization", KEY),
        ("Authorization", f"Basic {KEY}"),
        ("X-API-Key", f"Bearer {KEY}"),
        ("X-API-Key", ""),
    ):
        assert http.post("/api/inference", files=photo(), headers={name: value}).status_code == 401, (name, value)
    assert http.post(f"/api/inference?api_key={KEY}", files=photo()).status_code == 401, "an address is logged anywhere"


def test_the_body_of_a_refused_request_is_not_read(serve, keys):
    answer = serve(api_keys_file=keys, max_upload_bytes=1000).post("/api/inference", content=bytes(5000))
    assert answer.status_code == 401
    assert answer.headers["connection"] == "close"


def test_links_work_without_a_key_and_deleting_does_not(serve, keys):
    http = serve(api_keys_file=keys)
    made = http.post("/api/jobs", files=photo(), headers={"X-API-Key": KEY}).json()
    with http.stream("GET", made["links"]["events"]) as stream:
        assert stream.status_code == 200
        assert "event: done" in list(stream.iter_lines())
    asset = http.get(made["links"]["self"]).json()["links"]["asset"]
    assert http.get(asset).content == b"glTFnap:0"
    assert http.head(asset).status_code == 200
    assert http.delete(asset).status_code == 401
    assert http.delete(asset, headers={"X-API-Key": KEY}).status_code == 204


def test_health_and_the_studio_are_open_and_metrics_as_it_is_set(serve, keys):
    http = serve(api_keys_file=keys)
    for path in ("/", "/studio/pages/main.js", "/health", "/livez", "/readyz", "/docs", "/docs.json", "/metrics"):
        assert http.get(path).status_code == 200, path
    closed = serve(api_keys_file=keys, metrics_need_key=True)
    assert closed.get("/metrics").status_code == 401
    assert closed.get("/metrics", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
    assert closed.get("/health").status_code == 200


@pytest.mark.parametrize("path", [f"/api/assets/{ID}", f"/m/{ID}", "/m/cut-off"])
def test_the_page_of_a_result_and_what_it_asks_for_are_open_to_read(path):
    assert is_open("GET", path, metrics=False)
    assert is_open("HEAD", path, metrics=False)
    assert not is_open("POST", path, metrics=False)
    assert not is_open("DELETE", path, metrics=False)


@pytest.mark.parametrize("suffix", [*(kind.suffix for kind in FILE_TYPES.values()), "webp"])
def test_every_file_that_a_link_names_is_open_to_read(suffix):
    path = f"/api/assets/{ID}.{suffix}"
    assert is_open("GET", path, metrics=False)
    assert is_open("HEAD", path, metrics=False)
    assert not is_open("DELETE", path, metrics=False)
    assert not is_open("POST", path, metrics=False)


@pytest.mark.parametrize(
    "path",
    [
        "/api/assets/short.glb",
        f"/api/assets/{ID}.npz",
        f"/api/assets/{ID}.kept",
        f"/api/assets/{ID}/keep",
        f"/m/{ID}/more",
        "/m/",
        f"/api/assets/{ID}.glb\n",
        f"/api/assets/{ID}.obj",
        f"/api/assets/{ID}.objxzip",
        f"/api/assets/{ID}/export",
        f"/api/assets/{ID}.glb/../../inference",
        f"/api/jobs/{ID}/events/more",
        "/studio",
        "/healthy",
        "//health",
        "/api/",
    ],
)
def test_path_that_resembles_an_open_route_needs_a_key(path):
    assert not is_open("GET", path, metrics=True)


def test_a_file_that_cannot_be_used_is_said_by_health_and_opens_nothing(serve, tmp_path):
    http = serve(wait_for=(WorkerState.FAILED,), api_keys_file=tmp_path / "nowhere")
    reason = http.get("/health").json()["reason"]
    assert reason.startswith("SAM3D_API_KEYS_FILE: ")
    assert http.get("/api/options").status_code == 401


def test_no_key_is_logged(serve, keys, capfd):
    http = serve(api_keys_file=keys, log_format="json")
    http.post("/api/inference", files=photo(), headers={"X-API-Key": KEY})
    http.post("/api/inference", files=photo(), headers={"Authorization": f"Bearer {KEY}x"})
    log = capfd.readouterr().err
    assert '"outcome": "unauthorized"' in log
    assert KEY not in log
