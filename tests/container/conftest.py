"""The images, built once for all tests here: a bare Debian, Dockerfile.base on it, and the service on that.

Built for the preview engine, with this project's manifest of weights, in which Meta's gated files are replaced by small
ones that a server on loopback gives out to who has the token. So all of Dockerfile.base runs that needs neither CUDA
nor Meta's licence.
"""

import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.buildah import Images, debian
from tests.support.confined import Confined
from tests.support.places import COFFEE, PROJECT

TOKEN = "MarkerThatMustNotSurvive0123456789"
DEBIAN, BASE, SERVICE = "localhost/debian:12", "localhost/sam3d-bento-base:1", "localhost/sam3d-bento:test"
TOOLS = ("buildah", "debootstrap", "unshare", "nsenter", "setpriv", "ip")


def pytest_collection_modifyitems(items):
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    reason = f"needs {', '.join(missing)}" if missing else "needs root" if os.getuid() else None
    for item in items:
        if reason and item.get_closest_marker("container"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    store = Images(tmp_path_factory.mktemp("images"))
    debian(store, DEBIAN)
    yield store
    store.remove()


@pytest.fixture(scope="session")
def hub():
    """Meta's place for the gated files, as far as it is needed: small files, for whoever has the token."""
    files = {}

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            known = f"Bearer {TOKEN}" == self.headers.get("Authorization") or "sam-3d-objects" not in self.path
            content = files[self.path.rsplit("/", 1)[-1]] if known else b""
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.files = files
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def context(tmp_path_factory, hub):
    """The project's folder as `docker build` sees it, with small files in the place of the gated ones."""
    folder = tmp_path_factory.mktemp("context") / "project"
    ignore = shutil.ignore_patterns(".*", "__pycache__", "tests", "node_modules")
    shutil.copytree(PROJECT, folder, ignore=ignore)
    shutil.copy(PROJECT / ".dockerignore", folder)
    path = folder / "sam3d_bento" / "weights" / "weights.json"
    manifest = json.loads(path.read_text())
    manifest["sam3d"] = [group for group in manifest["sam3d"] if "hub" in group["sources"][0]]
    for group in manifest["sam3d"]:
        for name in group["files"]:
            hub.files[Path(name).name] = content = f"small stand-in for {name}\n".encode() * 100
            group["files"][name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    path.write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="session")
def build_base(images, context, hub):
    """Build Dockerfile.base with the token, given as the options say; the builder's output."""

    def build(tag, *options, **more):
        arguments = {"BASE_IMAGE": DEBIAN, "ENGINE": "preview", "MASK_MODEL": "u2netp", "HF_ENDPOINT": hub.url}
        arguments["WEIGHT_SETS"] = "sam3d mask"
        return images.build(context, context / "Dockerfile.base", tag, *options, **arguments | more)

    return build


@pytest.fixture(scope="session")
def base(images, build_base, tmp_path_factory):
    """Its tag and what the builder printed. The token came as a secret."""
    secret = tmp_path_factory.mktemp("secret") / "hf_token"
    secret.write_text(TOKEN)
    return BASE, build_base(BASE, "--secret", f"id=hf_token,src={secret}")


@pytest.fixture(scope="session")
def build_bento(tmp_path_factory):
    """`bentoml build` of a project's folder; the bento's folder, in a store of its own."""

    def build(project=PROJECT):
        home = tmp_path_factory.mktemp("bentos")
        environment = os.environ | {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
        command = [sys.executable, "-m", "bentoml", "build", "--output", "tag"]
        subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True, text=True)
        return next(path for path in (home / "bentos" / "sam3d").iterdir() if path.is_dir())

    return build


@pytest.fixture(scope="session")
def bento(build_bento):
    return build_bento()


@pytest.fixture(scope="session")
def service(images, base, bento):
    """The tag of the service's image: built by the Dockerfile that BentoML wrote."""
    images.build(bento, bento / "env" / "docker" / "Dockerfile", SERVICE)
    return SERVICE


@pytest.fixture(scope="session")
def project():
    return PROJECT


@pytest.fixture(scope="session")
def token():
    return TOKEN


@pytest.fixture(scope="session")
def coffee():
    return COFFEE.read_bytes()


@pytest.fixture(scope="session")
def root(images, service):
    with images.root_of(service) as path:
        yield path


@pytest.fixture
def start(images, service, root, tmp_path):
    """Start the service in its image: no network, nothing writable but what the README names."""
    started = []

    def go(**environment):
        log = tmp_path / f"log-{len(started)}"
        container = Confined(root, images.config(service), log, ("/app/outputs",), **environment)
        started.append(container)
        return container

    yield go
    for container in started:
        container.kill()
