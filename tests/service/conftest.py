"""A real `bentoml serve` process for each test that needs one of its own, and one for the others."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.support.places import COFFEE, PROJECT
from tests.support.server_process import Servers


@pytest.fixture(scope="session")
def start_server(tmp_path_factory, mask_model):
    """A factory of servers; all are ended at the end of the session. (mask_model: its file is there.)"""
    servers = Servers(tmp_path_factory.mktemp)
    yield servers.start
    servers.stop()


@pytest.fixture(scope="session")
def server(start_server):
    """One server for the tests that leave it as it was."""
    server = start_server()
    server.wait_until(200)
    return server


@pytest.fixture(scope="session")
def disc():
    """A factory of small photos: a disc of one colour on grey, as PNG bytes; its mask lies in the alpha channel."""

    def make(colour, size=64):
        y, x = np.mgrid[:size, :size]
        inside = (x - size / 2) ** 2 + (y - size / 2) ** 2 < (size / 3) ** 2
        pixels = np.full((size, size, 4), (128, 128, 128, 0), np.uint8)
        pixels[inside] = (*colour, 255)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()

    return make


@pytest.fixture(scope="session")
def coffee():
    return COFFEE


@pytest.fixture(scope="session")
def project():
    return PROJECT
