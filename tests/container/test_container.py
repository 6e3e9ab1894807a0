"""The service in its container: no network, no rights, a read-only root; the main job, the links, the end."""

import io
import json
import threading

import pytest
import trimesh

pytestmark = pytest.mark.container

READY_SECONDS = 120

POST = """
import sys, httpx
options = dict(item.split("=") for item in sys.argv[1:])
files = {"image": sys.stdin.buffer.read()}
answer = httpx.post("http://127.0.0.1:8000/api/inference", files=files, data=options, timeout=200)
sys.stderr.write(f"{answer.status_code} {answer.headers.get('link', '')}")
sys.stdout.buffer.write(answer.content)
"""

GET = """
import sys, httpx
answer = httpx.get("http://127.0.0.1:8000" + sys.argv[1], timeout=30)
sys.stderr.write(str(answer.status_code))
sys.stdout.buffer.write(answer.content)
"""


@pytest.fixture
def running(start):
    container = start()
    container.wait_until_ready(READY_SECONDS)
    return container


def test_the_main_job_without_any_network(running, coffee):
    interfaces = running.inside("sed -n 's/^ *\\([^ ]*\\):.*/\\1/p' /proc/net/dev").stdout.split()
    assert interfaces == ["lo"]
    answer = running.python(POST, "seed=7", input=coffee)
    assert answer.stderr.startswith(b"200"), answer.stderr + answer.stdout[:500]
    (mesh,) = trimesh.load(io.BytesIO(answer.stdout), file_type="glb").geometry.values()
    assert len(mesh.faces) > 1000
    assert mesh.visual.material.baseColorTexture is not None
    link = answer.stderr.decode().split("<")[1].split(">")[0]
    again = running.python(GET, "/" + link.split("/", 3)[3])
    assert again.stderr == b"200"
    assert again.stdout == answer.stdout


def test_it_runs_as_a_user_without_rights_who_can_write_in_two_places_only(running):
    status = running.inside("cat /proc/1/status").stdout
    fields = dict(line.split(":", 1) for line in status.splitlines())
    assert fields["Uid"].split() == ["1034"] * 4
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"].strip() == "1"
    for place, can in {"/": False, "/home/bentoml": False, "/app": False, "/app/checkpoints/hf": False}.items():
        assert (running.inside(f"touch {place}/probe").returncode == 0) is can, place
    for place in ("/tmp", "/app/outputs"):
        assert running.inside(f"touch {place}/probe && rm {place}/probe").returncode == 0, place


def test_the_image_checks_its_health_itself(images, service, running):
    kind, *command = images.config(service)["Healthcheck"]["Test"]
    assert kind == "CMD"
    quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in command)
    done = running.inside(quoted)
    assert done.returncode == 0, done.stderr


def test_its_commands_are_at_hand_in_it(running):
    done = running.inside("sam3d-bento weights verify --set mask")
    assert done.returncode == 0, done.stderr


def test_sigterm_lets_the_run_finish_and_leaves_nothing_short_lived(start, coffee):
    container = start()
    container.wait_until_ready(READY_SECONDS)
    answers = []
    sender = threading.Thread(target=lambda: answers.append(container.python(POST, input=coffee)))
    sender.start()
    while json.loads(container.python(GET, "/health").stdout)["queue"]["running"] == 0:
        assert sender.is_alive(), answers
    work = container.inside("ls /tmp/sam3d-bento").stdout.split()
    assert work, "the run has its folder"
    assert container.terminate() == 0, container.log.read_text()
    sender.join(30)
    assert answers[0].stderr.startswith(b"200"), answers[0].stderr + answers[0].stdout[:300]
    assert answers[0].stdout.startswith(b"glTF")


def test_without_its_gpu_the_released_engine_is_not_ready_and_never_falls_back(start):
    container = start(SAM3D_ENGINE="sam3d")
    report = container.wait_until(503, READY_SECONDS, lambda health: health["status"] == "failed")
    assert "PyTorch is not installed" in report["reason"]
    refused = container.python(POST, input=b"x")
    assert refused.stderr.startswith(b"503")


def test_the_port_is_the_operators_choice(start):
    container = start(PORT="9000")
    container.wait_until(200, READY_SECONDS, port=9000)
