"""Scenes over HTTP: the answer, the objects by themselves, and what a failing object costs."""

import re

import httpx
import pytest

from sam3d_bento.export.glb.read import read_extras
from sam3d_bento.export.glb.scene import object_transforms, take_object
from tests.support import scene_runner
from tests.support.scene_runner import NAMES
from tests.support.waiting import until

SMALL = {"target_faces": "1000", "texture_size": "512"}
LOADER = "tests.support.scene_runner:load"


@pytest.fixture
def http(serve):
    return serve(LOADER, deadline_seconds=6)


def ask(http, *seeds, path="/api/inference/link", **data):
    return http.post(path, files=scene_runner.request(*seeds), data=SMALL | data)


def test_a_scene_is_a_file_with_an_object_for_each_mask(http):
    answer = ask(http, 1, 2, 3)
    assert answer.status_code == 200, answer.text
    report = answer.json()
    glb = http.get(f"/api/assets/{report['id']}.glb").content
    assert [name for name, _ in object_transforms(glb)] == list(NAMES)
    assert [each["seed"] for each in report["objects"]] == [1, 2, 3]
    for name, each in zip(NAMES, report["objects"], strict=True):
        assert each["url"].endswith(f"/api/assets/{report['id']}/objects/{name}.glb")
        part = http.get(httpx.URL(each["url"]).path)
        assert part.content == take_object(glb, name)
        assert part.headers["content-type"] == "model/gltf-binary"
        assert f'filename="{name}.glb"' in part.headers["content-disposition"]
    assert report["name"] == "table"
    assert http.get(f"/api/assets/{report['id']}.webp").status_code == 200
    for suffix in ("obj.zip", "stl", "ply", "usdz"):
        assert http.get(f"/api/assets/{report['id']}.{suffix}").status_code == 200
    order = {"texture_format": "jpeg", "target_faces": "1500"}
    anew = http.post(f"/api/assets/{report['id']}/export", data=order)
    assert anew.status_code == 200, anew.text
    assert read_extras(anew.content)["options"]["texture_format"] == "jpeg"
    assert http.post(f"/api/assets/{report['id']}/export", data={"height": "1"}).status_code == 400


def test_what_has_no_object_of_that_name_is_a_404(http):
    report = ask(http, 1, 2).json()
    for path in (f"{report['id']}/objects/plate.glb", f"{'0' * 32}/objects/cup.glb", "x/objects/cup.glb"):
        answer = http.get(f"/api/assets/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    (single,) = [files for name, files in scene_runner.request(1) if name == "image"]
    mask = next(files for name, files in scene_runner.request(1) if name == "masks")
    alone = http.post("/api/inference/link", files={"image": single, "mask": mask}, data=SMALL).json()
    answer = http.get(f"/api/assets/{alone['id']}/objects/object.glb")
    assert (answer.status_code, answer.json()["detail"]) == (404, "This result is a single object, not a scene.")


FAULTS = {
    scene_runner.NO_OBJECT: "no_object",
    scene_runner.BAD_RESULT: "bad_result",
    scene_runner.OUT_OF_MEMORY: "internal",
    scene_runner.POISON: "engine_lost",
    scene_runner.CRASH: "engine_lost",
    scene_runner.HANG: "deadline_exceeded",
}


def check(report, code):
    assert [each["problem"] and each["problem"]["code"] for each in report["objects"]] == [None, code, None]
    assert "objects_failed" in report["warnings"]
    assert "url" not in report["objects"][1]


@pytest.mark.faults
@pytest.mark.parametrize(("seed", "code"), FAULTS.items(), ids=FAULTS.values())
def test_an_object_that_fails_costs_only_itself(http, settings, seed, code):
    answer = ask(http, 1, seed, 3)
    assert answer.status_code == 200, answer.text
    report = answer.json()
    check(report, code)
    glb = http.get(f"/api/assets/{report['id']}.glb").content
    assert [name for name, _ in object_transforms(glb)] == ["cup", "plate"]
    until(lambda: http.get("/health").json()["status"] == "ready")
    anew = http.post(f"/api/assets/{report['id']}/export", data={"target_faces": "1500"})
    assert anew.status_code == 200, "the reconstructions of both are kept"
    assert not [path for path in settings.work_dir.rglob("*") if re.fullmatch("[0-9a-f]{32}", path.name)]


@pytest.mark.faults
def test_a_job_tells_the_state_of_each_object_and_an_engine_that_dies_costs_one(http):
    job = ask(http, 1, scene_runner.CRASH, 3, path="/api/jobs").json()
    seen, fractions = [], []
    while job["state"] in ("queued", "running"):
        job = http.get(f"/api/jobs/{job['id']}").json()
        seen.append([each["state"] for each in job["objects"]])
        fractions.append(job["fraction"])
    assert job["state"] == "done", job["problem"]
    check(job["report"], "engine_lost")
    # While a new engine starts, the second object stays where it was, whatever the polls saw of the first.
    assert any(states[1:] == ["running", "waiting"] for states in seen)
    assert job["objects"] == []


def test_if_all_objects_fail_the_first_error_is_the_answer(http):
    answer = ask(http, scene_runner.NO_OBJECT, scene_runner.BAD_RESULT)
    assert (answer.status_code, answer.json()["code"]) == (422, "no_object")


def test_a_second_lost_engine_ends_the_job(http):
    answer = ask(http, 1, scene_runner.POISON, scene_runner.POISON)
    assert (answer.status_code, answer.json()["code"]) == (503, "engine_lost")


def test_a_cancelled_scene_leaves_nothing(http, settings):
    job = ask(http, 1, scene_runner.NAP, 3, path="/api/jobs").json()

    def second_is_running():
        objects = http.get(f"/api/jobs/{job['id']}").json()["objects"]
        return objects and objects[1]["state"] == "running"

    until(second_is_running)
    http.delete(f"/api/jobs/{job['id']}")
    until(lambda: http.get(f"/api/jobs/{job['id']}").json()["state"] == "cancelled")
    assert list(settings.output_dir.glob("*")) == []
    assert [path for path in settings.work_dir.rglob("*") if path.is_file() and path.suffix in (".glb", ".npz")] == []


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ("[", "not JSON"),
        ('[{"mask": 7}]', "object 1"),
        ('[{"name": "cup", "mask": 0, "box": [1]}]', "object 1 ('cup')"),
    ],
)
def test_bad_input_names_the_object(http, objects, message):
    files = [each for each in scene_runner.request(1) if each[0] != "objects"]
    answer = http.post("/api/inference", files=files, data=SMALL | {"objects": objects})
    assert answer.status_code == 400
    assert message in answer.json()["detail"]


@pytest.mark.faults
def test_an_engine_that_hands_over_exports_the_objects_of_a_scene_itself(serve):
    http = serve("tests.support.scene_runner:load_split")
    report = ask(http, 1, 2, 3).json()
    assert [each["problem"] for each in report["objects"]] == [None] * 3
    single = [files for files in scene_runner.request(1) if files[0] == "image"]
    mask = next(files for name, files in scene_runner.request(1) if name == "masks")
    answer = http.post("/api/inference/link", files=[*single, ("mask", mask)], data=SMALL)
    assert answer.status_code == 200, answer.text
    lost = ask(http, 1, scene_runner.CRASH, 3)
    assert lost.status_code == 200, lost.text
    check(lost.json(), "engine_lost")
