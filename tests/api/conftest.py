"""A service for clients of the API that takes no time, beside the real one."""

import pytest


@pytest.fixture(scope="session")
def instant_server(start_server):
    """A server whose runners take any bytes for a photo, and no time."""
    server = start_server(
        "tests.support.instant_service:Sam3D", engine="preview", queue_limit=1000, keep_max_bytes=10**8
    )
    server.wait_until(200)
    return server
