import asyncio
import errno
import logging
import socket

import pytest

from sam3d_bento.serving import shortage
from tests.support import descriptors

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.parametrize(
    ("exc", "expected"),
    [
        (OSError(errno.EMFILE, "Too many open files"), True),
        (OSError(errno.ENFILE, "Too many open files in system"), True),
        (MemoryError(), False),
        (RuntimeError("can't start new thread"), True),
        (RuntimeError("anything else"), False),
        (FileNotFoundError(errno.ENOENT, "No such file"), False),
        (OSError(errno.ENOSPC, "No space left"), False),
        (None, False),
    ],
)
def test_temporary_shortage_is_distinguished_from_faults(exc, expected):
    assert shortage.is_shortage(exc) is expected


async def test_connections_that_cannot_be_taken_are_a_line_and_no_traceback(caplog):
    """The real loop, at a real limit of descriptors."""
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    shortage.watch_loop(loop)
    served = asyncio.Event()
    server = await asyncio.start_server(lambda reader, writer: served.set(), "127.0.0.1", 0, backlog=50)
    client = socket.socket()
    with descriptors.none_left():
        client.connect(server.sockets[0].getsockname())
        while not caplog.records:
            await asyncio.sleep(0.01)
    await asyncio.wait_for(served.wait(), 30)
    client.close()
    server.close()
    loop.set_exception_handler(before)
    (record,) = caplog.records
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)


async def test_other_faults_of_the_loop_go_where_they_went_before():
    loop = asyncio.get_running_loop()
    before, heard = loop.get_exception_handler(), []
    loop.set_exception_handler(lambda loop, context: heard.append(context))
    shortage.watch_loop(loop)
    fault = {"message": "a fault", "exception": ValueError("of another kind")}
    loop.call_exception_handler(fault)
    loop.set_exception_handler(before)
    assert heard == [fault]
