"""Services for clients of the API: the real one, and one that takes no time."""

import pytest

from tests.support.server_process import Servers


@pytest.fixture(scope="session")
def start_server(tmp_path_factory, mask_model):
    """A factory of servers; all are ended at the end of the session. (mask_model: its file is there.)"""
    servers = Servers(tmp_path_factory.mktemp)
    yield servers.start
    servers.stop()


@pytest.fixture(scope="session")
def server(start_server):
    server = start_server()
    server.wait_until(200)
    return server


@pytest.fixture(scope="session")
def instant_server(start_server):
    """A server whose runners take any bytes for a photo, and no time."""
    server = start_server("tests.support.instant_service:Sam3D", engine="preview", queue_limit=1000)
    server.wait_until(200)
    return server
