"""The log of a real server as JSON: every line, and one id from the request to the engine process and back."""

import json

import pytest

pytestmark = pytest.mark.server

SMALL = {"target_faces": "1000", "texture_size": "512"}
# Name of a result, which no line may hold: it may be the name of a person.
CANARY = "portrait of somebody"
STAGES = ["decode", "mask", "reconstruct", "export"]


@pytest.fixture(scope="module")
def spoken(start_server, disc):
    """The lines of a server that was started, used well and badly, and stopped."""
    server = start_server(log_format="json", engine="auto", queu_limit="8")
    server.wait_until(200)
    with server.client() as client:
        photo = {"image": disc((220, 30, 30))}
        headers = {"X-Request-Id": "the-id-of-this-test"}
        assert client.post("/api/inference", files=photo, data=SMALL, headers=headers).status_code == 200
        job = client.post("/api/jobs", files=photo, data=SMALL, headers={"X-Request-Id": "a-job"}).json()
        with client.stream("GET", job["links"]["events"]) as events:
            assert "event: done" in list(events.iter_lines())
        assert client.post("/api/mask", files=photo, headers={"X-Request-Id": "a-mask"}).status_code == 200
        named = {"image": (f"{CANARY}.png", photo["image"])}
        made = client.post("/api/inference", files=named, data=SMALL)
        assert made.headers["content-disposition"] == f'attachment; filename="{CANARY}.glb"'
        path = made.headers["link"].split(">")[0].split("/", 3)[-1].removesuffix(".glb")
        for suffix in ("glb", "obj.zip", "webp"):
            assert CANARY in client.get(f"/{path}.{suffix}").headers["content-disposition"]
        client.post(f"/{path}/export", data={"format": "stl", "name": CANARY}).raise_for_status()
        client.post("/api/jobs", files=photo, data=SMALL | {"name": CANARY}, headers={"X-Request-Id": "named"})
        client.post("/api/inference", files={"image": (f"{CANARY}.png", b"no photo")}, params={"name": f"{CANARY}?"})
        assert client.get("/metrics").text.count(CANARY) == 0
        client.post("/api/inference", files={"image": b"no photo"})
        client.get("/nowhere")
    server.stop()
    return server.log.read_text().splitlines()


def test_every_line_is_one_object(spoken):
    lines = [json.loads(line) for line in spoken]
    for line in lines:
        assert {"time", "level", "logger", "message"} <= set(line), line
    assert any(line["logger"].startswith("bentoml") for line in lines), "BentoML's own lines too"
    (unknown,) = [line for line in lines if line["message"] == "unknown setting"]
    assert (unknown["name"], unknown["did_you_mean"]) == ("SAM3D_QUEU_LIMIT", "SAM3D_QUEUE_LIMIT")


def test_no_line_has_the_name_of_a_result(spoken):
    assert not [line for line in spoken if CANARY in line or CANARY.replace(" ", "%20") in line]


@pytest.mark.parametrize(
    ("identity", "end", "process"),
    [("the-id-of-this-test", "request done", "engine"), ("a-job", "job done", "engine")],
)
def test_one_id_leads_from_the_request_through_the_stages_to_the_end(spoken, identity, end, process):
    lines = [line for line in map(json.loads, spoken) if line.get("request_id") == identity]
    messages = [line["message"] for line in lines]
    assert messages[0] == "request start"
    assert messages.count(end) == 1
    assert messages.index("request start") < messages.index(f"{process} start")
    stages = [line for line in lines if line["message"] == "stage done"]
    assert [line["stage"] for line in stages] == STAGES
    assert {line["logger"] for line in stages} == {"sam3d_bento.engine_process"}
    assert len({line["job"] for line in lines if "job" in line}) == 1
    done = next(line for line in lines if line["message"] == end)
    assert done["outcome"] == "done"
    for line in stages:
        assert line["seconds"] == pytest.approx(done[f"{line['stage']}_seconds"], abs=0.05)


def test_a_mask_has_its_id_too(spoken):
    lines = [line for line in map(json.loads, spoken) if line.get("request_id") == "a-mask"]
    assert [line["stage"] for line in lines if line["message"] == "stage done"] == ["decode", "mask"]
