"""The serverless worker's image: built on the service's, and its job done without any network."""

import base64
import json

import pytest

from tests.support.confined import Confined

pytestmark = pytest.mark.container

# The worker is asked until it listens; the pauses between the tries grow to 16 seconds.
RUNSYNC = """
import sys, httpx
client = httpx.Client(transport=httpx.HTTPTransport(retries=8), timeout=200)
job = {"content": sys.stdin.buffer.read(), "headers": {"Content-Type": "application/json"}}
answer = client.post("http://127.0.0.1:8000/runsync", **job)
print(answer.text)
"""


@pytest.fixture(scope="module")
def worker_image(images, service, project):
    """The tag of the worker's image."""
    tag = "localhost/sam3d-bento-runpod:test"
    images.build(project, project / "deploy" / "runpod" / "Dockerfile", tag, SERVICE_IMAGE=service)
    return tag


def test_the_worker_does_its_job_without_any_network(images, worker_image, coffee, tmp_path):
    config = images.config(worker_image)
    assert config["Cmd"] == ["python3", "-m", "sam3d_bento.serverless"]
    config["Cmd"] += ["--rp_serve_api", "--rp_api_host", "127.0.0.1", "--rp_api_port", "8000"]
    job = {"input": {"image": base64.b64encode(coffee).decode(), "texture_size": 512, "target_faces": 2000}}
    with images.root_of(worker_image) as root:
        container = Confined(root, config, tmp_path / "log", ("/app/outputs",))
        try:
            answer = container.python(RUNSYNC, input=json.dumps(job).encode())
        finally:
            container.kill()
    assert answer.returncode == 0, answer.stderr.decode() + container.log.read_text()
    done = json.loads(answer.stdout)
    assert done.get("status") == "COMPLETED", done
    assert base64.b64decode(done["output"]["glb_base64"]).startswith(b"glTF")


def test_the_worker_moves_nothing_that_the_service_has(images, service, worker_image):
    installed = []
    for tag in (service, worker_image):
        with images.root_of(tag) as root:
            packages = (root / "app" / ".venv" / "lib" / "python3.11" / "site-packages").glob("*.dist-info")
            installed.append({path.name for path in packages})
    before, after = installed
    assert before < after
    assert any(name.startswith("runpod-") for name in after - before)
