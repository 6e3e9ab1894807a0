"""Real server processes around an engine that can be made to fail."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.support.server_process import Servers


@pytest.fixture(scope="session")
def start_faulty(tmp_path_factory, mask_model):
    """A factory of servers with `faulty_runner`; all are ended at the end of the session."""
    servers = Servers(tmp_path_factory.mktemp)

    def start(**settings):
        return servers.start("tests.support.faulty_service:Sam3D", **{"engine": "preview", **settings})

    yield start
    servers.stop()


@pytest.fixture(scope="module")
def start_server(tmp_path_factory, mask_model):
    """A factory of servers as they are, with the engine that the settings name; all are ended after the module."""
    servers = Servers(tmp_path_factory.mktemp)
    yield servers.start
    servers.stop()


@pytest.fixture(scope="session")
def start_plain(tmp_path_factory, mask_model):
    """A factory of servers as they are shipped; all are ended at the end of the session."""
    servers = Servers(tmp_path_factory.mktemp)
    yield lambda **settings: servers.start(**{"engine": "preview", **settings})
    servers.stop()


@pytest.fixture(scope="session")
def faulty(start_faulty):
    """One for the tests that leave it well."""
    server = start_faulty(deadline_seconds=4)
    server.wait_until(200)
    return server


@pytest.fixture(scope="session")
def photo():
    """A cut-out disc of 64 x 64 pixels."""
    y, x = np.mgrid[:64, :64]
    pixels = np.full((64, 64, 4), (128, 128, 128, 0), np.uint8)
    pixels[(x - 32) ** 2 + (y - 32) ** 2 < 400] = (220, 30, 30, 255)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
