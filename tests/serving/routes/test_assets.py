"""What can be had of a finished result: pictures and other files, made by the real helper process."""

import asyncio
import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

import httpx
import numpy as np
import plyfile
import pytest
import trimesh
from PIL import Image

from sam3d_bento.export.conversion import WRITERS
from sam3d_bento.export.glb.read import read_document
from sam3d_bento.export.physics.robot_files import BODY_WRITERS
from sam3d_bento.export.splat_file import SPLAT_WRITERS
from sam3d_bento.formats import FILE_TYPES
from sam3d_bento.serving.openapi.schemas import Result
from sam3d_bento.serving.request_context import backend
from sam3d_bento.submission import ThumbnailSubmission
from tests.support import finished
from tests.support.waiting import PATIENCE


@pytest.fixture(scope="module")
def result():
    """GLB and reconstruction of a finished result."""
    dense = finished.reconstruction()
    file = io.BytesIO()
    arrays = {"vertices": dense.vertices, "faces": dense.faces, "colours": dense.colours}
    splats = {f"splat_{name}": value for name, value in vars(dense.splats).items()}
    np.savez(file, **arrays, **splats)
    return finished.glb(dense, finished.OPTIONS.model_copy(update={"name": "ведро 2", "height": 0.25})), file.getvalue()


def saved_as(answer):
    """The name under which a client saves the answer's file."""
    return unquote(answer.headers["content-disposition"].rpartition("UTF-8''")[2])


@pytest.fixture
def store(result, tmp_path):
    """Put the result into the running service's store; its path. kept: with its reconstruction."""

    def put(kept=True):
        (tmp_path / "scan.npz").write_bytes(result[1])
        scan = tmp_path / "scan.npz" if kept else None
        asset_id = asyncio.run(backend().assets.put(result[0], scan))
        return f"/api/assets/{asset_id}"

    return put


def mesh_of(content, kind):
    return trimesh.load_mesh(io.BytesIO(content), file_type=kind, process=False)


def test_a_thumbnail_is_drawn_once_and_lives_as_long_as_its_result(serve, store, settings):
    http = serve()
    path = store()
    first = http.get(f"{path}.webp")
    assert (first.status_code, first.headers["content-type"]) == (200, "image/webp"), first.text
    assert first.headers["content-disposition"].startswith("inline")
    assert Image.open(io.BytesIO(first.content)).size == (512, 512)
    worker = backend().postprocess_worker
    worker.stop()
    assert http.get(f"{path}.webp").content == first.content, "kept"
    assert http.get(f"{path}.webp", headers={"if-none-match": first.headers["etag"]}).status_code == 304
    assert len(list(settings.output_dir.iterdir())) == 3
    assert http.delete(f"{path}.glb").status_code == 204
    assert list(settings.output_dir.iterdir()) == []
    assert http.get(f"{path}.webp").json()["code"] == "not_found"


def test_an_unknown_result_has_no_picture_and_no_export(serve):
    http = serve()
    path = f"/api/assets/{'0' * 32}"
    assert http.get(f"{path}.webp").json()["code"] == "not_found"
    assert http.post(f"{path}/export", json={"format": "stl"}).json()["code"] == "not_found"
    assert http.put(f"{path}.webp").status_code == 405


def test_a_result_keeps_its_name_until_it_is_given_another(serve, store):
    http = serve()
    path = store()
    assert [saved_as(http.get(f"{path}.{suffix}")) for suffix in ("glb", "webp")] == ["ведро 2.glb", "ведро 2.webp"]
    for fields, name in (({}, "ведро 2"), ({"target_faces": 2000}, "ведро 2"), ({"name": "a/цебро"}, "цебро")):
        answer = http.post(f"{path}/export", json=fields)
        document = read_document(answer.content)
        assert saved_as(answer) == f"{name}.glb"
        assert document["asset"]["extras"]["name"] == name
        assert {document[part][0]["name"] for part in ("nodes", "meshes", "materials")} == {name}
    answer = http.post(f"{path}/export", json={"format": "obj", "name": "red #2"})
    assert answer.headers["content-disposition"] == 'attachment; filename="red #2.obj.zip"'
    assert sorted(zipfile.ZipFile(io.BytesIO(answer.content)).namelist()) == ["red_2.mtl", "red_2.obj", "red_2.png"]


@pytest.mark.parametrize("how", ["json", "data"])
def test_the_result_in_another_size_from_json_or_a_form(serve, store, how):
    http = serve()
    path = store()
    answer = http.post(f"{path}/export", **{how: {"format": "glb", "target_faces": 3000, "texture_size": 1024}})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "model/gltf-binary"
    mesh = mesh_of(answer.content, "glb")
    assert 1000 < len(mesh.faces) <= 3000
    assert mesh.visual.material.baseColorTexture.size == (1024, 1024)


def test_every_format_has_its_name_and_media_type(serve, store):
    http = serve()
    path = store()
    listed = http.get("/api/options").json()["export"]["formats"]
    assert set(listed) == {*WRITERS, *SPLAT_WRITERS, *BODY_WRITERS, "glb", "glb-lods", "web"}, (
        "those that have a writer"
    )
    for wanted, (media_type, suffix) in {
        "glb": ("model/gltf-binary", "glb"),
        "obj": ("application/zip", "obj.zip"),
        "stl": ("model/stl", "stl"),
        "ply": ("application/octet-stream", "ply"),
        "ply-splats": ("application/octet-stream", "splats.ply"),
        "splats-glb": ("model/gltf-binary", "splats.glb"),
        "glb-lods": ("application/zip", "lods.zip"),
        "usdz": ("model/vnd.usdz+zip", "usdz"),
        "urdf": ("application/zip", "urdf.zip"),
        "mjcf": ("application/zip", "mjcf.zip"),
        "3mf": ("model/3mf", "3mf"),
    }.items():
        answer = http.post(f"{path}/export", json={"format": wanted})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == media_type
        assert answer.headers["content-disposition"].startswith("attachment; ")
        assert saved_as(answer) == f"ведро 2.{suffix}"
        if wanted == "ply":
            assert len(plyfile.PlyData.read(io.BytesIO(answer.content))["vertex"]) > 400
        elif suffix.endswith("z") or suffix.endswith("zip"):
            assert zipfile.ZipFile(io.BytesIO(answer.content)).testzip() is None
        assert (listed[wanted]["media_type"], listed[wanted]["suffix"]) == (media_type, suffix)


def test_a_mistake_is_named(serve, store):
    http = serve()
    result = store()
    for body, status, said in (
        ({"json": {"format": "fbx"}}, 400, "'format'"),
        ({"json": {"target_faces": 999}}, 400, "target_faces"),
        ({"json": {"target_faces": "5000"}}, 400, "target_faces"),
        ({"json": {"seed": 5}}, 400, "'seed'"),
        ({"json": [1]}, 400, "object"),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400, "JSON"),
        ({"data": {"texture_size": "100"}}, 400, "texture_size"),
        ({"content": b"x", "headers": {"content-type": "text/plain"}}, 415, "form"),
        ({"files": {"image": b"x"}}, 400, "'image'"),
    ):
        answer = http.post(f"{result}/export", **body)
        assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.text


def test_without_usd_the_extra_is_named(serve, store, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    http = serve()
    answer = http.post(f"{store()}/export", json={"format": "usdz"})
    assert (answer.status_code, "usd-core" in answer.json()["detail"]) == (415, True)
    assert "usdz" not in http.get("/api/options").json()["export"]["formats"]


def test_without_its_reconstruction_a_result_says_so(serve, store):
    http = serve()
    path = store(kept=False)
    assert http.post(f"{path}/export", json={"format": "stl"}).status_code == 200
    refused = http.post(f"{path}/export", json={"format": "stl", "target_faces": 3000})
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    assert "not kept" in refused.json()["detail"]


def test_a_packed_result_is_drawn_and_had_in_every_format_without_its_reconstruction(serve):
    http = serve()
    glb = finished.glb(options=finished.OPTIONS.model_copy(update={"compress": True, "texture_format": "webp"}))
    path = f"/api/assets/{asyncio.run(backend().assets.put(glb))}"
    assert http.get(f"{path}.webp").headers["content-type"] == "image/webp"
    for wanted in WRITERS:
        answer = http.post(f"{path}/export", json={"format": wanted})
        assert (answer.status_code, answer.headers["content-type"]) == (200, FILE_TYPES[wanted].media_type), answer.text
    plain = http.post(f"{path}/export", json={"format": "glb", "compress": False, "texture_format": "png"})
    assert len(mesh_of(plain.content, "glb").faces) > 500


def test_reconstructions_are_kept_unless_a_setting_says_no(serve, settings):
    photo = {"image": ("photo.png", b"nap:0", "image/png")}
    http = serve()
    kept = http.post("/api/inference", files=photo).headers["x-asset-id"]
    assert (settings.output_dir / f"{kept}.npz").read_bytes() == b"reconstruction of nap:0"
    http = serve(keep_reconstructions=False)
    bare = http.post("/api/inference", files=photo).headers["x-asset-id"]
    assert {path.name for path in settings.output_dir.iterdir() if bare in path.name} == {f"{bare}.glb"}


def test_an_export_leaves_nothing_behind(serve, store, settings):
    http = serve()
    path = store()
    before = {file.name for file in settings.output_dir.iterdir()}
    for wanted in ("usdz", "obj"):
        assert http.post(f"{path}/export", json={"format": wanted}).status_code == 200
    assert {file.name for file in settings.output_dir.iterdir()} == before
    assert [file for file in backend().workdir.path.rglob("*") if file.is_file()] == []


def test_an_export_does_not_wait_for_a_reconstruction(serve, store):
    http = serve()
    path = store()
    running = http.post("/api/jobs", files={"image": ("p.png", b"nap:60", "image/png")}).json()
    assert http.post(f"{path}/export", json={"format": "stl"}).status_code == 200
    assert http.get(running["links"]["self"]).json()["state"] in ("queued", "running")
    http.delete(running["links"]["self"])


def test_a_bucket_keeps_and_serves_all_of_a_result(serve, store, s3, settings):
    http = serve(**s3.settings())
    path = store()
    name = path.rsplit("/")[-1]
    picture = http.get(f"{path}.webp", follow_redirects=False)
    assert picture.status_code == 307, picture.text
    fetched = httpx.get(picture.headers["location"])
    assert (fetched.headers["content-type"], fetched.content[8:12]) == ("image/webp", b"WEBP")
    assert {f"{name}.glb", f"{name}.npz", f"{name}.webp"} <= s3.names()
    for suffix in LINKED:
        assert http.head(f"{path}.{suffix}", follow_redirects=False).status_code == 200
        linked = http.get(f"{path}.{suffix}", follow_redirects=False)
        assert linked.status_code == 307, linked.text
        fetched = httpx.get(linked.headers["location"])
        assert (fetched.status_code, fetched.headers["content-type"]) == (200, LINKED[suffix].media_type)
        assert http.head(f"{path}.{suffix}", follow_redirects=False).status_code == 307
    answer = http.post(f"{path}/export", json={"format": "glb", "target_faces": 3000})
    assert len(mesh_of(answer.content, "glb").faces) > 1000
    assert http.delete(f"{path}.glb").status_code == 204
    assert not {other for other in s3.names() if name in other}
    assert [file for file in backend().workdir.path.rglob("*") if file.is_file()] == []


LINKED = {kind.suffix: kind for name, kind in FILE_TYPES.items() if name != "glb"}


def test_every_format_has_a_link_that_is_made_once_and_lives_as_long_as_its_result(serve, store, settings):
    """What it gives is what an export of this format gives."""
    http = serve()
    path = store()
    name = path.rsplit("/")[-1]
    made = {}
    for suffix, kind in LINKED.items():
        before = {file.name for file in settings.output_dir.iterdir()}
        head = http.head(f"{path}.{suffix}")
        assert (head.status_code, head.headers["content-type"]) == (200, kind.media_type)
        assert "content-length" not in head.headers, "nobody knows it yet"
        assert {file.name for file in settings.output_dir.iterdir()} == before, "HEAD makes nothing"
        made[suffix] = first = http.get(f"{path}.{suffix}")
        assert (first.status_code, first.headers["content-type"]) == (200, kind.media_type), first.text
        shown = "inline" if suffix == "usdz" else "attachment"
        assert first.headers["content-disposition"].startswith(f"{shown}; ")
        assert {saved_as(answer) for answer in (head, first)} == {f"ведро 2.{suffix}"}
        assert first.headers["cache-control"].startswith("private, max-age=")
        assert {file.name for file in settings.output_dir.iterdir()} == before | {f"{name}.{suffix}"}
    for wanted in ("obj", "stl", "ply"):
        exported = http.post(f"{path}/export", json={"format": wanted})
        assert made[FILE_TYPES[wanted].suffix].content == exported.content, wanted
    backend().postprocess_worker.stop()
    for suffix, first in made.items():
        assert http.get(f"{path}.{suffix}").content == first.content, "kept"
        assert http.get(f"{path}.{suffix}", headers={"range": "bytes=0-3"}).content == first.content[:4]
        assert http.get(f"{path}.{suffix}", headers={"if-none-match": first.headers["etag"]}).status_code == 304
        assert http.head(f"{path}.{suffix}").headers["content-length"] == str(len(first.content))
        assert http.delete(f"{path}.{suffix}").status_code == 405
    assert http.delete(f"{path}.glb").status_code == 204
    assert list(settings.output_dir.iterdir()) == []
    for suffix in LINKED:
        for method in (http.get, http.head):
            assert method(f"{path}.{suffix}").status_code == 404


def test_collision_shapes_are_in_the_glb_that_asks_for_them(serve, store):
    http = serve()
    path = store()
    answer = http.post(f"{path}/export", json={"format": "glb", "collision": "hull"})
    assert answer.status_code == 200, answer.text
    names = [node["name"] for node in read_document(answer.content)["nodes"]]
    assert names == ["ведро 2", "UCX_ведро 2_00"]
    assert len(read_document(http.get(f"{path}.glb").content)["nodes"]) == 1, "the result stays as it is"
    for body in ({"collision": "sphere"}, {"density": 1000}):
        assert http.post(f"{path}/export", json={"format": "glb", **body}).status_code == 400


def test_a_body_of_no_size_is_a_422_that_says_how_to_give_one(serve, store):
    http = serve()
    path = store()
    for wanted in BODY_WRITERS:
        refused = http.post(f"{path}/export", json={"format": wanted, "scale": "unit"})
        assert (refused.status_code, refused.json()["code"]) == (422, "no_scale")
        assert "'height'" in refused.json()["detail"]


def test_a_link_needs_no_reconstruction_but_for_gaussians_and_levels(serve, store):
    http = serve()
    path = store(kept=False)
    for suffix in LINKED:
        answers = [http.head(f"{path}.{suffix}"), http.get(f"{path}.{suffix}")]
        status = 404 if LINKED[suffix].from_reconstruction else 200
        assert [answer.status_code for answer in answers] == [status, status], suffix
    for suffix in ("splats.ply", "splats.glb", "lods.zip"):
        assert "not kept" in http.get(f"{path}.{suffix}").json()["detail"]


def test_who_asks_at_once_waits_for_the_one_that_makes_it(serve, store, capfd):
    """Of eight requests for three files of a result none is refused by a queue of two, and each file is made once."""
    http = serve(log_format="json")
    path = store()
    suffixes = ["stl", "stl", "stl", "usdz", "usdz", "usdz", "ply", "ply"]
    with ThreadPoolExecutor(len(suffixes)) as pool:
        answers = list(pool.map(lambda suffix: http.get(f"{path}.{suffix}"), suffixes))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 3
    lines = [line for line in capfd.readouterr().err.splitlines() if "postprocess start" in line]
    assert len(lines) == 3


def test_a_full_queue_is_a_429_at_once_and_the_link_works_later(serve, store, settings):
    http = serve()
    path, other = store(), store()
    asyncio.run(backend().assets.add(other.rsplit("/")[-1], "stl", b"kept"))
    order = ThumbnailSubmission(settings.output_dir / f"{path.rsplit('/')[-1]}.glb")
    # They wait while the process loads, which takes a second or more.
    jobs = [backend().postprocess_worker.submit(order, "a picture") for _ in range(settings.queue_limit + 1)]
    refused = http.get(f"{path}.stl")
    assert (refused.status_code, refused.json()["code"]) == (429, "busy")
    assert int(refused.headers["retry-after"]) >= 1
    assert http.get(f"{other}.stl").content == b"kept", "what is there needs no queue"
    assert http.head(f"{path}.stl").status_code == 200
    for job in jobs:
        job.future.result(PATIENCE)
    assert http.get(f"{path}.stl").status_code == 200


def test_without_usd_its_link_names_the_extra(serve, store, monkeypatch):
    http = serve()
    path = store()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    answer = http.get(f"{path}.usdz")
    assert (answer.status_code, "usd-core" in answer.json()["detail"]) == (415, True)


def test_a_file_that_finds_no_room_is_handed_out_all_the_same(serve, store, settings, result):
    """It costs no result its place."""
    room = len(result[0]) + len(result[1]) + 10
    http = serve(output_max_bytes=room)
    path = store()
    before = {file.name for file in settings.output_dir.iterdir()}
    answer = http.get(f"{path}.stl")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert len(mesh_of(answer.content, "stl").faces) > 500
    assert {file.name for file in settings.output_dir.iterdir()} == before


def test_options_of_a_format_are_offered_and_taken_with_it_alone(serve, store):
    http = serve()
    path = store()
    listed = http.get("/api/options").json()["export"]["formats"]
    assert {name: list(kind["options"]) for name, kind in listed.items()} == {
        name: list(kind.options) for name, kind in FILE_TYPES.items()
    }
    assert listed["stl"]["options"]["up"]["default"] == "z"
    upright, lying = (
        mesh_of(http.post(f"{path}/export", json={"format": "stl", "up": up, "longest_side": 0.05}).content, "stl")
        for up in ("z", "y")
    )
    assert upright.extents.max() == pytest.approx(50, rel=1e-5)
    assert np.allclose(
        upright.vertices, np.stack([lying.vertices[:, 0], -lying.vertices[:, 2], lying.vertices[:, 1]], 1)
    )
    refused = http.post(f"{path}/export", data={"format": "glb", "up": "z"})
    assert (refused.status_code, "'up'" in refused.json()["detail"]) == (400, True)


def test_the_log_tells_what_was_exported(serve, store, capfd):
    http = serve(log_format="json")
    path = store()
    http.post(f"{path}/export", json={"format": "stl"}, headers={"x-request-id": "find-me"})
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    (done,) = [line for line in lines if line["message"] == "request done" and line["request_id"] == "find-me"]
    assert (done["format"], done["outcome"]) == ("stl", "done")


def test_a_result_says_what_there_is_of_it_and_until_when(serve, store, settings):
    http = serve()
    path = store()
    found = http.get(path).json()
    assert set(found) == set(Result.model_fields), "as the description of the API has it"
    Result.model_validate(found, strict=True)
    assert found["name"] == "ведро 2"
    assert found["page"].endswith(f"/m/{found['id']}")
    assert 0 < found["expires_in_seconds"] <= settings.output_ttl_seconds
    assert (found["kept"], found["keepable"], found["exportable"]) == (False, False, True)
    assert set(found["files"]) == {name for name, kind in FILE_TYPES.items() if not kind.of_splats}
    for name, file in found["files"].items():
        answer = http.get(file["url"])
        assert (answer.status_code, answer.headers["content-type"]) == (200, file["media_type"]), name
        assert file["bytes"] in (None, len(answer.content))
    again = http.get(path).json()["files"]
    assert all(file["bytes"] is not None for file in again.values()), "each was made"
    assert http.get(f"/api/assets/{'0' * 32}").json()["code"] == "not_found"


def test_a_kept_result_does_not_expire_until_that_is_ended_or_it_is_deleted(serve, store):
    http = serve(keep_max_bytes=10_000_000)
    path = store()
    kept = http.post(f"{path}/keep")
    assert kept.status_code == 200, kept.text
    assert (kept.json()["kept"], kept.json()["expires_in_seconds"]) == (True, None)
    assert http.get(path).json() == kept.json()
    assert http.delete(f"{path}/keep").status_code == 204
    assert http.get(path).json()["kept"] is False
    http.post(f"{path}/keep")
    assert http.delete(f"{path}.glb").status_code == 204
    for answer in (http.get(path), http.post(f"{path}/keep"), http.delete(f"{path}/keep")):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("changes", "status", "code", "words"),
    [({}, 404, "not_found", "SAM3D_KEEP_MAX_BYTES"), ({"keep_max_bytes": 1000}, 409, "no_room_to_keep", "Delete one")],
)
def test_what_cannot_be_kept_is_refused_with_the_next_step(serve, store, changes, status, code, words):
    http = serve(**changes)
    refused = http.post(f"{store()}/keep")
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert words in refused.json()["detail"]
