"""The same requests as tests/serving/routes/test_client_requests.py, byte by byte over a socket to a real server."""

import http.client
import io
import socket

import numpy as np
import pytest
from PIL import Image

from tests.support import client_requests
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.server

MASK_REQUESTS = [name for name in client_requests.NAMES if not name.endswith("-seed")]


def sent(server, content):
    """Send a whole request on a connection of its own; its status and body."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(content)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.read()


def test_each_library_s_request_gives_the_photo_s_mask(server):
    alpha = np.asarray(Image.open(client_requests.PHOTO))[..., 3]
    for name in MASK_REQUESTS:
        status, body = sent(server, client_requests.raw(name))
        assert status == 200, (name, body)
        assert (np.asarray(Image.open(io.BytesIO(body))) == alpha).all(), name


def test_a_compressed_body_of_a_type_that_is_not_read_is_a_415(server):
    request = client_requests.raw("curl-gzip").replace(b"Content-Encoding: gzip", b"Content-Encoding: zstd")
    status, body = sent(server, request)
    assert status == 415
    assert b"'zstd'" in body
