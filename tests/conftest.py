import logging
import os
import subprocess
import tempfile

import pytest

from sam3d_bento import parent_death

# A run that make has started, and xdist's part of any run, ends with its parent; so does what the tests start.
if {"PYTEST_XDIST_WORKER", "TESTS_END_WITH_PARENT"} & os.environ.keys():
    os.environ.pop("TESTS_END_WITH_PARENT", None)  # not for the parts of this run: their parent is this process
    parent_death.end_with(os.getppid())

from tests.support.weight_site import Site

# Both are read when bentoml is imported. Without the folder, /metrics hangs in TestClient (bentoml 1.4.40).
os.environ["BENTOML_DO_NOT_TRACK"] = "True"
os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp(prefix="prometheus-"))

from sam3d_bento import logs, weights
from sam3d_bento.photo.mask_model import MaskModel
from sam3d_bento.settings import Settings


@pytest.fixture(scope="module", autouse=True)
def logging_as_it_was():
    """`logs.configure` is for a whole process; here the next file of tests follows, and may ask what was logged."""
    root, ours = logging.getLogger(), logging.getLogger(logs.ROOT)
    formatters = [(handler, handler.formatter) for handler in root.handlers]
    handlers, level, propagate = list(ours.handlers), ours.level, ours.propagate
    yield
    logging.captureWarnings(False)
    for handler, formatter in formatters:
        handler.setFormatter(formatter)
    ours.handlers[:], ours.propagate = handlers, propagate
    ours.setLevel(level)


@pytest.fixture(scope="session")
def mask_model():
    """The real model, fetched once to where the program itself looks for it."""
    directory = Settings.from_environ().mask_dir
    weights.fetch("mask", directory, print)
    return MaskModel("u2netp", directory)


@pytest.fixture(scope="session")
def start_server(tmp_path_factory, mask_model):
    """A factory of real `bentoml serve` processes; all are ended at the end. (mask_model: its file is there.)"""
    from tests.support.server_process import Servers

    servers = Servers(tmp_path_factory.mktemp)
    yield servers.start
    servers.stop()


@pytest.fixture(scope="session")
def server(start_server):
    """One server for the tests that leave it as it was."""
    server = start_server()
    server.wait_until(200)
    return server


@pytest.fixture
def site():
    site = Site()
    yield site
    site.close()


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """An S3 server on loopback that checks signatures."""
    from tests.support.s3_server import S3Server

    server = S3Server(tmp_path_factory.mktemp("s3"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory):
    """A factory of file systems of so many bytes. Needs root."""
    mounted = []

    def make(name, size):
        folder = tmp_path_factory.mktemp(name)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)
