"""`bentoml.depends(Sam3D)` as somebody else's service has it, in real `bentoml serve` processes."""

import asyncio
import io
import os
import pickle
import signal

import bentoml
import httpx
import numpy as np
import pytest
import trimesh
from PIL import Image

from sam3d_bento import Sam3D
from tests.support import processes
from tests.support.places import PROJECT
from tests.support.snippets import snippets
from tests.support.waiting import PATIENCE, until

pytestmark = [pytest.mark.server, pytest.mark.package]

KEY_OF_NEAR, KEY_OF_FAR = "key-of-the-near-one-0123456789abcdef", "key-of-the-far-one-0123456789abcdef"
PICKLE = "application/vnd.bentoml+pickle"
TYPED = pytest.mark.parametrize("which", ["near", "far"])


@pytest.fixture(scope="module")
def far(start_server, tmp_path_factory):
    """The service that the other one names by its address. It asks for a key."""
    keys = tmp_path_factory.mktemp("far") / "keys"
    keys.write_text(f"{KEY_OF_FAR}\n")
    server = start_server(api_keys_file=keys, engine="preview")
    server.wait_until(200)
    return server


@pytest.fixture(scope="module")
def group(start_server, far, tmp_path_factory):
    """The process group of somebody's service and ours, which asks for a key that the other one does not have.

    BentoML's clients show the key in BENTO_CLOUD_API_KEY to all services.
    """
    keys = tmp_path_factory.mktemp("near") / "keys"
    keys.write_text(f"{KEY_OF_NEAR}\n")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SAM3D_TESTS_URL", far.url)
        environment.setenv("BENTO_CLOUD_API_KEY", KEY_OF_FAR)
        server = start_server("tests.support.composed_service:Caller", api_keys_file=keys, engine="preview")

    until(lambda: is_ready(server))
    return server


def is_ready(server):
    """Whether somebody's service and those it depends on take calls."""
    assert server.process.poll() is None, server.log.read_text()
    try:
        return httpx.get(f"{server.url}/readyz", timeout=PATIENCE).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def call(group, disc):
    """A factory of calls of the other service's methods with a photo; the response."""
    photo = disc((220, 30, 30))

    def post(method, **fields):
        with group.client() as client:
            return client.post(f"/{method}", files={"image": ("disc.png", photo, "image/png")}, data=fields)

    return post


@pytest.fixture(scope="module")
def socket(group):
    """The path of our service's socket in the group."""
    return httpx.post(f"{group.url}/socket_of_near", timeout=PATIENCE).text


def height_of(answer):
    """The height of a GLB in units of its width."""
    assert answer.status_code == 200, answer.text
    width, height, _ = trimesh.load_mesh(io.BytesIO(answer.content), file_type="glb").extents
    return height / width


@TYPED
@pytest.mark.parametrize(
    ("method", "masked", "kind"),
    # tests/serving/routes/test_api_methods.py has the other kinds
    [("make", False, "path"), ("make", True, "bytes"), ("make_sync", False, "image"), ("make_sync", True, "path"),
     ("make_async", False, "open file"), ("make_async", True, "new image")],
)  # fmt: skip
def test_a_photo_becomes_a_model_with_and_without_a_mask_from_sync_and_async_code(call, which, method, masked, kind):
    answer = call(method, which=which, masked=str(masked).lower(), kind=kind)
    assert height_of(answer) == pytest.approx(0.5 if masked else 1, abs=0.1)


@TYPED
def test_a_call_needs_no_options(call, which):
    assert height_of(call("make_plain", which=which)) == pytest.approx(1, abs=0.1)


def test_an_address_without_a_type_serves_as_well(call):
    assert height_of(call("make_untyped")) == pytest.approx(1, abs=0.1)


@TYPED
def test_a_report_is_a_dictionary(call, which):
    report = call("link", which=which).json()
    assert report["seed"] == 7
    assert report["url"].endswith(f"/api/assets/{report['id']}.glb")


@TYPED
def test_a_mask_is_a_png_file(call, which, disc):
    answer = call("mask", which=which)
    alpha = Image.open(io.BytesIO(disc((220, 30, 30)))).getchannel("A")
    found = Image.open(io.BytesIO(answer.content))
    assert np.array_equal(np.asarray(found) > 127, np.asarray(alpha) > 127)


@TYPED
def test_a_job_is_a_dictionary_that_can_be_followed(call, which):
    job = call("job", which=which).json()
    assert (job["state"], job["report"]["seed"]) == ("done", 7)


@TYPED
def test_a_refusal_says_which_field_is_wrong(call, which):
    said = call("refusal", which=which, faces="3").text
    assert said.startswith("400 ")
    assert "'target_faces': Input should be greater than or equal to 1000" in said


def test_an_address_asks_for_a_key_and_the_groups_socket_does_not(far, disc, socket):
    Sam3D.inject_config()  # where `depends` finds its timeout

    async def call_without_a_key():
        stranger = await bentoml.depends(Sam3D, url=far.url).get().__aenter__()  # as a service does when it starts
        for call in (stranger.inference, stranger.inference_link, stranger.mask, stranger.jobs):
            with pytest.raises(bentoml.exceptions.BentoMLException, match="API key is required") as refusal:
                await call(image=disc((30, 30, 220)))
            assert refusal.value.error_code.value == 401
        await stranger.close()

    asyncio.run(call_without_a_key())
    with httpx.Client(transport=httpx.HTTPTransport(uds=socket), timeout=PATIENCE) as member:
        answer = member.post("http://sam3d/api/mask", files={"image": disc((30, 30, 220))})
        assert answer.status_code == 200
        assert answer.content.startswith(b"\x89PNG")
    assert os.stat(os.path.dirname(socket)).st_mode & 0o777 == 0o700, "no other user reaches the socket"


class WritesAFile:
    """What a pickle of an attacker does."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("route", ["/api/inference", "/api/inference/link", "/api/mask", "/api/jobs"])
def test_no_pickle_is_ever_read(far, socket, tmp_path, route):
    """By its port our service is the main one, and BentoML refuses pickles; by the group's socket we refuse them."""
    trap = tmp_path / "written"
    content = pickle.dumps({"image": WritesAFile(trap)})
    headers = {"Content-Type": PICKLE, "Authorization": f"Bearer {KEY_OF_FAR}", "Buffer-Lengths": str(len(content))}
    with far.client() as by_port, httpx.Client(transport=httpx.HTTPTransport(uds=socket), timeout=PATIENCE) as by_file:
        for answer in (
            by_port.post(route, content=content, headers=headers),
            by_file.post(f"http://sam3d{route}", content=content, headers=headers),
        ):
            assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media")
    assert not trap.exists()
    with pytest.raises(FileExistsError):  # the trap works: this reads it twice
        [pickle.loads(content) for _ in range(2)]


def test_the_service_of_the_documentation(start_server, disc, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    (tmp_path / "catalogue.py").write_text(snippets()["docs/bentoml.md / Depend on it / 1"].text)
    server = start_server("catalogue:Catalogue", place=tmp_path, engine="preview")
    until(lambda: is_ready(server))
    photo = {"image": ("disc.png", disc((220, 30, 30)), "image/png")}
    with server.client() as client:
        assert int(client.post("/add", files=photo).text) > 1000
        masked = client.post("/add", files=photo | {"mask": ("mask.png", disc((255, 255, 255)), "image/png")})
        assert int(masked.text) > 1000
    server.stop()


def test_our_service_does_not_outlive_the_supervisor_of_its_group(group, socket):
    workers = {pid: processes.command(pid) for pid in processes.tree(group.process.pid)}
    ours = [
        below for pid, command in workers.items() if "--service-name sam3d" in command for below in processes.tree(pid)
    ]
    assert any(processes.ENGINE_PROGRAM in workers[pid] for pid in ours)
    others = set(workers) - set(ours)
    group.process.kill()
    until(lambda: not any(processes.alive(pid) for pid in ours))
    for pid in filter(processes.alive, others):  # how the other service ends is its own affair
        os.kill(pid, signal.SIGKILL)
