import pytest

from tests.support.server_process import Servers


@pytest.fixture(scope="session")
def server(tmp_path_factory, mask_model):
    """A real `bentoml serve` process, for tests that must leave it well. (mask_model: its file is there.)"""
    servers = Servers(tmp_path_factory.mktemp)
    server = servers.start(engine="preview")
    server.wait_until(200)
    yield server
    servers.stop()
